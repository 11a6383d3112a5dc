"""Faust's own read loop over a log that a test made up, with stock Faust's consumer or with ours, and a step that is done when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

import faust
from aiokafka.structs import ConsumerRecord
from faust.types import TP
from faust.types.tuples import Message

from driftline.streams.received import Records
from driftline.streams.transport import Batch, BatchConsumer, DriftApp, TransportSettings
from driftline.streams.transport.positions import LogBounds
from driftline.streams.transport.thread import Poll
from driftline.streams.transport.tracker import Commit

Kind = Literal["stock", "ours"]
KINDS: tuple[Kind, ...] = ("stock", "ours")

T = TP("events", 0)


def lives_up(kind: Kind, holds: object) -> bool:
    """Whether a law came out as this project counts on: broken by stock Faust, held by our transport.

    When the stock half fails, Faust has mended the defect: read docs/decisions/0008, and see whether our part may go.
    """
    return bool(holds) == (kind == "ours")


@dataclass
class LogThread:
    """Stands for the consumer's thread: one partition with records at ``offsets``, and the group's commit."""

    offsets: Sequence[int]
    committed: int
    longest_poll: int = 1
    position: int = 0
    commits: list[int] = field(default_factory=list)

    def assignment(self) -> set[TP]:
        return {T}

    def highwater(self, _tp: TP) -> int:
        return self.offsets[-1] + 1

    def _next(self) -> list[Any]:
        records = [_record(o) for o in self.offsets if o >= self.position][: self.longest_poll]
        self.position = records[-1].offset + 1 if records else self.position
        return records

    # ---- as stock Faust asks
    async def getmany(self, _active: object, _timeout: float) -> Mapping[TP, list[Any]]:
        records = self._next()
        await asyncio.sleep(0 if records else 0.01)
        return {T: records} if records else {}

    async def seek_to_committed(self) -> Mapping[TP, int]:
        self.position = self.committed
        return {T: self.committed}

    async def commit(self, offsets: Mapping[TP, int]) -> bool:
        self._note(offsets[T])
        return True

    # ---- as our consumer asks
    async def poll(self, _active: set[TP], _timeout_s: float) -> Poll:
        records = self._next()
        await asyncio.sleep(0 if records else 0.01)
        return Poll({T: Records(T.topic, T.partition, records)} if records else {}, {T: self.position})

    async def log_bounds(self, _tps: Iterable[TP]) -> Mapping[TP, LogBounds]:
        return {T: LogBounds(self.committed, "", earliest=0, end=self.highwater(T))}

    async def seek_all(self, offsets: Mapping[TP, int]) -> None:
        self.position = offsets[T]

    async def write(self, commits: Mapping[TP, Commit]) -> bool:
        self._note(commits[T].offset)
        return True

    def _note(self, offset: int) -> None:
        self.committed = offset
        self.commits.append(offset)


@dataclass
class Desk:
    """What the read loop has handed over, record by record, in ``handed``; ``done`` says that the step is done with some."""

    log: LogThread
    consumer: Any
    handed: dict[int, Message] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)

    async def take(self, message: Message) -> None:
        self.consumer.track_message(message)
        for offset in [r.offset for r in message.records] if isinstance(message, Batch) else [message.offset]:
            self.handed[offset] = message

    async def all_handed(self) -> None:
        """Wait until the log is read."""
        async with asyncio.timeout(10):
            while set(self.log.offsets) - set(self.handed) - set(range(self.log.committed)):  # noqa: ASYNC110
                await asyncio.sleep(0)

    def done(self, *offsets: int) -> None:
        """Be done with these records; what is named to our consumer is everything below the first that is not done."""
        self.finished.update(offsets)
        for offset in offsets:
            message = self.handed[offset]
            if isinstance(message, Batch) and not {r.offset for r in message.records} <= self.finished:
                continue
            self.consumer.ack(message)
        if isinstance(self.consumer, BatchConsumer):
            message = self.handed[max(offsets)]
            assert isinstance(message, Batch)
            below = min((o for o in self.handed if o not in self.finished), default=message.next)
            self.consumer.commit_to(T, min(below, message.next), message.epoch)


@asynccontextmanager
async def desk(kind: Kind, offsets: Sequence[int], *, committed: int, longest_poll: int = 1) -> AsyncIterator[Desk]:
    """A consumer of this kind that reads ``offsets`` from ``committed`` on, at most ``longest_poll`` at a time."""
    app = _app(kind)
    app.topics._acking_topics.add(T.topic)  # type: ignore[attr-defined]  # what the conductor notes of an agent's topic
    consumer: Any = app.consumer
    consumer._thread.thread_loop.close()
    consumer._thread = LogThread(offsets, committed, longest_poll)
    found = Desk(consumer._thread, consumer)
    consumer.callback = found.take
    consumer._set_active_tps({T})
    consumer.resume_flow()
    app.flow_control.resume()
    await consumer.perform_seek()
    reader = asyncio.create_task(consumer._drain_messages(SimpleNamespace(_stopped=asyncio.Event())))
    try:
        yield found
    finally:
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader


def _app(kind: Kind) -> faust.App:
    if kind == "stock":
        return faust.App("stock", broker="kafka://127.0.0.1:1", store="memory://")
    return DriftApp("ours", broker="kafka://127.0.0.1:1", transport_settings=TransportSettings(poll_timeout_s=0.01, revoke_deadline_s=0.3))


def _record(offset: int) -> Any:
    return ConsumerRecord(T.topic, T.partition, offset, 0, 0, None, b"v", None, 0, 1, ())
