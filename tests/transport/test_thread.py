"""The consumer's thread at its end, without a broker: whoever asks is answered, or told that nobody will."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from driftline.streams.transport import DriftApp
from driftline.streams.transport.thread import BatchConsumerThread, ThreadStoppedError
from driftline.streams.transport.tracker import Commit

T = TP("a", 0)


class Client:
    """Stands for aiokafka's consumer. Leaving the group takes ``leaves_s``, a commit ``commits_s``."""

    _coordinator = None

    def __init__(self, leaves_s: float, commits_s: float) -> None:
        self.leaves_s = leaves_s
        self.commits_s = commits_s
        self.committed: list[Any] = []

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        await asyncio.sleep(self.leaves_s)

    async def commit(self, offsets: Any) -> None:
        await asyncio.sleep(self.commits_s)
        self.committed.append(offsets)


async def begun(monkeypatch: pytest.MonkeyPatch, leaves_s: float = 0.0, commits_s: float = 0.0) -> tuple[DriftApp, BatchConsumerThread, Client]:
    client = Client(leaves_s, commits_s)
    monkeypatch.setattr(BatchConsumerThread, "_create_consumer", lambda *_, **__: client)
    app = DriftApp("app", broker="kafka://127.0.0.1:1")
    thread = app.consumer._thread
    await thread.start()
    return app, thread, client


def asked(thread: BatchConsumerThread) -> Awaitable[bool]:
    return thread.write({T: Commit(1, "")})


def within(seconds: float, scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(seconds):
            await scenario()

    asyncio.run(bounded())


def test_what_is_asked_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        _, thread, client = await begun(monkeypatch)
        assert await asked(thread)
        assert len(client.committed) == 1
        await thread.stop()

    within(20, scenario)


def test_what_is_named_while_the_group_is_left_is_refused_at_once_and_does_not_hold_up_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        _, thread, client = await begun(monkeypatch, leaves_s=0.5)
        stop = asyncio.create_task(thread.stop())
        late = []
        while not stop.done():  # before, between and after: whenever it is
            began = time.monotonic()
            await asked(thread)
            late.append(time.monotonic() - began)
            await asyncio.sleep(0.01)
        assert not await asked(thread)
        assert max(late) < 5
        written = len(client.committed)
        with pytest.raises(ThreadStoppedError):
            await thread.end_offsets([T])
        assert len(client.committed) == written < len(late)

    within(20, scenario)


def test_a_stop_waits_for_no_call_that_is_under_way_or_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        _, thread, client = await begun(monkeypatch, commits_s=60)
        calls = [asyncio.ensure_future(asked(thread)) for _ in range(5)]  # more than the queue has workers
        await asyncio.sleep(0.1)
        await thread.stop()
        assert await asyncio.gather(*calls) == [False] * 5
        assert client.committed == []

    within(10, scenario)


def test_whoever_is_cancelled_while_asking_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        _, thread, client = await begun(monkeypatch, commits_s=0.3)
        call = asyncio.ensure_future(asked(thread))
        await asyncio.sleep(0.1)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        client.commits_s = 0
        assert await asked(thread)
        await thread.stop()

    within(20, scenario)


# -- the controls: Faust's own way of asking


def test_with_faust_s_own_a_stop_makes_every_call_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        _, thread, client = await begun(monkeypatch, commits_s=0.3)
        monkeypatch.setattr(BatchConsumerThread, "call_thread", AIOKafkaConsumerThread.call_thread)
        calls = [asyncio.ensure_future(asked(thread)) for _ in range(5)]
        await asyncio.sleep(0.1)
        await thread.stop()
        assert len(client.committed) >= 3
        for call in calls:
            call.cancel()

    within(20, scenario)


def test_with_faust_s_own_whoever_asks_late_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:

    async def scenario() -> None:
        _, thread, _ = await begun(monkeypatch, leaves_s=1.0)
        monkeypatch.setattr(BatchConsumerThread, "call_thread", AIOKafkaConsumerThread.call_thread)
        stop = asyncio.create_task(thread.stop())
        unanswered = False
        while not stop.done() and not unanswered:
            try:
                async with asyncio.timeout(0.4):
                    await asked(thread)
            except TimeoutError:
                unanswered = True
        assert unanswered
        await stop

    within(20, scenario)
