"""The join step: predictions and labels into outcomes, in SQL with the offsets they came from; what changed goes to detect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from faust.types import TP
from sqlalchemy import Engine

from driftline.contracts.errors import StaleState
from driftline.contracts.settings import Settings
from driftline.contracts.times import parse_duration
from driftline.contracts.topics import INFERENCE_EVENTS, LABEL_EVENTS, Topic, topic_name
from driftline.health.ages import show_age
from driftline.health.samples import Samples
from driftline.store import join
from driftline.store.join import JoinChange
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import OutcomeChange
from driftline.streams.admission import Admission
from driftline.streams.continuity import Continuity, Fit
from driftline.streams.dead_letters import letter_row
from driftline.streams.giving_way import Way
from driftline.streams.joining import CountedAs, delta_rows, read_labels
from driftline.streams.letting_go import OldOutcomes
from driftline.streams.predictions import Poll, PredictionReader
from driftline.streams.progress import ProgressTeller, Reached
from driftline.streams.publishing import Publisher
from driftline.streams.reading import Record, Rejected
from driftline.streams.records import before
from driftline.streams.reference_feed import ReferenceFeed
from driftline.streams.source_progress import SourceProgress
from driftline.streams.sql_thread import SqlThread, two_threads
from driftline.streams.transport import Batch, DriftApp

Read = Callable[[Sequence[Record], Settings], Poll]


#: Outcomes wait for labels: that nothing came of a batch need not be told at once, each time to all partitions of the summaries.
_TELL_EVERY_S = 0.2
#: After a batch of so many records the next one is not far.
_MORE_FOLLOW = 256


class Join:
    """Glue for one of the two source topics."""

    def __init__(self, app: DriftApp, settings: Settings, engine: Engine, sql: SqlThread, way: Way, *, topic: Topic, read: Read) -> None:
        self._app = app
        self._settings = settings
        self._engine = engine
        self._sql = sql
        self._source = topic.name
        self._topic = topic_name(topic, settings.kafka)
        self._read = read
        self._feed = ReferenceFeed(sql, engine, 0)
        self._admission = Admission(sql, engine, settings, self._feed)
        self._publisher = Publisher(app, settings.kafka)
        self._reached: dict[TP, Reached] = {}
        self._opened: set[TP] = set()
        self._told_at = 0.0
        self._continuity = Continuity()
        self._old = OldOutcomes(sql, engine, self._source, parse_duration(settings.retention.outcomes))
        self._way = way
        self._working = asyncio.Lock()
        teller = ProgressTeller(f"join/{self._source}", settings.kafka.partitions, self._publisher)
        self._progress = SourceProgress(app, self._topic, teller, parse_duration(settings.worker.idle_timeout))
        app.telemetry.views.append(self._show)

    async def position(self, tp: TP) -> int | None:
        """Return where SQL says that the partition goes on."""
        return await self._sql.run(join.cursor, self._engine, self._source, tp.partition)

    async def take(self, batch: Batch) -> None:
        """Take one batch in: one transaction, then what it left to be said."""
        async with self._working:
            self._renew(self._app.consumer.epoch)
            if self._continuity.judge(batch, self._app.consumer) is not Fit.NEXT:
                return
            known = await self._known(batch.tp)
            expected = known.position or None
            records = batch.records[before(batch.records, known.position) :]
            poll = self._read(records, self._settings)
            if poll.predictions or poll.labels:
                await self._feed.refresh()
            models = {p.model for p in poll.predictions}
            admitted = await self._admission.models(models)
            if len(admitted) < len(models):  # summarise makes dead letters of them
                poll.predictions = [p for p in poll.predictions if p.model in admitted]
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
            silent = batch.tp in self._opened
            if records:
                try:
                    said, judge = partial(self._said, batch.tp, batch.next, poll.rejected), CountedAs(self._settings, self._feed.book)
                    async with self._way.turn(len(poll.predictions), len(poll.labels)):
                        changes = await self._sql.run(join.apply, self._engine, change, said, judge, self._way.rivals)
                except StaleState as error:
                    self._app.consumer.rewind(str(error))
                    return
                silent = silent and not changes and not poll.rejected
                self._app.telemetry.count("driftline_join_rows_total", len(poll.predictions), "prediction")
                self._app.telemetry.count("driftline_join_rows_total", len(poll.labels), "label")
            await self._tell(batch.tp, reached, silent=silent, more=len(batch.records) >= _MORE_FOLLOW)
            self._app.consumer.commit_to(batch.tp, batch.next, batch.epoch)

    async def look_for_idle(self) -> None:
        """Publish what an earlier owner left, and tell which partitions have been read to their end for good."""
        async with self._working:
            self._renew(self._app.consumer.epoch)
            for tp in [tp for tp in self._app.consumer.assignment() if tp.topic == self._topic and tp not in self._opened]:
                await self._tell(tp, await self._known(tp))
            await self._progress.tell({tp.partition: reached for tp, reached in self._reached.items()})
            await self._progress.look_for_idle(self._reached_now)
        # One worker does it for all: whoever has the first partition of predictions, silent or not. Batches are taken in meanwhile.
        if self._source == INFERENCE_EVENTS.name and TP(self._topic, 0) in self._app.consumer.assignment():
            await self._old.let_go()

    async def _tell(self, tp: TP, reached: Reached, *, silent: bool = False, more: bool = False) -> None:
        """Publish what is left to be said (nothing where a transaction was ``silent``), and how far that reaches: at once, unless more follows."""
        if not silent:
            await self._publisher.publish_outbox(self._sql, self._engine, self._owner(tp))
        self._opened.add(tp)
        self._reached[tp] = reached
        now = time.monotonic()
        if not more or now - self._told_at >= _TELL_EVERY_S:
            # Whatever it is, it costs a message to every partition of the summaries: of all partitions together.
            self._told_at = now
            await self._progress.tell({tp.partition: reached for tp, reached in self._reached.items()})

    def _said(self, tp: TP, sequence: int, rejected: Sequence[Rejected], changes: Sequence[OutcomeChange]) -> list[OutboxRow]:
        owner = self._owner(tp)
        self._count(changes)
        deltas = delta_rows(changes, owner=owner, source=self._source, partition=tp.partition, sequence=sequence, book=self._feed.book)
        return deltas + [letter_row(owner, one, "join", self._settings.limits) for one in rejected]

    def _count(self, changes: Sequence[OutcomeChange]) -> None:
        completed, withdrawn = sum(old is None for old, _ in changes), sum(new is None for _, new in changes)
        for change, n in (("completed", completed), ("withdrawn", withdrawn), ("corrected", len(changes) - completed - withdrawn)):
            self._app.telemetry.count("driftline_join_outcomes_total", n, change)

    def _show(self, samples: Samples) -> None:
        show_age(samples, f"join/{self._source}", [reached.watermark for reached in list(self._reached.values())])
        if self._source == INFERENCE_EVENTS.name:
            for name, model in self._settings.models.items():
                samples.add("driftline_outcome_sample_ratio", model.outcome_sample, name)

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


def joins(app: DriftApp, settings: Settings, engine: Engine) -> tuple[Join, Join]:
    """Return the two halves of the join: predictions and labels."""
    (first, second), way = two_threads(engine), Way()
    return (
        Join(app, settings, engine, first, way, topic=INFERENCE_EVENTS, read=PredictionReader()),
        Join(app, settings, engine, second, way, topic=LABEL_EVENTS, read=read_labels),
    )
