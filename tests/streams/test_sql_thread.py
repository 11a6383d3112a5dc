from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text
from tests.store.builders import label, prediction

from driftline.store import join
from driftline.store.database import migrate, open_database
from driftline.store.join import JoinChange
from driftline.store.transactions import writing
from driftline.streams.sql_thread import SqlThread

HELD_S = 4.0


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = open_database(database_url)
    migrate(opened)
    yield opened
    opened.dispose()


@contextmanager
def locked(engine: Engine, seconds: float) -> Iterator[None]:
    """Hold a lock that every writer has to wait for, in a thread of its own, and keep its transaction busy."""
    taken = threading.Event()

    def hold() -> None:
        with writing(engine) as conn:
            if conn.dialect.name == "postgresql":
                conn.execute(text("LOCK TABLE outcomes IN ACCESS EXCLUSIVE MODE"))
            taken.set()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                conn.execute(text("SELECT 1"))
                time.sleep(0.1)

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(30)
    try:
        yield
    finally:
        holder.join()


def test_while_the_database_is_locked_the_loop_goes_on_and_then_so_does_the_join(engine: Engine) -> None:
    change = JoinChange(source="s", partition=0, expected_next=None, next_offset=2, predictions=[prediction("a")], labels=[label("a")])
    pauses: list[float] = []

    async def beat() -> None:
        while True:
            at = time.monotonic()
            await asyncio.sleep(0.02)
            pauses.append(time.monotonic() - at)

    async def waits() -> float:
        heart = asyncio.create_task(beat())
        sql, began = SqlThread(), time.monotonic()
        with locked(engine, HELD_S):
            began = time.monotonic()
            waiting = asyncio.create_task(sql.run(join.apply, engine, change, lambda _: []))
            await asyncio.sleep(HELD_S / 2)
            assert not waiting.done()
            assert len(await waiting) == 1
        took = time.monotonic() - began
        heart.cancel()
        return took

    assert asyncio.run(waits()) > HELD_S / 2
    assert len(pauses) > HELD_S / 0.2  # an idle machine beats ten times as often
    assert max(pauses) < HELD_S / 2
