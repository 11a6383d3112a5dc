"""The join step: predictions and labels into outcomes, in SQL with the offsets they came from; what changed goes to detect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from faust.types import TP
from sqlalchemy import Engine

from driftline.contracts.errors import StaleState
from driftline.contracts.settings import Settings
from driftline.contracts.times import parse_duration
from driftline.contracts.topics import INFERENCE_EVENTS, LABEL_EVENTS, Topic, topic_name
from driftline.store import join
from driftline.store.join import JoinChange
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import OutcomeChange
from driftline.streams.continuity import Continuity, Fit
from driftline.streams.dead_letters import letter_row
from driftline.streams.joining import Poll, delta_rows, read_labels, read_predictions
from driftline.streams.progress import ProgressTeller, Reached
from driftline.streams.publishing import Publisher
from driftline.streams.reading import Record, Rejected
from driftline.streams.reference_feed import ReferenceFeed
from driftline.streams.source_progress import SourceProgress
from driftline.streams.sql_thread import SqlThread
from driftline.streams.transport import Batch, DriftApp

Read = Callable[[Sequence[Record], Settings], Poll]


class Join:
    """Glue for one of the two source topics."""

    def __init__(self, app: DriftApp, settings: Settings, engine: Engine, sql: SqlThread, *, topic: Topic, read: Read) -> None:
        self._app = app
        self._settings = settings
        self._engine = engine
        self._sql = sql
        self._source = topic.name
        self._topic = topic_name(topic, settings.kafka)
        self._read = read
        self._feed = ReferenceFeed(sql, engine, 0)
        self._publisher = Publisher(app, settings.kafka)
        self._reached: dict[TP, Reached] = {}
        self._opened: set[TP] = set()
        self._continuity = Continuity()
        self._working = asyncio.Lock()
        teller = ProgressTeller(f"join/{self._source}", settings.kafka.partitions, self._publisher)
        self._progress = SourceProgress(app, self._topic, teller, parse_duration(settings.worker.idle_timeout))

    async def position(self, tp: TP) -> int | None:
        """Return where SQL says that the partition goes on."""
        return await self._sql.run(join.cursor, self._engine, self._source, tp.partition)

    async def take(self, batch: Batch) -> None:
        """Take one batch in: one transaction, then what it left to be said."""
        async with self._working:
            self._renew(self._app.consumer.epoch)
            if self._continuity.judge(batch, self._app.consumer) is not Fit.NEXT:
                return
            await self._feed.refresh()
            expected = await self.position(batch.tp)
            records = [r for r in batch.records if r.offset >= (expected or 0)]
            poll = await self._sql.run(self._read, records, self._settings)
            known = await self._known(batch.tp)
            reached = Reached(batch.next, max(known.watermark, poll.watermark), 0, max(known.newest, poll.newest))
            change = JoinChange(
                source=self._source,
                partition=batch.tp.partition,
                expected_next=expected,
                next_offset=batch.next,
                watermark=reached.watermark,
                predictions=poll.predictions,
                labels=poll.labels,
            )
            if records:
                try:
                    await self._sql.run(join.apply, self._engine, change, partial(self._said, batch.tp, batch.next, poll.rejected))
                except StaleState as error:
                    self._app.consumer.rewind(str(error))
                    return
            await self._tell(batch.tp, reached)
            self._app.consumer.commit_to(batch.tp, batch.next, batch.epoch)

    async def look_for_idle(self) -> None:
        """Publish what an earlier owner left, and tell which partitions have been read to their end for good."""
        async with self._working:
            self._renew(self._app.consumer.epoch)
            for tp in [tp for tp in self._app.consumer.assignment() if tp.topic == self._topic and tp not in self._opened]:
                await self._tell(tp, await self._known(tp))
            await self._progress.look_for_idle(self._reached_now)

    async def _tell(self, tp: TP, reached: Reached) -> None:
        await self._publisher.publish_outbox(self._sql, self._engine, self._owner(tp))
        self._opened.add(tp)
        self._reached[tp] = reached
        await self._progress.tell({tp.partition: reached})

    def _said(self, tp: TP, sequence: int, rejected: Sequence[Rejected], changes: Sequence[OutcomeChange]) -> list[OutboxRow]:
        owner = self._owner(tp)
        deltas = delta_rows(
            changes, owner=owner, source=self._source, partition=tp.partition, sequence=sequence, settings=self._settings, book=self._feed.book
        )
        return deltas + [letter_row(owner, one, "join") for one in rejected]

    async def _known(self, tp: TP) -> Reached:
        """Return how far the partition has been joined, by whoever did it."""
        if tp in self._reached:
            return self._reached[tp]
        stored = await self._sql.run(join.position, self._engine, self._source, tp.partition)
        return Reached(0, 0) if stored is None else Reached(stored.next_offset, stored.watermark)

    def _reached_now(self, tp: TP) -> Reached | None:
        return self._reached.get(tp)

    def _renew(self, epoch: int) -> None:
        if self._continuity.renew(epoch):
            self._reached, self._opened = {}, set()

    def _owner(self, tp: TP) -> str:
        return f"join:{self._source}:{tp.partition}"


def joins(app: DriftApp, settings: Settings, engine: Engine, sql: SqlThread) -> tuple[Join, Join]:
    """Return the two halves of the join: predictions and labels."""
    return (
        Join(app, settings, engine, sql, topic=INFERENCE_EVENTS, read=read_predictions),
        Join(app, settings, engine, sql, topic=LABEL_EVENTS, read=read_labels),
    )
