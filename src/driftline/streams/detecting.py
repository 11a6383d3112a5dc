"""The detect step: summaries to findings, alerts and triggers, the state in SQL with the offsets it contains."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from faust.types import TP
from sqlalchemy import Engine

from driftline.contracts.errors import StaleState
from driftline.contracts.settings import Settings
from driftline.contracts.topics import SUMMARIES, topic_name
from driftline.health.samples import Samples
from driftline.store import detection
from driftline.streams.continuity import Continuity, Fit
from driftline.streams.detect.partition import DetectPartition
from driftline.streams.detect.pending import Counters
from driftline.streams.publishing import Publisher
from driftline.streams.reading import Record
from driftline.streams.sql_thread import SqlThread
from driftline.streams.transport import Batch, DriftApp

log = logging.getLogger("driftline.detect")


class Detect:
    """Glue: batches in, one transaction each, then what it left to be said."""

    def __init__(self, app: DriftApp, settings: Settings, engine: Engine, sql: SqlThread) -> None:
        self._app = app
        self._settings = settings
        self._engine = engine
        self._sql = sql
        self._topic = topic_name(SUMMARIES, settings.kafka)
        self._publisher = Publisher(app, settings.kafka)
        self._partitions: dict[TP, DetectPartition] = {}
        self._quiet: dict[TP, int | None] = {}
        self._continuity = Continuity()
        self._working = asyncio.Lock()
        app.telemetry.views.append(self._show)

    async def position(self, tp: TP) -> int | None:
        """Return where SQL says that the partition goes on."""
        held = await self._sql.run(detection.positions, self._engine)
        return next((p.next_offset for p in held if p.q == tp.partition), None)

    async def take(self, batch: Batch) -> None:
        """Take one batch in."""
        async with self._working:
            self._renew()
            if self._continuity.judge(batch, self._app.consumer) is not Fit.NEXT:
                return
            partition = await self._open(batch.tp)
            await self._save(batch.tp, partition, batch.records, batch.epoch)

    async def open_all(self) -> None:
        """Open what has been assigned, publish what an earlier owner left to be said, and save what has waited for long enough."""
        async with self._working:
            self._renew()
            epoch = self._app.consumer.epoch
            for tp in self._app.consumer.assignment():
                if tp.topic == self._topic and tp not in self._partitions:
                    partition = await self._open(tp)
                    await self._publisher.publish_outbox(self._sql, self._engine, partition.owner)
            for tp, partition in list(self._partitions.items()):
                if partition.next_offset == self._quiet.get(tp):  # nothing has come since the last look: whoever asks SQL shall see all of it
                    await self._commit(tp, partition, partition.checkpoint, epoch)
                else:
                    await self._save(tp, partition, (), epoch)
                self._quiet[tp] = partition.next_offset
                await self._sql.run(partition.let_go)

    async def save_due(self) -> None:
        """Save what has waited for a checkpoint interval, where that is shorter than the time between two looks."""
        async with self._working:
            self._renew()
            for tp, partition in list(self._partitions.items()):
                if partition.next_offset != partition.stored:
                    await self._save(tp, partition, (), self._app.consumer.epoch)

    async def finish(self) -> None:
        """Save what the memory is ahead of SQL by: whoever reads on begins there."""
        async with self._working:
            epoch = self._app.consumer.epoch
            if self._continuity.epoch == epoch:
                for tp, partition in list(self._partitions.items()):
                    await self._commit(tp, partition, partition.checkpoint, epoch)

    async def _save(self, tp: TP, partition: DetectPartition, records: Sequence[Record], epoch: int) -> None:
        """Let a partition take records; once it has committed, say what that left to be said, and let Kafka know how far SQL is."""
        await self._commit(tp, partition, partial(partition.apply, records), epoch)

    async def _commit(self, tp: TP, partition: DetectPartition, step: Callable[[], bool], epoch: int) -> None:
        try:
            saved = await self._sql.run(step)
        except StaleState as error:
            self._app.consumer.rewind(str(error))
            return
        self._count(partition)
        if saved and partition.stored is not None:
            await self._publisher.publish_outbox(self._sql, self._engine, partition.owner)
            self._app.consumer.commit_to(tp, partition.stored, epoch)

    def _count(self, partition: DetectPartition) -> None:
        counted, partition.counters = partition.counters, Counters()
        for outcome in ("applied", "superseded", "repeated", "undecodable"):
            self._app.telemetry.count("driftline_summaries_total", getattr(counted, outcome), outcome)
        self._app.telemetry.count("driftline_parts_after_close_total", counted.after_close)
        self._app.telemetry.count("driftline_parts_overtaken_total", counted.overtaken)
        if counted.overtaken:
            log.warning(
                "%d parts came for panes that newer ones had closed before (a partition had been idle): they count in their windows only",
                counted.overtaken,
                extra={"fields": {"event": "overtaken", "parts": counted.overtaken}},
            )

    def _show(self, samples: Samples) -> None:
        for partition in list(self._partitions.values()):
            partition.show(samples)

    async def _open(self, tp: TP) -> DetectPartition:
        partition = self._partitions.get(tp)
        if partition is None:
            partition = self._partitions[tp] = await self._sql.run(DetectPartition, self._engine, self._settings, tp.partition)
        return partition

    def _renew(self) -> None:
        if self._continuity.renew(self._app.consumer.epoch):
            self._partitions, self._quiet = {}, {}
