"""Where reading a partition begins: decided from what SQL holds, what Kafka holds, and the bounds of the log."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from faust.types import TP

from driftline.contracts.errors import DriftlineError

LoadOffset = Callable[[TP], Awaitable[int | None]]
"""Asks the state in SQL where to go on in a partition; None when it has never read it."""


class PositionBeyondEnd(DriftlineError):
    """A partition ends before the place where reading has to go on: its topic was made anew, or Kafka lost data."""


@dataclass(frozen=True)
class LogBounds:
    """What the broker said of a partition: the group's commit (None: none yet) and the log's first and next offset."""

    committed: int | None
    metadata: str
    earliest: int
    end: int


@dataclass(frozen=True)
class StartPosition:
    """Where reading began in the current epoch.

    ``metadata`` came with ``committed``, the group's commit in Kafka ("" and None without one); it may have said to
    begin before it, and ``note`` is the rest. ``lost`` counts the offsets between where reading should have begun and
    ``offset``, which the log no longer has.
    """

    offset: int
    metadata: str
    committed: int | None
    earliest: int
    end: int
    lost: int

    @property
    def resumed(self) -> bool:
        """Whether the commit says where to go on."""
        return _split(self.metadata)[0] is not None

    @property
    def note(self) -> str:
        """What the agent that committed left word of."""
        return _split(self.metadata)[1]


def resuming(note: str, at: int) -> str:
    """Return the metadata of a commit after which reading goes on at ``at``, before the commit.

    A commit says how far was read, so that lag is what it seems to be; an agent with something half done begins that anew.
    """
    return f"@{at} {note}"


def _split(metadata: str) -> tuple[int | None, str]:
    found = _RESUMING.fullmatch(metadata)
    return (int(found[1]), found[2]) if found else (None, metadata)


_RESUMING: Final = re.compile(r"@([0-9]{1,19}) (.*)", re.DOTALL)


def start_position(tp: TP, bounds: LogBounds, held: int | None) -> StartPosition:
    """Decide where to begin: at ``held`` (from SQL) if it is known, else at the commit or where it says, else at the log's beginning.

    Raises :class:`PositionBeyondEnd` where the log ends before that. Beginning anew on our own would be the worse
    answer: block ids and revisions are made from offsets, so the new records would be taken for old ones.

    >>> start_position(TP("t", 0), LogBounds(committed=5, metadata="", earliest=8, end=20), held=None).lost
    3
    """
    wanted = held if held is not None else bounds.committed if bounds.committed is not None else bounds.earliest
    if wanted > bounds.end:
        owner = "the state in SQL" if held is not None else "the consumer group's commit"
        where = f"{tp.topic}[{tp.partition}] ends at {bounds.end}"
        raise PositionBeyondEnd(
            f"{where}, but {owner} goes on at {wanted}: the topic was made anew, or the broker lost data. "
            "Restore it, or read it under a new consumer group with fresh state."
        )
    at = _split(bounds.metadata)[0]
    if held is None and bounds.committed is not None and at is not None:
        wanted = min(at, bounds.committed)
    offset = max(wanted, bounds.earliest)
    return StartPosition(offset, bounds.metadata, bounds.committed, bounds.earliest, bounds.end, offset - wanted)
