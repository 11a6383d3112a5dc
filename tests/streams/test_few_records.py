"""A few records wait for more: what comes of them is what comes of the same records at once, whatever is cancelled on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.streams.records import T0, Record
from tests.streams.records import event as inference
from tests.streams.standin import app_of, batch_of

from driftline.contracts.settings import build_settings
from driftline.contracts.summaries import BlockSummary, decode_summary
from driftline.contracts.topics import INFERENCE_EVENTS
from driftline.store.database import migrate, open_database
from driftline.streams import summarise
from driftline.streams.received import Received, Records
from driftline.streams.records import in_a_row
from driftline.streams.summarise import Summarise

INFERENCE = TP(INFERENCE_EVENTS.name, 0)
SETTINGS = build_settings({"defaults": {"pane": "5s"}, "worker": {"block_size": 16, "version_wait": "0s"}})
LOG = [inference(i, T0 + 400 * i, model=f"m{i % 3}") for i in range(40)]
Story = Callable[[Summarise, Any], Coroutine[Any, Any, None]]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder: Path = tmp_path_factory.mktemp("few")
    opened = open_database(f"sqlite:///{folder}/driftline.db")
    migrate(opened)
    yield opened
    opened.dispose()


def told(engine: Engine, story: Story) -> tuple[list[BlockSummary], list[tuple[TP, int]]]:
    """Return the summaries that a story sends, and what may be committed then."""
    app = app_of([INFERENCE])
    asyncio.run(story(Summarise(app, SETTINGS, engine), app))
    found = [decode_summary(value) for value in app.values]
    return [summary for summary in found if isinstance(summary, BlockSummary)], app.committed


def batches(cuts: list[int]) -> list[Any]:
    edges = sorted({0, len(LOG), *cuts})
    runs = [LOG[i:j] for i, j in pairwise(edges)]
    return [batch_of(INFERENCE, run, follows=run[0].offset or None) for run in runs]


async def at_once(step: Summarise, _app: Any) -> None:
    for batch in batches([]):
        await step.take(batch)
    await step.flush()


@given(st.lists(st.integers(1, 39), max_size=12))
@profile(max_examples=20, deadline=None)
def test_however_they_come_the_same_is_said_of_them(engine: Engine, cuts: list[int]) -> None:
    async def by_and_by(step: Summarise, app: Any) -> None:
        for batch in batches(cuts):
            await step.take(batch)
            assert app.sent == []
        await step.look_for_idle()  # what waits has not been read: nothing is idle
        await step.flush()

    assert told(engine, by_and_by) == told(engine, at_once)


@pytest.mark.parametrize("which", [1, 2, 5])
def test_who_is_cancelled_on_the_way_leaves_them_for_the_last_flush(engine: Engine, monkeypatch: pytest.MonkeyPatch, which: int) -> None:
    monkeypatch.setattr(summarise, "_FEW", 10)
    monkeypatch.setattr("driftline.streams.reading.AT_ONCE", 4)

    async def cancelled(step: Summarise, _app: Any) -> None:
        asked, wait_for = 0, step._feed.wait_for

        async def hanging(versions: Any) -> None:
            nonlocal asked
            asked += 1
            if asked == which:
                await asyncio.Event().wait()
            await wait_for(versions)

        monkeypatch.setattr(step._feed, "wait_for", hanging)
        for batch in batches([5, 12, 30]):
            task = asyncio.create_task(step.take(batch))
            await asyncio.wait([task], timeout=0.1)
            task.cancel()
        assert asked > which
        await step.flush()

    said, committed = told(engine, cancelled)
    whole, _ = told(engine, at_once)
    assert said == whole
    assert committed[-1] == (INFERENCE, len(LOG))


def test_what_was_fetched_before_a_rebalance_is_not_read_after_it(engine: Engine) -> None:
    async def rebalanced(step: Summarise, app: Any) -> None:
        first, *_ = batches([10])
        await step.take(first)
        app.consumer.epoch = 2
        await step.flush()
        again = batch_of(INFERENCE, LOG)
        again.epoch = 2
        await step.take(again)
        await step.flush()

    said, _ = told(engine, rebalanced)
    assert said == told(engine, at_once)[0]


def test_records_in_a_row_are_one_sequence() -> None:
    bare = [Received("t", 0, i, 5, None, b"v%d" % i, ()) for i in range(6)]
    runs = [Records("t", 0, bare[:2]), Records("t", 0, bare[2:])]
    whole = in_a_row(runs)
    assert isinstance(whole, Records)
    assert [record.value for record in whole] == [record.value for record in bare]
    mixed: list[Record] = [Record(9, b"w")]
    assert [record.offset for record in in_a_row([runs[0], mixed])] == [0, 1, 9]
