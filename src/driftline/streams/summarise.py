"""The summarise step: inference events to summaries. Its only state is the open block, begun anew by whoever owns the partition next."""

from __future__ import annotations

import asyncio
from functools import partial

from faust.types import TP
from sqlalchemy import Engine

from driftline.contracts.cutting import Cuts
from driftline.contracts.settings import Settings
from driftline.contracts.times import parse_duration
from driftline.contracts.topics import INFERENCE_EVENTS, SUMMARIES, topic_name
from driftline.health.ages import show_age
from driftline.health.samples import Samples
from driftline.store import block_cuts
from driftline.streams.admission import Admission
from driftline.streams.blocks import Origin, Snapshot, SourceBlocks
from driftline.streams.continuity import Continuity, Fit
from driftline.streams.dead_letters import letter_message
from driftline.streams.detect.clock import SUMMARISE
from driftline.streams.progress import ProgressTeller, Reached
from driftline.streams.publishing import Message, Publisher
from driftline.streams.records import in_a_row, value_sizes
from driftline.streams.reference_feed import ReferenceFeed
from driftline.streams.sizing import encode_sized
from driftline.streams.source_progress import SourceProgress
from driftline.streams.sql_thread import SqlThread
from driftline.streams.summarising import builder_of, cut_of, reader_of
from driftline.streams.transport import Batch, DriftApp
from driftline.streams.transport.positions import StartPosition

#: A flush is due at once when so many finished summaries wait, so that a burst is not held in memory.
_PENDING_MOST = 256
#: So few records, of so few bytes, wait for more.
_FEW, _FEW_BYTES = 512, 256 << 10


