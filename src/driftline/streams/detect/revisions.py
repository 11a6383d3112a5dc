"""Which blocks of the sources are in, and in which revision. Pure.

A block's newer revision takes the place of the older one, a final one is the last, and below a partition's floor everything is here.
Blocks of one model never share offsets, unless the log was cut inside a block: then a new owner sends the rest of it one offset a piece, of which
some may be in already; and its former owner, if it is a zombie, may go on with the whole. What is in first counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec

from driftline.contracts.summaries import BlockSummary, PanePart
from driftline.store.detect_rows import BlockKey, BlockRow

PartName = tuple[str, str, int, bool]
#: What is taken back, and what comes in its place; None where there is nothing.
Changes = list[tuple[PanePart | None, PanePart | None]]


class Verdict(Enum):
    """What to do with a block."""

    NEW = "take it"
    SUPERSEDED = "a newer revision, or the final one, is in"
    REPEATED = "its offsets are in"


class Revisions:
    """The blocks that are open, or final and not yet below the floor."""

    def __init__(self, rows: Iterable[BlockRow] = ()) -> None:
        self._blocks: dict[BlockKey, BlockRow] = {}
        self._parts: dict[BlockKey, list[PanePart]] = {}
        self._of: dict[tuple[str, int], set[BlockKey]] = {}
        self._compared: dict[BlockKey, tuple[BlockSummary, Changes]] = {}
        for row in rows:
            key = BlockKey(row.model, row.partition, row.start)
            self._put(key, row, _decoder.decode(row.payload) if row.payload else [])

    def judge(self, block: BlockSummary, floor: int) -> Verdict:
        """Say what to do with a block; ``floor``: the start of the oldest block of its partition that may still change."""
        verdict = self._judged(block, floor)
        if verdict is not Verdict.NEW:
            self._compared.pop(_key(block), None)
        return verdict

    def _judged(self, block: BlockSummary, floor: int) -> Verdict:
        key = _key(block)
        known = self._blocks.get(key)
        if block.start < floor:
            return Verdict.REPEATED
        if known is not None and (known.final or block.first > known.first or block.next < known.next):
            return Verdict.SUPERSEDED
        others = (self._blocks[other] for other in self._of.get((block.model, block.partition), ()) if other != key)
        return Verdict.REPEATED if any(block.first < other.next and other.first < block.next for other in others) else Verdict.NEW

    def changes(self, block: BlockSummary) -> Changes:
        """Return what a block takes back of its former revision, and what it adds."""
        key = _key(block)
        # Asked for once to bring what will change, and once to change it.
        compared = self._compared.get(key)
        if compared is None or compared[0] is not block:
            compared = self._compared[key] = (block, self._compare(key, block))
        return compared[1]

    def _compare(self, key: BlockKey, block: BlockSummary) -> Changes:
        old = {_name(part): part for part in self._parts.get(key, [])}
        new = {_name(part): part for part in block.panes}
        return [(old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]

    def put(self, block: BlockSummary) -> BlockRow:
        """Take a block in; return what the store has to keep of it."""
        parts = [] if block.final else block.panes
        row = BlockRow(
            model=block.model,
            partition=block.partition,
            start=block.start,
            first=block.first,
            next=block.next,
            final=block.final,
            payload=_encoder.encode(parts) if parts else b"",
        )
        self._put(_key(block), row, parts)
        return row

    def drop_below(self, floors: dict[int, int]) -> list[BlockKey]:
        """Forget the blocks that nobody sends again, nor a piece of them; return them.

        Where the log was cut inside an open block, the floor passes its start while the rest of it still comes, in pieces that are in already.
        """
        dropped = [key for key, row in self._blocks.items() if max(key.start + 1, row.next) <= floors.get(key.partition, 0)]
        for key in dropped:
            del self._blocks[key]
            del self._parts[key]
            of = self._of[key.model, key.partition]
            of.discard(key)
            if not of:
                del self._of[key.model, key.partition]
        return dropped

    def _put(self, key: BlockKey, row: BlockRow, parts: list[PanePart]) -> None:
        self._compared.pop(key, None)
        self._blocks[key] = row
        self._parts[key] = parts
        self._of.setdefault((key.model, key.partition), set()).add(key)


def _key(block: BlockSummary) -> BlockKey:
    return BlockKey(block.model, block.partition, block.start)


def _name(part: PanePart) -> PartName:
    return (part.reference_id, part.kind, part.start, part.late)


_decoder = msgspec.msgpack.Decoder(list[PanePart])
_encoder = msgspec.msgpack.Encoder()
