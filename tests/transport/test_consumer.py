"""The consumer between Faust and a thread that answers what the test wants: what a real broker does too seldom."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.errors import IllegalStateError, KafkaError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from driftline.streams.received import Records
from driftline.streams.transport import Batch, DriftApp, TransportSettings
from driftline.streams.transport.consumer import BatchConsumer
from driftline.streams.transport.positions import LogBounds
from driftline.streams.transport.producer import IdempotentProducer
from driftline.streams.transport.thread import Poll
from driftline.streams.transport.tracker import Commit

A, B = TP("a", 0), TP("a", 1)
SETTINGS = TransportSettings(poll_timeout_s=0.01, revoke_deadline_s=0.3)


@dataclass
class Log:
    """A log of 100 offsets a partition, and the thread that reads it."""

    assigned: set[TP] = field(default_factory=lambda: {A, B})
    position: dict[TP, int] = field(default_factory=dict)
    commits: dict[TP, Commit] = field(default_factory=dict)
    seeks: int = 0
    failures: list[BaseException] = field(default_factory=list)
    commit_succeeds: bool = True
    commit_takes_s: float = 0.0
    during_poll: Callable[[], object] = lambda: None

    def assignment(self) -> set[TP]:
        return self.assigned

    async def log_bounds(self, tps: Iterable[TP]) -> Mapping[TP, LogBounds]:
        none = Commit(0, "")
        return {tp: LogBounds(*self.commits.get(tp, none), earliest=0, end=100) for tp in tps}

    async def seek_all(self, offsets: Mapping[TP, int]) -> None:
        self.seeks += 1
        if self.failures and isinstance(self.failures[0], IllegalStateError):
            raise self.failures.pop()
        self.position.update(offsets)

    async def poll(self, active: set[TP], timeout_s: float) -> Poll:
        if self.failures:
            raise self.failures.pop()
        found = {tp: [record(tp, o) for o in range(self.position[tp], min(self.position[tp] + 10, 100))] for tp in active}
        self.position.update({tp: records[-1].offset + 1 for tp, records in found.items() if records})
        await asyncio.sleep(0)
        self.during_poll()
        return Poll({tp: Records(tp.topic, tp.partition, records) for tp, records in found.items() if records}, dict(self.position))

    async def write(self, commits: Mapping[TP, Commit]) -> bool:
        await asyncio.sleep(self.commit_takes_s)
        if self.commit_succeeds:
            self.commits.update(commits)
        return self.commit_succeeds


def record(tp: TP, offset: int) -> Any:
    return ConsumerRecord(tp.topic, tp.partition, offset, 0, 0, None, b"v", None, 0, 1, ())


def reading(log: Log) -> BatchConsumer:
    app = DriftApp("app", broker="kafka://127.0.0.1:1", transport_settings=SETTINGS)
    consumer = app.consumer
    consumer._thread.thread_loop.close()
    consumer._thread = log  # type: ignore[assignment]
    consumer._set_active_tps(log.assigned)
    consumer.resume_flow()
    return consumer


async def batches(consumer: BatchConsumer, polls: int = 1) -> list[Batch]:
    return [m async for _ in times(polls) async for _, m in consumer.getmany(1.0) if isinstance(m, Batch)]


async def times(n: int) -> AsyncIterator[int]:
    for i in range(n):
        yield i


def spans(found: Iterable[Batch]) -> set[tuple[int, int, int]]:
    return {(b.tp.partition, b.first, b.next) for b in found}


def test_a_reader_that_is_cancelled_with_records_in_hand_reads_them_again() -> None:
    async def scenario() -> None:
        consumer = reading(Log())
        reader = consumer.getmany(1.0)
        await anext(reader)
        await reader.aclose()  # type: ignore[attr-defined]  # an async generator
        first = consumer.epoch
        assert spans(await batches(consumer)) == {(0, 0, 10), (1, 0, 10)}
        assert consumer.epoch == first + 1

        never_answers = asyncio.create_task(batches(consumer))
        await asyncio.sleep(0)
        never_answers.cancel()
        await asyncio.wait([never_answers])
        assert spans(await batches(consumer)) == {(0, 0, 10), (1, 0, 10)}

    asyncio.run(scenario())


def test_what_was_fetched_for_an_epoch_that_ended_meanwhile_is_read_again() -> None:
    async def scenario() -> None:
        log = Log()
        consumer = reading(log)
        await batches(consumer)
        log.during_poll = lambda: consumer.rewind("test")
        assert await batches(consumer) == []
        log.during_poll = lambda: None
        assert spans(await batches(consumer)) == {(0, 0, 10), (1, 0, 10)}
        assert log.seeks == 2

    asyncio.run(scenario())


def test_a_rewind_between_two_batches_of_one_poll_keeps_the_second_back() -> None:
    async def scenario() -> None:
        consumer = reading(Log())
        found = []
        async for _, batch in consumer.getmany(1.0):
            found.append(batch)
            consumer.rewind("test")
        assert len(found) == 1
        assert spans(await batches(consumer)) == {(0, 0, 10), (1, 0, 10)}

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [OffsetOutOfRangeError({A: 10}), IllegalStateError("not assigned"), KafkaError()])
def test_an_error_of_the_broker_leads_back_to_the_last_state(error: BaseException) -> None:
    async def scenario() -> None:
        log = Log()
        consumer = reading(log)
        first = await batches(consumer)
        consumer.commit_to(A, 5, consumer.epoch, "m")
        await consumer.commit()
        log.failures.append(error)
        if isinstance(error, IllegalStateError):
            consumer.rewind("so that it seeks")
        assert await batches(consumer) == []
        again = await batches(consumer)
        assert spans(again) == {(0, 5, 15), (1, 0, 10)}
        assert {b.follows for b in again} == {None}
        assert again[0].epoch > first[0].epoch
        assert consumer.start_of(A).metadata == "m"

    asyncio.run(scenario())


def test_a_rewind_or_a_seek_without_an_assignment_waits_for_one() -> None:
    async def scenario() -> None:
        log = Log(assigned=set())
        consumer = reading(log)
        consumer.rewind("test")
        await consumer.perform_seek()
        assert await batches(consumer, polls=3) == []
        assert await consumer.progress() is None or await consumer.progress() == {}
        log.assigned = {A}
        consumer._set_active_tps(log.assigned)
        await consumer.perform_seek()
        assert spans(await batches(consumer)) == {(0, 0, 10)}

    asyncio.run(scenario())


def test_a_partition_that_is_running_but_not_yet_sought_is_not_read() -> None:
    async def scenario() -> None:
        log = Log(assigned=set())
        consumer = reading(log)
        assert await batches(consumer) == []
        consumer._set_active_tps({A})  # Faust lets it run before it has called for a seek
        log.position[A] = 50
        assert await batches(consumer) == []

    asyncio.run(scenario())


def test_a_commit_that_failed_is_written_with_the_next() -> None:
    async def scenario() -> None:
        log = Log(commit_succeeds=False)
        consumer = reading(log)
        await batches(consumer)
        consumer.commit_to(A, 10, consumer.epoch)
        assert not await consumer.commit()
        log.commit_succeeds = True
        assert await consumer.commit()
        assert log.commits == {A: Commit(10, "")}
        assert not await consumer.commit()

    asyncio.run(scenario())


def test_a_seek_waits_for_a_commit_under_way_and_begins_where_it_ended() -> None:
    async def scenario() -> None:
        log = Log(commit_takes_s=0.05)
        consumer = reading(log)
        await batches(consumer)
        consumer.commit_to(A, 10, consumer.epoch, "m")
        under_way = asyncio.create_task(consumer.commit())
        await asyncio.sleep(0)
        consumer.rewind("test")
        assert spans(await batches(consumer)) == {(0, 10, 20), (1, 0, 10)}
        assert consumer.start_of(A).metadata == "m"
        await under_way

    asyncio.run(scenario())


def test_acks_commit_nothing_count_once_and_let_a_rebalance_go_on() -> None:
    async def scenario() -> None:
        log = Log()
        consumer = reading(log)
        (batch, _) = await batches(consumer)
        consumer.track_message(batch)
        batch.incref()
        assert batch.ack(consumer)
        assert not batch.ack(consumer)
        assert not consumer.ack(batch)
        assert not consumer.unacked
        await consumer.wait_empty()
        assert log.commits == {}

    asyncio.run(scenario())


def test_before_partitions_go_the_batch_at_work_is_waited_for_and_committed() -> None:
    async def scenario() -> None:
        log = Log(commit_takes_s=0.05)
        consumer = reading(log)
        (batch, _) = await batches(consumer)
        consumer.track_message(batch)
        consumer.commit_to(batch.tp, 3, batch.epoch)
        timer = asyncio.create_task(consumer.commit())  # under way when the last offset is named

        async def work() -> None:
            await asyncio.sleep(0.03)
            consumer.commit_to(batch.tp, batch.next, batch.epoch)
            consumer.ack(batch)

        working = asyncio.create_task(work())
        await consumer.wait_empty()
        assert log.commits == {batch.tp: Commit(batch.next, "")}
        await asyncio.gather(timer, working)

    asyncio.run(scenario())


@pytest.mark.parametrize("under_way", [False, True])
def test_neither_a_batch_nor_a_commit_that_never_ends_holds_a_rebalance_up_beyond_the_deadline(under_way: bool) -> None:
    async def scenario() -> None:
        consumer = reading(Log(commit_takes_s=60.0))
        (batch, _) = await batches(consumer)
        consumer.track_message(batch)
        consumer.commit_to(batch.tp, 3, batch.epoch)
        timer = asyncio.create_task(consumer.commit() if under_way else asyncio.sleep(0))
        await asyncio.sleep(0)
        began = time.monotonic()
        await consumer.wait_empty()
        assert time.monotonic() - began < SETTINGS.revoke_deadline_s + 0.2
        timer.cancel()

    asyncio.run(scenario())


def test_the_producer_is_idempotent_and_waits_for_all_replicas() -> None:
    async def scenario() -> None:
        app = DriftApp("app", broker="kafka://127.0.0.1:1")
        assert isinstance(app.producer, IdempotentProducer)
        settings.update(app.producer._settings_default())
        settings.update(app.producer._settings_extra())

    settings: dict[str, object] = {}
    asyncio.run(scenario())
    assert settings["enable_idempotence"] is True
    assert settings["acks"] == "all"
