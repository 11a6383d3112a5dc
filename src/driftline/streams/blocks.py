"""One source partition as a run of blocks: the pure heart of summarise.

A block is a run of consecutive offsets that ends as its cut says: by offsets, by the time its records were written, or by what they weigh. Its
summary is a function of those records alone: a new owner begins the block anew, and a revision replaces the one before it. What a commit says is
therefore where the open block starts, and the watermark the partition had there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from driftline.contracts.cutting import Cut, Cuts
from driftline.contracts.summaries import BlockSummary
from driftline.detectors.parts import PartBuilder
from driftline.streams.reading import Decoded, Reader, Rejected
from driftline.streams.records import Bare, bare, timestamp_at, value_sizes

NewBuilder = Callable[[str], PartBuilder]


@dataclass(frozen=True)
class Origin:
    """Where a partition is read from, and the watermark there. ``whole``: a block begins here; otherwise the log was cut inside one."""

    start: int
    watermark: int
    whole: bool


@dataclass
class OpenBlock:
    """The block being read."""

    start: int
    first: int
    end: int
    next: int
    watermark: int
    cut: Cut
    #: A record written then or later begins another block (None: the time ends this one never).
    until: int | None
    #: Bytes of the values so far.
    held: int = 0
    builders: dict[str, PartBuilder] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def ends_before(self, record: Bare) -> bool:
        """Say whether a record, the next one of the log, belongs to another block."""
        if record.offset >= self.end or self.full:
            return True
        return self.until is not None and record.timestamp >= self.until and self.cut.may_end(self.next - 1, record.offset)

    @property
    def full(self) -> bool:
        """Whether it holds so many bytes that no further record belongs to it."""
        return 0 < self.cut.most_bytes <= self.held

    def admit(self, items: Decoded, i: int) -> int:
        """Let the ``i``-th record in, and those after it that belong to the block; return the index of the first that does not."""
        n, self.held = self.cut.room(self.held, value_sizes(items.records[i : self._in_time(items, i)]))
        return i + n

    def _in_time(self, items: Decoded, i: int) -> int:
        stop = items.before(self.end)
        if self.until is not None:
            records = bare(items.records)
            for place in self.cut.places(records[i].offset, self.end):
                j = items.before(place)
                if j >= stop:
                    break
                if timestamp_at(records, j) >= self.until:
                    return j
        return stop

    def revision(self, partition: int, *, final: bool) -> list[BlockSummary]:
        """Return the block's summaries as they stand: of the models that changed since the last revision, or of all in the final one."""
        models = sorted(self.builders if final else self.changed)
        self.changed.clear()
        return [BlockSummary(m, partition, self.start, self.first, self.next, final, self.builders[m].parts()) for m in models]


@dataclass(frozen=True)
class Snapshot:
    """What leaves summarise in one flush, taken together with no await between: summaries, dead letters, and how far they reach.

    ``origin``: where whoever reads on begins, and what it has to know.
    """

    summaries: list[BlockSummary]
    rejected: list[Rejected]
    origin: Origin
    position: int
    watermark: int
    newest: int


class SourceBlocks:
    """One source partition since its last seek."""

    def __init__(self, partition: int, origin: Origin, *, cuts: Cuts, reader: Reader, new_builder: NewBuilder) -> None:
        self.partition = partition
        self.position = origin.start
        self.watermark = origin.watermark
        self.newest = origin.watermark
        self._reader = reader
        self._new_builder = new_builder
        self._open: OpenBlock | None = None
        self._done: list[BlockSummary] = []
        self._rejected: list[Rejected] = []
        #: Events and late events by model, for the metrics.
        self.events, self.late = Counter[str](), Counter[str]()
        self._cuts = cuts
        # Where the log was cut inside a block (retention), the rest of that block goes one offset a piece: nobody can rebuild the block whole, and
        # detect drops the offsets that it has already.
        self._ragged_until = origin.start if origin.whole else cuts.at(origin.start).boundary(origin.start)

    @property
    def pending(self) -> int:
        """How many finished summaries and dead letters wait for the next flush."""
        return len(self._done) + len(self._rejected)

    @property
    def clean(self) -> bool:
        """Whether everything read has left in a flush."""
        return not self._done and not self._rejected and (self._open is None or not self._open.changed)

    def feed(self, items: Decoded) -> None:
        """Read decoded records, in offset order, at or after the position."""
        i = 0
        while i < len(items):
            block = self._block_of(bare(items.records)[i])
            j = block.admit(items, i)
            self._read(block, items.part(i, j))
            i = j
        last = self._open
        if last is not None and (last.full or last.next == last.end):
            self._finish(last, last.next)

    def take(self) -> Snapshot:
        """Return what has to leave now."""
        summaries, self._done = self._done, []
        rejected, self._rejected = self._rejected, []
        block = self._open
        if block is not None:
            summaries += block.revision(self.partition, final=False)
        start, watermark = (block.start, block.watermark) if block is not None else (self.position, self.watermark)
        origin = Origin(start, watermark, start >= self._ragged_until)
        return Snapshot(summaries, rejected, origin, self.position, self.watermark, self.newest)

    def _block_of(self, record: Bare) -> OpenBlock:
        block = self._open
        if block is not None:
            if not block.ends_before(record):
                return block
            self._finish(block, block.next if block.full else min(record.offset, block.end))
        # Offsets that the log left out at the beginning of an aligned block belong to it all the same.
        cut, ragged = self._cuts.at(record.offset), record.offset < self._ragged_until
        start = record.offset if ragged else max(self._cuts.floor(record.offset), self.position)
        end = start + 1 if ragged else cut.boundary(start + 1)
        until = record.timestamp + cut.span if cut.span and not ragged else None
        block = self._open = OpenBlock(start, record.offset, end, record.offset, self.watermark, cut, until)
        return block

    def _finish(self, block: OpenBlock, at: int) -> None:
        # Offsets that the log left out (transaction markers, compaction) belong to the block all the same.
        self.position = block.next = max(block.next, at)
        self._done += block.revision(self.partition, final=True)
        self._open = None

    def _read(self, block: OpenBlock, items: Decoded) -> None:
        rows, rejected, self.watermark, newest = self._reader.read(items, self.watermark)
        self.newest = max(self.newest, newest)
        self._rejected += rejected
        for part in rows:
            builder = block.builders.get(part.model)
            if builder is None:
                builder = block.builders[part.model] = self._new_builder(part.model)
            builder.add(part.reference, part.rows)
            self.events[part.model] += len(part.rows)
            self.late[part.model] += int(part.rows.late.sum())
            block.changed.add(part.model)
        self.position = block.next = bare(items.records)[-1].offset + 1
