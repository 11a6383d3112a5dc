"""One source partition as a run of blocks: the pure heart of summarise.

A block is ``block_size`` consecutive offsets, aligned. Its summary is a function of those offsets alone: a new owner begins the block anew, and a
revision replaces the one before it. What may be committed is therefore the start of the open block, with the watermark the partition had there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from driftline.contracts.summaries import BlockSummary
from driftline.detectors.parts import PartBuilder
from driftline.streams.reading import Decoded, Reader, Rejected

NewBuilder = Callable[[str], PartBuilder]


@dataclass
class OpenBlock:
    """The block being read."""

    start: int
    first: int
    end: int
    next: int
    watermark: int
    builders: dict[str, PartBuilder] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    def revision(self, partition: int, *, final: bool) -> list[BlockSummary]:
        """Return the block's summaries as they stand: of the models that changed since the last revision, or of all in the final one."""
        models = sorted(self.builders if final else self.changed)
        self.changed.clear()
        return [BlockSummary(m, partition, self.start, self.first, self.next, final, self.builders[m].parts()) for m in models]


@dataclass(frozen=True)
class Snapshot:
    """What leaves summarise in one flush, taken together with no await between: summaries, dead letters, and how far they reach."""

    summaries: list[BlockSummary]
    rejected: list[Rejected]
    commit: int
    commit_watermark: int
    position: int
    watermark: int
    newest: int


class SourceBlocks:
    """One source partition since its last seek."""

    def __init__(self, partition: int, position: int, watermark: int, *, block_size: int, reader: Reader, new_builder: NewBuilder) -> None:
        self.partition = partition
        self.position = position
        self.watermark = watermark
        self.newest = watermark
        self._block_size = block_size
        self._reader = reader
        self._new_builder = new_builder
        self._open: OpenBlock | None = None
        self._done: list[BlockSummary] = []
        self._rejected: list[Rejected] = []
        #: Events and late events by model, for the metrics.
        self.events, self.late = Counter[str](), Counter[str]()
        # Where the log was cut inside a block (retention), the rest of that block goes one offset a piece: nobody can rebuild the block whole, and
        # detect drops the offsets that it has already.
        aligned = position // block_size * block_size
        self._ragged_until = aligned + block_size if position != aligned else position

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
            block = self._block_of(items.records[i].offset)
            j = items.before(block.end)
            self._read(block, items.part(i, j))
            i = j
        if self._open is not None and self._open.next == self._open.end:
            self._finish(self._open)

    def take(self) -> Snapshot:
        """Return what has to leave now."""
        summaries, self._done = self._done, []
        rejected, self._rejected = self._rejected, []
        block = self._open
        if block is not None:
            summaries += block.revision(self.partition, final=False)
        commit, commit_watermark = (block.start, block.watermark) if block is not None else (self.position, self.watermark)
        return Snapshot(summaries, rejected, commit, commit_watermark, self.position, self.watermark, self.newest)

    def _block_of(self, offset: int) -> OpenBlock:
        block = self._open
        if block is not None and offset < block.end:
            return block
        if block is not None:
            self._finish(block)
        if offset < self._ragged_until:
            start, end = offset, offset + 1
        else:
            start = offset // self._block_size * self._block_size
            end = start + self._block_size
        block = self._open = OpenBlock(start, offset, end, offset, self.watermark)
        return block

    def _finish(self, block: OpenBlock) -> None:
        # Offsets that the log left out (transaction markers, compaction) belong to the block all the same.
        self.position = block.next = max(block.next, block.end)
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
        self.position = block.next = items.records[-1].offset + 1
