"""Points of a step's code at which it can be killed or stopped: once, by itself, at the nth time that it gets there."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Order:
    """What is to happen at a point. ``mark`` is made by the process that carries it out: once is enough."""

    point: str
    sign: signal.Signals
    nth: int
    mark: Path


def arm(order: Order) -> None:
    """Have this process carry an order out. The file of the mark then holds its pid."""
    calls = 0

    def reached() -> None:
        nonlocal calls
        calls += 1
        if calls < order.nth or order.mark.exists():
            return
        try:
            with order.mark.open("x") as mark:
                mark.write(str(os.getpid()))
        except FileExistsError:  # another process was faster
            return
        os.kill(os.getpid(), order.sign)

    POINTS[order.point](reached)


def _before(owner: Any, name: str, reached: Callable[[], None]) -> None:
    original = getattr(owner, name)

    def stopped_before(*args: Any, **others: Any) -> Any:
        reached()
        return original(*args, **others)

    setattr(owner, name, stopped_before)


def _revision_sent(reached: Callable[[], None]) -> None:
    from driftline.streams.source_progress import SourceProgress

    _before(SourceProgress, "tell", reached)


def _half_sent(reached: Callable[[], None]) -> None:
    from driftline.streams.publishing import Message, Publisher

    send = Publisher.send

    async def half(self: Publisher, messages: Iterable[Message]) -> None:
        whole = list(messages)
        await send(self, whole[: len(whole) // 2])
        reached()
        await send(self, whole[len(whole) // 2 :])

    Publisher.send = half  # type: ignore[method-assign]


def _told(reached: Callable[[], None]) -> None:
    from driftline.streams.source_progress import SourceProgress

    tell = SourceProgress.tell

    async def then(self: SourceProgress, news: Any) -> None:
        await tell(self, news)
        await asyncio.sleep(0)
        reached()

    SourceProgress.tell = then  # type: ignore[assignment, method-assign]


def _join_transaction(reached: Callable[[], None]) -> None:
    from driftline.store import outbox

    _before(outbox, "add", reached)  # the last statement but one


def _join_before(reached: Callable[[], None]) -> None:
    from driftline.store import join

    _before(join, "apply", reached)


def _detect_transaction(reached: Callable[[], None]) -> None:
    from driftline.store import findings

    _before(findings, "record", reached)  # state is written, what is said is not


def _detect_before(reached: Callable[[], None]) -> None:
    from driftline.streams.detect.partition import DetectPartition

    _before(DetectPartition, "_commit", reached)


def _unpublished(reached: Callable[[], None]) -> None:
    from driftline.streams.publishing import Publisher

    _before(Publisher, "publish_outbox", reached)


def _unforgotten(reached: Callable[[], None]) -> None:
    from driftline.store import outbox

    _before(outbox, "delete", reached)


POINTS: dict[str, Callable[[Callable[[], None]], None]] = {
    "summarise: a revision is sent, nothing says so": _revision_sent,
    "summarise: half of a flush is sent": _half_sent,
    "summarise: the flush is told, not committed": _told,
    "join: before the transaction": _join_before,
    "join: in the transaction": _join_transaction,
    "join: committed, nothing published": _unpublished,
    "join: published, not forgotten": _unforgotten,
    "detect: before the transaction": _detect_before,
    "detect: in the transaction": _detect_transaction,
    "detect: committed, nothing published": _unpublished,
    "detect: published, not forgotten": _unforgotten,
}
