"""The fixes, taken out again: a suite that passes with one of these can't fail. Each is a flaw of the prototype, built in anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from driftline.streams.reading import Decoded, ModelRows, Rejected


def commits_at_the_tip() -> None:
    """Go on where summarise has read to, in place of the start of the open block."""
    from driftline.streams import blocks

    take = blocks.SourceBlocks.take

    def tip(self: blocks.SourceBlocks) -> blocks.Snapshot:
        snapshot = take(self)
        return replace(snapshot, origin=blocks.Origin(snapshot.position, snapshot.watermark, whole=True))

    blocks.SourceBlocks.take = tip  # type: ignore[method-assign]


def forgets_too_early() -> None:
    """Tell how far summarise is, and what may be forgotten, before the broker has what it speaks of (flaw 1)."""
    from driftline.streams import summarise
    from driftline.streams.publishing import Publisher

    async def send(self: Any) -> None:
        async with self._flushing:
            consumer, epoch = self._app.consumer, self._continuity.epoch
            if not self._blocks or consumer.epoch != epoch:
                return
            taken = {tp: blocks.take() for tp, blocks in self._blocks.items()}
            reached = {tp.partition: replace(summarise._reached(s), floor=s.position) for tp, s in taken.items()}
            await self._progress.tell(reached)
            await Publisher.send(self._publisher, [m for s in taken.values() for m in self._messages(s)])
            for tp, snapshot in taken.items():
                start = self._floors[tp] = snapshot.origin.start
                consumer.commit_to(tp, snapshot.position, epoch, str(snapshot.origin.watermark), resume_at=start)

    summarise.Summarise._send = send  # type: ignore[method-assign]


def torn_snapshot() -> None:
    """Take the summaries, send them, and only then look how far that reaches (flaw 2)."""
    from driftline.streams import summarise

    async def send(self: Any) -> None:
        async with self._flushing:
            consumer, epoch = self._app.consumer, self._continuity.epoch
            if not self._blocks or consumer.epoch != epoch:
                return
            taken = {tp: blocks.take() for tp, blocks in self._blocks.items()}
            await self._publisher.send(m for s in taken.values() for m in self._messages(s))
            await asyncio.sleep(0.02)  # a broker as slow as one across a network
            if consumer.epoch != epoch:
                return
            later = {tp: _as_it_stands(blocks) for tp, blocks in self._blocks.items()}
            await self._progress.tell({tp.partition: summarise._reached(s) for tp, s in later.items()})
            for tp, snapshot in later.items():
                start = self._floors[tp] = snapshot.origin.start
                consumer.commit_to(tp, snapshot.position, epoch, str(snapshot.origin.watermark), resume_at=start)

    summarise.Summarise._send = send  # type: ignore[method-assign]


def _as_it_stands(blocks: Any) -> Any:
    from driftline.streams.blocks import Origin, Snapshot

    block = blocks._open
    start, watermark = (blocks.position, blocks.watermark) if block is None else (block.start, block.watermark)
    return Snapshot([], [], Origin(start, watermark, whole=True), blocks.position, blocks.watermark, blocks.newest)


def late_by_the_order_of_reading() -> None:
    """Judge lateness against the greatest event time of whatever this process has read, of any partition (flaw 4)."""
    from driftline.streams import reading

    read = reading.Reader.read
    greatest = 0

    def by_process(self: Any, items: Decoded, watermark: int) -> tuple[list[ModelRows], list[Rejected], int, int]:
        nonlocal greatest
        rows, rejected, reached, newest = read(self, items, max(watermark, greatest))
        greatest = max(greatest, reached)
        return rows, rejected, reached, newest

    reading.Reader.read = by_process  # type: ignore[method-assign]


def no_compare_and_swap() -> None:
    """Write whatever the cursor says by now (flaw 8)."""
    from driftline.store import cursors, detection, join

    advance = cursors.advance

    def anyhow(conn: Any, table: Any, key: Any, expected: int | None, values: Any) -> bool:
        if not advance(conn, table, key, expected, values):
            statement = table.update().values(**values)
            for name, value in key.items():
                statement = statement.where(table.c[name] == value)
            conn.execute(statement)
        return True

    setattr(detection, "advance", anyhow)  # noqa: B010 - both have it from `cursors`, and export nothing
    setattr(join, "advance", anyhow)  # noqa: B010


def blocks_end_by_the_timer() -> None:
    """End the open block with every flush, at whichever record that finds it (flaw 6, mended without a thought)."""
    from driftline.streams import blocks

    take = blocks.SourceBlocks.take

    def by_the_timer(self: blocks.SourceBlocks) -> blocks.Snapshot:
        if self._open is not None:
            self._finish(self._open, self._open.next)
        return take(self)

    blocks.SourceBlocks.take = by_the_timer  # type: ignore[method-assign]


FLAWS: dict[str, Callable[[], None]] = {
    flaw.__name__: flaw
    for flaw in (
        commits_at_the_tip,
        forgets_too_early,
        torn_snapshot,
        late_by_the_order_of_reading,
        blocks_end_by_the_timer,
        no_compare_and_swap,
    )
}
