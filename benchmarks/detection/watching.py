"""What watches a stream: it gives the rows at which it spoke, an episode each, and the columns it named. After each it starts anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.detection.streams import Group, Run


@dataclass(frozen=True)
class Alarm:
    """Rows read when it spoke, what it named, and since when (ms), where it says so."""

    row: int
    columns: tuple[str, ...]
    onset: int | None = None


#: Told when to stop: at the first alarm at or after this row (None: read all).
Until = int | None
Watch = Callable[[Run, float, Until], list[Alarm]]


@dataclass(frozen=True)
class Watcher:
    """A way of watching, with the setting it is published with, and settings from eager to reluctant among which it is tuned, if it is a peer's."""

    name: str
    watch: Watch
    setting: float
    settings: tuple[float, ...] = ()
    groups: tuple[Group, ...] = ("columns", "one column", "errors", "losses")
