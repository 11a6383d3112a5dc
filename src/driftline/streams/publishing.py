"""Sending, and waiting until the broker has it: nothing counts as done before."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from driftline.contracts.deadletters import ERROR_CODE
from driftline.contracts.settings import KafkaSettings
from driftline.contracts.topics import DEAD_LETTERS
from driftline.health.labels import Capped
from driftline.store import outbox
from driftline.streams.sql_thread import SqlThread
from driftline.streams.transport import DriftApp

_FLAWS_MOST = 32

Headers = Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class Message:
    """One record to send; ``topic`` without prefix, ``partition`` None: by key."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Headers = ()


class Publisher:
    """Sends through the app's idempotent producer."""

    def __init__(self, app: DriftApp, kafka: KafkaSettings) -> None:
        self._app = app
        self._prefix = kafka.topic_prefix
        # What came with a record is kept, and may be named like ours: few labels, whatever comes.
        self._flaw_label = Capped(_FLAWS_MOST)

    async def send(self, messages: Iterable[Message]) -> None:
        """Send all and wait for every acknowledgement; raises if one fails, whatever became of the others."""
        sent, topics, flaws = [], Counter[str](), Counter[str]()
        for m in messages:
            future = await self._app.producer.send(self._prefix + m.topic, m.key, m.value, m.partition, None, list(m.headers) or None)
            sent.append(future)
            topics[m.topic] += 1
            if m.topic == DEAD_LETTERS.name:
                flaws[self._flaw(m.headers)] += 1
        if sent:
            await asyncio.gather(*sent)
        for topic, n in topics.items():
            self._app.telemetry.count("driftline_records_sent_total", n, topic)
        for code, n in flaws.items():
            self._app.telemetry.count("driftline_dead_letters_total", n, code)

    def _flaw(self, headers: Headers) -> str:
        codes = [value for name, value in headers if name == ERROR_CODE and value is not None]
        return self._flaw_label(codes[-1].decode(errors="replace") if codes else "unreadable")

    async def publish_outbox(self, sql: SqlThread, engine: Engine, owner: str) -> int:
        """Publish what an owner's transactions left to be said, in order, and forget it; return how many records there were."""
        total = 0
        while rows := await sql.run(outbox.pending, engine, owner):
            await self.send(Message(row.topic, row.key, row.value, row.partition, row.headers) for row in rows)
            await sql.run(outbox.delete, engine, [row.id for row in rows if row.id is not None])
            total += len(rows)
        return total
