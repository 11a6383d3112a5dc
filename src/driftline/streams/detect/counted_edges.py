"""Where what was cut by count begins and ends: the log of it are the cells, read once, and known from then on."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import NamedTuple

from driftline.contracts.summaries import PaneKind
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cells

_KINDS: tuple[PaneKind, ...] = ("features", "outcomes")


class Edges(NamedTuple):
    """Starts and ends, in order: neither of them ever goes back."""

    starts: list[int]
    ends: list[int]

    def after(self, moment: int) -> int:
        """Return the place of the first one that ends after a moment."""
        return bisect_right(self.ends, moment)

    def ends_at(self, moment: int) -> bool:
        """Say whether one of them ends at a moment."""
        i = bisect_left(self.ends, moment)
        return i < len(self.ends) and self.ends[i] == moment

    def add(self, start: int, end: int) -> None:
        """Note what was cut."""
        self.starts.append(start)
        self.ends.append(end)


class CountedEdges:
    """Those of the windows of one model, of each reference on its own: the whole ones, or those that slid."""

    def __init__(self, model: str, cells: Cells, which: Callable[[PaneKey], bool]) -> None:
        self._model = model
        self._cells = cells
        self._which = which
        self._known: dict[str, Edges] = {}

    def of(self, reference_id: str) -> Edges:
        """Return the edges under a reference."""
        known = self._known.get(reference_id)
        if known is None:
            found = sorted((k.end, k.start) for k in self._cells.counted(self._model, reference_id) if self._which(k))
            known = self._known[reference_id] = Edges([start for _, start in found], [end for end, _ in found])
        return known

    def forget(self, reference_id: str, first: int) -> None:
        """Let go of those before the place ``first``."""
        starts, ends = self.of(reference_id)
        self._known[reference_id] = Edges(starts[first:], ends[first:])

    def drop(self, reference_id: str) -> None:
        """Let go of a reference."""
        self._known.pop(reference_id, None)


def put_together(cells: Cells, key: PaneKey, since: int, pane: int) -> list[PaneKey]:
    """Make the cells of what is cut at the end of ``key``, on time and late, of the panes since the one before it; return those that have a turn."""
    made = []
    for kind in _KINDS:
        on_time, late = (
            [cell for _, cell in cells.range(key.model, key.reference_id, kind, pane, since, key.end, late=late)] for late in (False, True)
        )
        own = key._replace(kind=kind)
        if on_time or late or kind == "features":
            cells.put(own, on_time)
            made.append(own)
        if late:
            cells.put(own._replace(late=True), late)
    return made
