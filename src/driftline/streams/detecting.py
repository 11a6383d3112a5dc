"""The detect step: summaries to findings, alerts and triggers, the state in SQL with the offsets it contains."""

from __future__ import annotations

import asyncio

from faust.types import TP
from sqlalchemy import Engine

from driftline.contracts.errors import StaleState
from driftline.contracts.settings import Settings
from driftline.contracts.topics import SUMMARIES, topic_name
from driftline.store import detection
from driftline.streams.continuity import Continuity, Fit
from driftline.streams.detect.partition import DetectPartition
from driftline.streams.publishing import Publisher
from driftline.streams.sql_thread import SqlThread
from driftline.streams.transport import Batch, DriftApp


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
        self._continuity = Continuity()
        self._working = asyncio.Lock()

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
            try:
                await self._sql.run(partition.apply, batch.records)
            except StaleState as error:
                self._app.consumer.rewind(str(error))
                return
            await self._publisher.publish_outbox(self._sql, self._engine, partition.owner)
            self._app.consumer.commit_to(batch.tp, batch.next, batch.epoch)

    async def open_all(self) -> None:
        """Open what has been assigned, and publish what an earlier owner left to be said."""
        async with self._working:
            self._renew()
            for tp in self._app.consumer.assignment():
                if tp.topic == self._topic and tp not in self._partitions:
                    partition = await self._open(tp)
                    await self._publisher.publish_outbox(self._sql, self._engine, partition.owner)

    async def _open(self, tp: TP) -> DetectPartition:
        partition = self._partitions.get(tp)
        if partition is None:
            partition = self._partitions[tp] = await self._sql.run(DetectPartition, self._engine, self._settings, tp.partition)
        return partition

    def _renew(self) -> None:
        if self._continuity.renew(self._app.consumer.epoch):
            self._partitions = {}
