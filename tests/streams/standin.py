"""What a step needs of its app, without a broker: its partitions are assigned, all it sends is acknowledged, nobody says where partitions end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any

from faust.types import TP
from tests.streams.records import Record

from driftline.streams.transport.positions import StartPosition


def app_of(tps: Collection[TP]) -> Any:
    """Return the stand-in; ``sent`` has the topics of what was sent, ``values`` what it said, ``committed`` what may be committed."""
    sent: list[str] = []
    values: list[bytes] = []
    committed: list[tuple[TP, int]] = []

    async def end_offsets(*_: TP) -> None:
        raise TimeoutError

    async def send(topic: str, _key: object, value: bytes, *_: object) -> asyncio.Future[None]:
        sent.append(topic)
        values.append(value)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    consumer = SimpleNamespace(
        epoch=1,
        assignment=lambda: set(tps),
        end_offsets=end_offsets,
        start_of=lambda _tp: StartPosition(0, "", None, 0, 1_000, 0),
        position_after=lambda _tp, offset: offset,
        commit_to=lambda tp, offset, *_, **__: committed.append((tp, offset)),
    )
    telemetry = SimpleNamespace(views=[], count=lambda *_: None, count_of_model=lambda *_: None)
    return SimpleNamespace(consumer=consumer, producer=SimpleNamespace(send=send), telemetry=telemetry, sent=sent, values=values, committed=committed)


def batch_of(tp: TP, records: Sequence[Record], follows: int | None = None) -> Any:
    """Return a batch as the transport hands it to an agent."""
    return SimpleNamespace(tp=tp, records=records, next=records[-1].offset + 1, follows=follows, epoch=1)
