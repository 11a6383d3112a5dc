"""Where a block of a partition ends: by offsets, by the time at which its records were written, and by what they weigh. Pure.

A stream of a few records an hour would have a block open for a day, and each revision would send all of its panes again. So a block also ends before
a record that was written ``span`` or more after the block's first one. That is a function of the log from the block's start on, and of nothing else:
whoever begins a block anew ends it at the same record. Timestamps are the producers' own and may be anything: one that jumps back ends nothing, and
time ends blocks at every sixteenth of ``size`` at the most, so that no clock makes more than sixteen blocks of one.

A record may hold thousands of events, and a thousand such records all panes of an hour: these, too, each revision would send again. So a block also
ends after the record with which its values have come to ``most_bytes``, at whatever offset that stands.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

_PIECES = 16


class Cut(NamedTuple):
    """How a partition is cut into blocks: ``size`` offsets at the most, aligned, ``span`` ms and ``most_bytes`` of values (0: however many).

    >>> Cut(1024, 300_000).boundary(1000), Cut(1024, 300_000).boundary(1024)
    (1024, 1024)
    """

    size: int
    span: int
    most_bytes: int = 0

    @property
    def shortest(self) -> int:
        """The distance of the offsets at which time may end a block."""
        return max(1, self.size // _PIECES)

    def floor(self, offset: int) -> int:
        """Return the last aligned offset up to this one."""
        return offset // self.size * self.size

    def boundary(self, offset: int) -> int:
        """Return the first aligned offset from this one on."""
        return -(-offset // self.size) * self.size

    def may_end(self, last: int, offset: int) -> bool:
        """Say whether time may end a block between two records that follow each other.

        >>> Cut(1024, 300_000).may_end(62, 63), Cut(1024, 300_000).may_end(62, 70)
        (False, True)
        """
        return offset // self.shortest > last // self.shortest

    def places(self, offset: int, end: int) -> Iterator[int]:
        """Return the offsets after one and before ``end`` at which time may end a block."""
        return iter(range((offset // self.shortest + 1) * self.shortest, end, self.shortest))

    def room(self, held: int, sizes: Sequence[int]) -> tuple[int, int]:
        """Return how many of the next records, of these sizes, belong to a block that holds so many bytes, and how many it holds with them.

        >>> Cut(1024, 0, 100).room(30, [60, 20, 5]), Cut(1024, 0).room(30, [60, 20, 5])
        ((2, 110), (3, 115))
        """
        total = held + sum(sizes)
        if not self.most_bytes or total < self.most_bytes:
            return len(sizes), total
        return next((n, reached) for n, reached in enumerate(accumulate(sizes, initial=held)) if reached >= self.most_bytes)


class Cuts:
    """The cuts of a partition: each from an offset on, the first from 0.

    >>> cuts = Cuts(((0, Cut(1024, 0)), (4096, Cut(1024, 300_000))))
    >>> cuts.at(4095).span, cuts.at(4096).span
    (0, 300000)
    """

    def __init__(self, since: tuple[tuple[int, Cut], ...]) -> None:
        self._since = since
        self._offsets = [offset for offset, _ in since]

    def at(self, offset: int) -> Cut:
        """Return the cut of the block that a record stands in."""
        return self._holding(offset)[1]

    def floor(self, offset: int) -> int:
        """Return where the block of a record begins at the earliest: at an aligned offset, or where its cut begins to hold.

        >>> Cuts(((0, Cut(8, 0)), (8, Cut(32, 0)))).floor(10)
        8
        """
        since, cut = self._holding(offset)
        return max(since, cut.floor(offset))

    @property
    def last(self) -> Cut:
        """The cut of what is yet to come."""
        return self._since[-1][1]

    @property
    def latest(self) -> int:
        """The offset from which the last cut holds."""
        return self._offsets[-1]

    def _holding(self, offset: int) -> tuple[int, Cut]:
        return self._since[max(0, bisect_right(self._offsets, offset) - 1)]
