"""Outcomes that are older than the retention go as fast as they may come, a bounded time at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, func, select
from tests.store.builders import T0, prediction

from driftline.store import join, outcomes
from driftline.store.database import migrate, open_database
from driftline.store.join import JoinChange
from driftline.store.tables import outcomes as kept
from driftline.streams.letting_go import OldOutcomes
from driftline.streams.sql_thread import SqlThread

_ROUND = 1_000
#: Rows that come in a round of the step: many times as many as one transaction deletes.
_RATE = 120
_BATCH = 40


class Clock:
    """A clock that a look at it moves on by ``step`` seconds."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def engine(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(outcomes, "_PURGE_ROWS", _BATCH)
    opened = open_database(database_url)
    migrate(opened)
    yield opened
    opened.dispose()


def _arrive(engine: Engine, at: int, position: int | None, models: int = 1) -> None:
    rows = [prediction(f"{at}-{i}", model=f"m{i % models}", event_time=at) for i in range(_RATE)]
    change = JoinChange(source="s", partition=0, expected_next=position, next_offset=(position or 0) + 1, watermark=at, predictions=rows)
    join.apply(engine, change, lambda _: [])


def _rows(engine: Engine) -> int:
    with engine.connect() as conn:
        return conn.scalar(select(func.count()).select_from(kept)) or 0


@pytest.mark.parametrize("models", [1, 7])
def test_the_table_stays_bounded_though_a_round_brings_more_than_one_transaction_deletes(engine: Engine, models: int) -> None:
    old = OldOutcomes(SqlThread(), engine, keep=3 * _ROUND, clock=Clock(0.01))
    sizes = []
    for second in range(8):
        _arrive(engine, T0 + second * _ROUND, second or None, models)
        asyncio.run(old.let_go(T0 + second * _ROUND))
        sizes.append(_rows(engine))
        old.rest_until = 0.0  # the minute after nothing old was left is over
    assert sizes[4:] == [4 * _RATE] * 4  # of the bound itself and of three rounds after it


def test_a_round_ends_by_the_clock_and_the_next_goes_on(engine: Engine) -> None:
    _arrive(engine, T0, None)
    old = OldOutcomes(SqlThread(), engine, keep=0, clock=Clock(0.3))
    gone = []
    while n := asyncio.run(old.let_go(T0 + 1)):
        gone.append(n)
    assert gone == [_BATCH, _BATCH, _BATCH]  # begun .3 s after the round, and not .6 s after it
    assert sum(gone) == _RATE
    assert _rows(engine) == 0


def test_where_nothing_is_old_nothing_is_looked_for_for_a_while(engine: Engine) -> None:
    clock = Clock(0.0)
    old = OldOutcomes(SqlThread(), engine, keep=0, clock=clock)
    assert asyncio.run(old.let_go(T0)) == 0
    _arrive(engine, T0 - 1, None)
    clock.now = 59.0
    assert asyncio.run(old.let_go(T0)) == 0
    clock.now = 61.0
    assert asyncio.run(old.let_go(T0)) == _RATE
