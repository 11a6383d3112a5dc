"""Labels give way to predictions after a meeting, for a bounded time, and only to predictions that come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.streams.records import T0, event, label
from tests.streams.standin import app_of, batch_of

from driftline.contracts.settings import build_settings
from driftline.contracts.topics import INFERENCE_EVENTS, LABEL_EVENTS
from driftline.store import join
from driftline.store.database import migrate, open_database
from driftline.store.join import JoinChange
from driftline.store.outcome_rows import OutcomeChange
from driftline.streams import giving_way
from driftline.streams.giving_way import LEAD, MOST_S, PAUSE_S, Way
from driftline.streams.join import joins

#: A batch of predictions: how long (s) after the one before it, how long it takes, its rows.
Batch = tuple[float, float, int]
_LOOK_S = 0.011


class World:
    """A way, and predictions that are taken in while labels wait."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.now = 100.0
        self.way = Way(lambda: self.now, self.sleep)
        self.taken = 0
        self.left = self.now - PAUSE_S
        self._coming = list(batches)
        self._at = self.now
        self._turn: AbstractAsyncContextManager[None] | None = None

    @property
    def at_work(self) -> bool:
        return self._turn is not None

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await self.go_on()

    async def go_on(self) -> None:
        """Begin and end what is due."""
        while self._coming:
            pause, takes, rows = self._coming[0]
            if self._turn is None:
                if self.now < self._at + pause:
                    return
                self._turn = self.way.turn(rows, 0)
                await self._turn.__aenter__()
            if self.now < self._at + pause + takes:
                return
            await self._turn.__aexit__(None, None, None)
            self._turn, self._at, self.left = None, self.now, self.now
            self.taken += rows
            del self._coming[0]

    async def held(self, labels: int) -> float:
        """Return how long so many labels are held up."""
        began = self.now
        async with self.way.turn(0, labels):
            return self.now - began

    async def begun(self, labels: int = 1) -> None:
        """Have the first labels behind it."""
        await self.held(labels)


STEADY = [(0.01, 0.1, 100)] * 40
batch = st.tuples(st.floats(0, 0.6), st.floats(0, 2), st.integers(1, 5_000))


def test_after_a_meeting_two_predictions_are_let_ahead_for_each_label() -> None:
    async def story() -> None:
        world = World(STEADY)
        await world.begun()
        before = world.taken
        world.way.rivals.met()
        waited = await world.held(200)
        assert before + LEAD * 200 <= world.taken < before + LEAD * 200 + 100
        assert 0.3 < waited < 0.6
        assert not world.way.rivals.about
        assert await world.held(200) == 0  # once for each meeting

    asyncio.run(story())


def test_where_nobody_is_met_labels_are_not_held_up() -> None:
    async def story() -> None:
        world = World(STEADY)
        await world.begun()
        for _ in range(20):
            assert await world.held(1_000) == 0
            await world.sleep(0.05)

    asyncio.run(story())


def test_labels_that_begin_let_predictions_ahead_unless_these_are_there() -> None:
    async def story() -> None:
        world = World(STEADY)
        assert await world.held(200) > 0
        assert LEAD * 200 <= world.taken < LEAD * 200 + 100
        world = World(STEADY)
        for _ in range(300):
            await world.sleep(0.01)
        assert await world.held(200) == 0

    asyncio.run(story())


def test_predictions_that_do_not_come_are_not_waited_for_again() -> None:
    async def story() -> None:
        world = World([])
        assert PAUSE_S <= await world.held(1_000) < PAUSE_S + _LOOK_S
        world.way.rivals.met()
        assert await world.held(1_000) == 0
        assert world.way.rivals.about  # another worker's, who is met again: rows are locked first

    asyncio.run(story())


async def fails(world: World) -> None:
    began = world.now
    async with world.way.turn(1_000, 0):
        assert world.now == began
        raise ZeroDivisionError


def test_predictions_give_way_to_nobody_and_a_batch_that_fails_is_waited_for_no_longer() -> None:
    async def story() -> None:
        world = World([])
        await world.begun()
        world.way.rivals.met()
        with pytest.raises(ZeroDivisionError):
            await fails(world)
        assert await world.held(1_000) < PAUSE_S + _LOOK_S

    asyncio.run(story())


@given(batches=st.lists(batch, max_size=12), before=st.floats(0, 3), turns=st.lists(st.tuples(st.integers(0, 5_000), st.booleans()), max_size=8))
def test_labels_are_held_up_for_a_bounded_time_and_by_predictions_that_come(
    batches: list[Batch], before: float, turns: list[tuple[int, bool]]
) -> None:
    async def story() -> None:
        world = World(batches)
        await world.sleep(before)
        await world.begun()
        for labels, met in turns:
            if met:
                world.way.rivals.met()
            taken, about = world.taken, world.way.rivals.about
            waited = await world.held(labels)
            assert waited < MOST_S + _LOOK_S
            if not about or not labels:
                assert waited == 0
            if waited and waited < MOST_S:  # there was no need to wait longer
                silent = not world.at_work and world.now - world.left >= PAUSE_S
                assert world.taken >= taken + LEAD * labels or silent
            await world.sleep(0.05)

    asyncio.run(story())


def test_a_backlog_of_both_begins_with_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giving_way, "PAUSE_S", 20.0)
    monkeypatch.setattr(giving_way, "MOST_S", 20.0)
    engine = open_database(f"sqlite:///{tmp_path}/driftline.db")
    migrate(engine)
    inference, told = TP(INFERENCE_EVENTS.name, 0), TP(LABEL_EVENTS.name, 0)
    app = app_of([inference, told])
    predictions, labels = joins(app, build_settings({}), engine)
    applied: list[str] = []

    def apply(engine: Engine, change: JoinChange, *others: Any) -> list[OutcomeChange]:
        changes = apply_(engine, change, *others)
        applied.append(change.source)
        return changes

    apply_ = join.apply
    monkeypatch.setattr(join, "apply", apply)
    events = [event(i, T0 + 100 * i) for i in range(40)]

    async def all_predictions() -> None:
        await asyncio.sleep(0.2)
        await predictions.take(batch_of(inference, events[:20]))
        await predictions.take(batch_of(inference, events[20:], follows=20))

    async def story() -> None:
        taken = batch_of(told, [label(i, f"event-{i}", T0 + 100 * i + 500) for i in range(20)])
        await asyncio.gather(labels.take(taken), all_predictions())

    asyncio.run(story())
    engine.dispose()
    assert applied == [INFERENCE_EVENTS.name] * 2 + [LABEL_EVENTS.name]