class Summarise:
    """Glue: batches in, summaries out, commits that say where the open block starts."""

    def __init__(self, app: DriftApp, settings: Settings, engine: Engine) -> None:
        self._app = app
        self._settings = settings
        self._engine = engine
        self._publisher = Publisher(app, settings.kafka)
        sql = self._sql = SqlThread()
        self._feed = ReferenceFeed(sql, engine, parse_duration(settings.worker.version_wait))
        self._admission = Admission(sql, engine, settings, self._feed)
        self._reader = reader_of(settings, self._feed.book)
        self._builder = builder_of(settings)
        self._cut = cut_of(settings)
        self._cuts: dict[TP, tuple[int, Cuts]] = {}
        self._blocks: dict[TP, SourceBlocks] = {}
        self._floors: dict[TP, int] = {}
        self._continuity = Continuity()
        #: Batches of the epoch that are still to be read.
        self._waiting: dict[TP, list[Batch]] = {}
        self._reading, self._flushing = asyncio.Lock(), asyncio.Lock()
        app.telemetry.views.append(self._show)
        teller = ProgressTeller(SUMMARISE, settings.kafka.partitions, self._publisher)
        topic = topic_name(INFERENCE_EVENTS, settings.kafka)
        self._progress = SourceProgress(app, topic, teller, parse_duration(settings.worker.idle_timeout))

    async def take(self, batch: Batch) -> None:
        """Take one batch in. A few records are not read at once but with those that follow, by the next flush at the latest: a stream of ten events a
        second and partition brings each by itself, and each would cost what a thousand have in common.
        """
        if not self._begun(batch):
            return
        waiting = self._waiting.setdefault(batch.tp, [])
        waiting.append(batch)
        if not _few(waiting):
            await self._read(batch.tp)

    async def _read(self, tp: TP) -> None:
        """Read what waits of a partition, in pieces that fit in memory."""
        async with self._reading:
            waiting = self._waiting.get(tp, [])
            batches = tuple(waiting)
            if not batches or batches[0].epoch != self._app.consumer.epoch:
                return
            epoch = batches[0].epoch
            await self._feed.refresh()
            for piece in self._reader.pieces(in_a_row([batch.records for batch in batches])):
                items = await self._admission.judged(piece)
                await self._feed.wait_for(items.versions())
                await self._settle(tp, epoch)
                if self._app.consumer.epoch != epoch:
                    return
                blocks = self._blocks.get(tp)
                if blocks is None:
                    blocks = self._blocks[tp] = self._begin(tp)
                blocks.feed(items.part(items.before(blocks.position)))
                if blocks.pending > _PENDING_MOST:
                    await self._send()
            # Not sooner: whoever is cancelled on the way leaves them for the last flush, and what has been read of them is not read again.
            del waiting[: len(batches)]

    def _begun(self, batch: Batch) -> bool:
        """Say whether a batch is to be read, forgetting what belongs to an older epoch."""
        known = self._continuity.epoch
        if self._continuity.judge(batch, self._app.consumer) is not Fit.NEXT:
            return False
        if self._continuity.epoch != known:
            self._blocks, self._floors, self._waiting = {}, {}, {}
        return True

    async def flush(self) -> None:
        """Read what waits for more, and send what has changed."""
        for tp in list(self._waiting):
            await self._read(tp)
        await self._send()

    async def _send(self) -> None:
        """Send what has changed and, once the broker has it, say how far that reaches and what may be committed."""
        async with self._flushing:
            consumer, epoch = self._app.consumer, self._continuity.epoch
            if not self._blocks or consumer.epoch != epoch:
                return
            taken = {tp: blocks.take() for tp, blocks in self._blocks.items()}  # one snapshot, nothing awaited in between
            self._count()
            await self._publisher.send(m for snapshot in taken.values() for m in self._messages(snapshot))
            await self._progress.tell({tp.partition: _reached(snapshot) for tp, snapshot in taken.items()})
            if consumer.epoch != epoch:
                return
            for tp, snapshot in taken.items():
                origin = snapshot.origin
                self._floors[tp] = origin.start
                # What has been read is committed, so that the group's lag is one; whoever reads on begins the open block anew.
                reached = consumer.position_after(tp, snapshot.position)
                consumer.commit_to(tp, reached, epoch, str(origin.watermark), resume_at=origin.start if origin.whole else None)

    async def look_for_idle(self) -> None:
        """Tell which partitions have been read to their end for good."""
        async with self._flushing:
            await self._progress.look_for_idle(self._reached_now)

    def _reached_now(self, tp: TP) -> Reached | None:
        consumer = self._app.consumer
        known = self._continuity.epoch == consumer.epoch
        if known and self._waiting.get(tp):
            return None
        blocks = self._blocks.get(tp) if known else None
        if blocks is not None:
            return Reached(blocks.position, blocks.watermark, self._floors.get(tp, 0), blocks.newest) if blocks.clean else None
        try:
            start = consumer.start_of(tp)
        except KeyError:
            return None
        return Reached(start.offset, _watermark(start.note), start.offset)

    def _count(self) -> None:
        for blocks in self._blocks.values():
            for name, counts in (("driftline_events_total", blocks.events), ("driftline_events_late_total", blocks.late)):
                for model, n in counts.items():
                    self._app.telemetry.count_of_model(name, n, model)
                counts.clear()

    def _show(self, samples: Samples) -> None:
        show_age(samples, INFERENCE_EVENTS.name, [blocks.watermark for blocks in list(self._blocks.values())])

    def _begin(self, tp: TP) -> SourceBlocks:
        _, cuts = self._cuts[tp]
        origin = _origin(self._app.consumer.start_of(tp), cuts)
        return SourceBlocks(tp.partition, origin, cuts=cuts, reader=self._reader, new_builder=self._builder)

    async def _settle(self, tp: TP, epoch: int) -> None:
        """Know how the partition is cut, before the first batch of an epoch is read."""
        if self._cuts.get(tp, (-1, None))[0] == epoch or self._app.consumer.epoch != epoch:
            return
        start = self._app.consumer.start_of(tp)
        settle = partial(block_cuts.settle, self._engine, tp.partition, self._cut, start.end, fresh=start.committed is None)
        self._cuts[tp] = epoch, await self._sql.run(settle)

    def _messages(self, snapshot: Snapshot) -> list[Message]:
        summaries = [Message(SUMMARIES.name, s.model.encode(), encode_sized(s)) for s in snapshot.summaries]
        return summaries + [letter_message(rejected, "summarise", self._settings.limits) for rejected in snapshot.rejected]


def _few(batches: list[Batch]) -> bool:
    if sum(len(batch.records) for batch in batches) >= _FEW:
        return False
    return sum(sum(value_sizes(batch.records)) for batch in batches) < _FEW_BYTES


def _reached(snapshot: Snapshot) -> Reached:
    return Reached(snapshot.position, snapshot.watermark, snapshot.origin.start, snapshot.newest)


def _origin(start: StartPosition, cuts: Cuts) -> Origin:
    """Return where to begin. A block begins where a commit says so and the log still has it, else at an aligned offset only."""
    whole = (start.resumed and not start.lost) or start.offset == cuts.floor(start.offset)
    return Origin(start.offset, _watermark(start.note), whole)


def _watermark(note: str) -> int:
    """Return the watermark that a commit carries: what is late must not depend on where a new owner happened to begin."""
    return int(note) if note.isascii() and note.isdecimal() else 0
