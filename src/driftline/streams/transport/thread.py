"""The part that lives in the consumer's thread: every question to the broker, each within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Transport
from faust.types import TP

from driftline.streams.received import Records
from driftline.streams.transport import answers, fetching, frames
from driftline.streams.transport.positions import LogBounds
from driftline.streams.transport.settings import TransportSettings
from driftline.streams.transport.tracker import Commit

if TYPE_CHECKING:
    from driftline.streams.transport.consumer import BatchConsumer

T = TypeVar("T")


class Poll(NamedTuple):
    """What one poll brought, and where the reader then stood: further than its records where the log holds markers."""

    records: Mapping[TP, Records]
    positions: Mapping[TP, int]


class ThreadStoppedError(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """The consumer's thread stopped before it had answered: nobody will."""


class BatchConsumerThread(AIOKafkaConsumerThread):
    """Faust's consumer thread, with commits that carry metadata, a fetch that waits for 50 ms, not 1,500, and an answer to every question."""

    def __init__(self, consumer: BatchConsumer, settings: TransportSettings, **kwargs: Any) -> None:
        self._settings = settings
        #: What was asked and not answered yet, and whether nothing will be any more: both of the asking loop.
        self._asked: set[asyncio.Future[Any]] = set()
        self._silent = False
        #: Whether the thread begins nothing any more: of its own loop.
        self._leaving = False
        # A loop of the same kind as the app's: uvloop's takes half as long over what is fetched as asyncio's own.
        super().__init__(consumer, thread_loop=type(consumer.loop)(), **kwargs)
        self._close_thread_loop_on_stop = True

    def _create_worker_consumer(self, transport: Transport) -> Any:
        frames.install()
        answers.install()
        fetching.install(self._settings.packed_topics)
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self._settings.fetch_max_wait_ms  # noqa: SLF001  # Faust hard-codes 1,500
        consumer._fetch_min_bytes = self._settings.fetch_min_bytes  # noqa: SLF001
        # What a service's transaction took back never happened.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        # Where to begin is our decision alone. With a policy, aiokafka would jump by itself when an offset is gone.
        consumer._auto_offset_reset = "none"  # noqa: SLF001
        return consumer

    async def on_thread_stop(self) -> None:
        """Leave the group where nobody comes back under this member's name: a static member would be waited for as long as a session."""
        coordinator = None if self._consumer is None else self._consumer._coordinator  # noqa: SLF001
        if coordinator is not None and cast("Any", self.consumer).app.leaves_for_good:
            coordinator._group_instance_id = None  # noqa: SLF001  # with one, aiokafka never leaves
        # The consumer has drained before it stops its thread. Faust would still make every call in the queue, one after the other.
        self._leaving = True
        await self.method_queue.stop()
        self.parent_loop.call_soon_threadsafe(self._fall_silent)
        await super().on_thread_stop()

    def _fall_silent(self) -> None:
        self._silent = True
        for promise in self._asked:
            if not promise.done():
                promise.set_exception(ThreadStoppedError())

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Have the thread call ``fun``; raises ThreadStoppedError where it stops first.

        With Faust's own, the stop waits for all that is in the queue, each with its own patience, and whoever asks after that waits for ever.
        """
        if self._silent:
            raise ThreadStoppedError
        promise = self.parent_loop.create_future()
        self._asked.add(promise)
        try:
            await self.method_queue.call(promise, self._unless_leaving, fun, *args, **kwargs)
            return await promise
        except asyncio.CancelledError as error:
            if promise.cancelled() or not promise.done():  # who asks was cancelled, not the call
                raise
            raise ThreadStoppedError from error
        finally:
            self._asked.discard(promise)

    def _unless_leaving(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._leaving:
            raise ThreadStoppedError
        return fun(*args, **kwargs)  # which Faust awaits if it can be

    async def poll(self, active: set[TP], timeout_s: float) -> Poll:
        """Return what is there of the ``active`` partitions, or wait for it up to ``timeout_s``."""
        return cast("Poll", await self.call_thread(self._poll, active, timeout_s))

    async def log_bounds(self, tps: Iterable[TP]) -> Mapping[TP, LogBounds]:
        """Ask for commits first and ends last, so that no commit can seem to lie beyond its end."""
        return cast("Mapping[TP, LogBounds]", await self.call_thread(self._log_bounds, list(tps)))

    async def seek_all(self, offsets: Mapping[TP, int]) -> None:
        """Read on from ``offsets``. Raises IllegalStateError if a partition isn't assigned any more."""
        await self.call_thread(self._seek_all, offsets)

    async def end_offsets(self, tps: Iterable[TP]) -> Mapping[TP, int]:
        """Ask the broker for the next offset of each partition."""
        return cast("Mapping[TP, int]", await self.call_thread(self._end_offsets, list(tps)))

    async def write(self, commits: Mapping[TP, Commit]) -> bool:
        """Commit; False if it could not be done now (a rebalance, no answer in time, a stop) and may be tried again."""
        try:
            return cast("bool", await self.call_thread(self._write, commits))
        except ThreadStoppedError:
            self.log.warning("Offsets not committed: the consumer's thread has stopped")
            return False

    async def _poll(self, active: set[TP], timeout_s: float) -> Poll:
        consumer = self._ensure_consumer()
        limit = consumer._max_poll_records  # noqa: SLF001
        records = await self._fetch_records(consumer, active, timeout=timeout_s, max_records=limit)
        # No await since: records and positions belong together.
        assignment = consumer._subscription.subscription.assignment  # noqa: SLF001
        states = {} if assignment is None else {tp: assignment.state_value(_kafka_tp(tp)) for tp in active}
        return Poll(
            {TP(*tp): cast("Records", found) for tp, found in records.items() if found},
            {tp: state.position for tp, state in states.items() if state is not None and state.has_valid_position},
        )

    async def _log_bounds(self, tps: list[TP]) -> Mapping[TP, LogBounds]:
        consumer, kafka_tps = self._ensure_consumer(), [_kafka_tp(tp) for tp in tps]
        # `consumer.committed` asks for one partition at a time and drops the metadata.
        commits = await self._in_time(consumer._coordinator.fetch_committed_offsets(kafka_tps))  # noqa: SLF001
        earliest = await self._in_time(consumer.beginning_offsets(kafka_tps))
        end = await self._in_time(consumer.end_offsets(kafka_tps))
        bounds = {}
        for tp in kafka_tps:
            committed, metadata = commits.get(tp, (None, ""))
            bounds[TP(*tp)] = LogBounds(committed, metadata or "", earliest[tp], end[tp])
        return bounds

    async def _seek_all(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in offsets.items():
            consumer.seek(_kafka_tp(tp), offset)

    async def _end_offsets(self, tps: list[TP]) -> Mapping[TP, int]:
        kafka_tps = [_kafka_tp(tp) for tp in tps]
        found = await self._in_time(self._ensure_consumer().end_offsets(kafka_tps))
        return {TP(*tp): int(offset) for tp, offset in found.items()}

    async def _write(self, commits: Mapping[TP, Commit]) -> bool:
        offsets = {_kafka_tp(tp): OffsetAndMetadata(commit.offset, commit.metadata) for tp, commit in commits.items()}
        try:
            await self._in_time(self._ensure_consumer().commit(offsets))
        except (CommitFailedError, IllegalStateError, TimeoutError) as error:
            # The partition has another owner, or will have: what isn't committed is read again.
            self.log.warning("Offsets not committed: %r", error)
            return False
        return True

    async def _in_time(self, answer: Awaitable[T]) -> T:
        return await asyncio.wait_for(answer, self._settings.request_timeout_s)


def _kafka_tp(tp: TP) -> Any:
    return TopicPartition(tp.topic, tp.partition)
