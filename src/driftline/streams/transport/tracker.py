"""Where each partition stands, and what may be committed of it. Pure; one for each consumer.

An epoch is the time between two seeks. Nothing outlives it: a rebalance rewinds even the partitions that stay, and an
offset named in an earlier epoch may lie behind what another owner has committed since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from faust.types import TP

from driftline.streams.transport.positions import StartPosition, resuming

METADATA_LIMIT: Final = 4096
"""Bytes of metadata that a broker takes with a commit (its default ``offset.metadata.max.bytes``)."""


class Commit(NamedTuple):
    """The offset to go on from, and what the agent has to be told there."""

    offset: int
    metadata: str


@dataclass(slots=True)
class _Place:
    start: StartPosition
    delivered: int | None  # where the last batch ended; None: no batch yet
    read: int  # the log holds nothing undelivered before this offset
    gaps: dict[int, int]  # where a batch ended -> where the log went on, as far as an agent may still name it
    acked: int  # where the last acknowledged batch ended
    named: Commit | None  # by the agent, in this epoch
    written: Commit | None  # what Kafka holds

    @property
    def end(self) -> int:
        """Where the last batch ended; before the first one where the epoch begins."""
        return self.start.offset if self.delivered is None else self.delivered


class Tracker:
    """Epoch, positions and commits of the assigned partitions.

    >>> tracker, tp = Tracker(), TP("events", 0)
    >>> tracker.begin({tp: StartPosition(0, "", None, earliest=0, end=7, lost=0)})
    >>> tracker.deliver(tp, 5)  # a first batch, of five records: it follows nothing
    >>> tracker.commit_to(tp, 4, epoch=0)
    True
    >>> tracker.due()
    {TP(topic='events', partition=0): Commit(offset=4, metadata='')}
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._places: dict[TP, _Place] | None = None

    @property
    def begun(self) -> bool:
        """Whether the current epoch's seek is done."""
        return self._places is not None

    @property
    def partitions(self) -> frozenset[TP]:
        """The partitions read in this epoch."""
        return frozenset(self._places or ())

    def forget(self) -> None:
        """Start an epoch: nothing is known until :meth:`begin`."""
        self.epoch += 1
        self._places = None

    def begin(self, starts: Mapping[TP, StartPosition]) -> None:
        """Take up where the seek went."""
        self._places = {
            tp: _Place(
                start=start,
                delivered=None,
                read=start.offset,
                gaps={},
                acked=start.offset,
                named=None,
                written=None if start.committed is None else Commit(start.committed, start.metadata),
            )
            for tp, start in starts.items()
        }

    def start_of(self, tp: TP) -> StartPosition:
        """Where ``tp`` was sought in this epoch; KeyError if it isn't read in it."""
        return self._place(tp).start

    def deliver(self, tp: TP, next_offset: int) -> int | None:
        """Note a batch that ends before ``next_offset``; return where the one before it ended."""
        place = self._place(tp)
        if place.end < place.read:
            place.gaps[place.end] = place.read
        follows, place.delivered = place.delivered, next_offset
        place.read = max(place.read, next_offset)
        return follows

    def read_to(self, tp: TP, position: int) -> None:
        """Note that the log holds nothing undelivered before ``position``."""
        place = self._place(tp)
        place.read = max(place.read, position)

    def ack(self, tp: TP, next_offset: int, epoch: int) -> None:
        """Note that the agent is done with a batch. This commits nothing: it is how progress is seen."""
        if epoch == self.epoch and self._places is not None and tp in self._places:
            self._places[tp].acked = next_offset

    def progress_of(self, tp: TP) -> int:
        """How far the agent is."""
        return self.position_after(tp, self._place(tp).acked)

    def position_after(self, tp: TP, offset: int) -> int:
        """Return ``offset``, or the offset up to which the log holds no records after it."""
        place = self._place(tp)
        # A batch that waits for the agent takes nothing back of what was said before it came.
        return place.read if offset == place.end else place.gaps.get(offset, offset)

    def commit_to(self, tp: TP, offset: int, epoch: int, metadata: str = "", resume_at: int | None = None) -> bool:
        """Name what may be committed: everything below ``offset`` is done with, or will be read again on purpose.

        ``resume_at``: whoever reads on begins there, before ``offset``. False, and nothing happens, for an epoch that is over. ValueError for what
        only a mistake can name: an offset that no batch has reached, one below the epoch's start or below one named before, or metadata too long.
        """
        if epoch != self.epoch or self._places is None:
            return False
        place = self._place(tp)
        if resume_at is not None:
            if not place.start.offset <= resume_at <= offset:
                raise ValueError(f"{tp}: can't go on at {resume_at} after a commit of {offset}, begun at {place.start.offset}")
            metadata = resuming(metadata, resume_at)
        least = place.start.offset if place.named is None else place.named.offset
        if not least <= offset <= place.read:
            raise ValueError(f"{tp}: can't commit to {offset}, only within {least} ... {place.read}")
        if len(metadata.encode()) > METADATA_LIMIT:
            raise ValueError(f"{tp}: commit metadata of {len(metadata.encode())} bytes; Kafka takes {METADATA_LIMIT}")
        place.named = Commit(offset, metadata)
        place.gaps = {end: on for end, on in place.gaps.items() if on >= offset}
        return True

    def due(self) -> dict[TP, Commit]:
        """What was named and Kafka doesn't hold yet."""
        places = self._places or {}
        return {tp: p.named for tp, p in places.items() if p.named is not None and p.named != p.written}

    def written(self, commits: Mapping[TP, Commit], epoch: int) -> None:
        """Note a commit that succeeded, unless its epoch is over."""
        if epoch == self.epoch and self._places is not None:
            for tp, commit in commits.items():
                self._places[tp].written = commit

    def _place(self, tp: TP) -> _Place:
        if self._places is None:
            raise KeyError(tp)
        return self._places[tp]
