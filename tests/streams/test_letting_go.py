"""Outcomes that are older than the retention go as fast as they may come, a bounded time at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from faust.types import TP
from sqlalchemy import Engine, func, select
from tests.store.builders import T0, prediction
from tests.streams.standin import app_of

from driftline.contracts.settings import build_settings
from driftline.contracts.topics import INFERENCE_EVENTS
from driftline.store import join, outcomes
from driftline.store.database import migrate, open_database
from driftline.store.join import JoinChange
from driftline.store.tables import outcomes as kept
from driftline.streams.join import joins
from driftline.streams.letting_go import OldOutcomes
from driftline.streams.sql_thread import SqlThread

SOURCE = INFERENCE_EVENTS.name
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


def _arrive(engine: Engine, at: int, position: int | None, models: int = 1, watermark: int = 0) -> None:
    rows = [prediction(f"{at}-{i}", model=f"m{i % models}", event_time=at) for i in range(_RATE)]
    mark = watermark or at
    change = JoinChange(source=SOURCE, partition=1, expected_next=position, next_offset=(position or 0) + 1, watermark=mark, predictions=rows)
    join.apply(engine, change, lambda _: [])


def _rows(engine: Engine) -> int:
    with engine.connect() as conn:
        return conn.scalar(select(func.count()).select_from(kept)) or 0


@pytest.mark.parametrize("models", [1, 7])
def test_the_table_stays_bounded_though_a_round_brings_more_than_one_transaction_deletes(engine: Engine, models: int) -> None:
    old = OldOutcomes(SqlThread(), engine, SOURCE, keep=3 * _ROUND, clock=Clock(0.01))
    sizes = []
    for second in range(8):
        _arrive(engine, T0 + second * _ROUND, second or None, models)
        asyncio.run(old.let_go())
        sizes.append(_rows(engine))
        old.rest_until = 0.0  # the minute after nothing old was left is over
    assert sizes[4:] == [4 * _RATE] * 4  # of the bound itself and of three rounds after it


def test_a_round_ends_by_the_clock_and_the_next_goes_on(engine: Engine) -> None:
    _arrive(engine, T0, None, watermark=T0 + 1)
    old = OldOutcomes(SqlThread(), engine, SOURCE, keep=0, clock=Clock(0.3))
    gone = []
    while n := asyncio.run(old.let_go()):
        gone.append(n)
    assert gone == [_BATCH] * (_RATE // _BATCH)  # one was begun .3 s after the round, and none .6 s after it
    assert _rows(engine) == 0


def test_where_nothing_is_old_nothing_is_looked_for_for_a_while(engine: Engine) -> None:
    clock = Clock(0.0)
    old = OldOutcomes(SqlThread(), engine, SOURCE, keep=0, clock=clock)
    assert asyncio.run(old.let_go()) == 0
    _arrive(engine, T0, None, watermark=T0 + 1)
    clock.now = 59.0
    assert asyncio.run(old.let_go()) == 0
    clock.now = 61.0
    assert asyncio.run(old.let_go()) == _RATE


@pytest.mark.parametrize("first_is_mine", [True, False])
def test_that_the_first_partition_is_silent_stops_nothing_and_its_owner_alone_lets_go(engine: Engine, *, first_is_mine: bool) -> None:
    settings = build_settings({"retention": {"outcomes": "1h"}, "kafka": {"partitions": 4}})
    hour = 3_600_000
    _arrive(engine, T0, None)
    _arrive(engine, T0 + hour + 1, 1)  # of partition 1, whose owner may be another; nothing ever came in partition 0
    mine = (0, 2) if first_is_mine else (1, 3)
    predictions, labels = joins(app_of([TP(SOURCE, p) for p in mine]), settings, engine)
    asyncio.run(predictions.look_for_idle())
    asyncio.run(labels.look_for_idle())
    assert _rows(engine) == (_RATE if first_is_mine else 2 * _RATE)
