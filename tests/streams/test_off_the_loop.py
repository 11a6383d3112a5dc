"""No step says anything to the database from the thread of Faust's loop, whatever it is asked to do: while SQL takes its time, the loop goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP
from sqlalchemy import Engine, event, text
from tests.streams.detect.summaries import Stream, built
from tests.streams.records import T0, label
from tests.streams.records import event as inference
from tests.streams.standin import app_of, batch_of

from driftline.contracts.settings import build_settings
from driftline.contracts.topics import INFERENCE_EVENTS, LABEL_EVENTS, SUMMARIES
from driftline.store import references
from driftline.store.database import migrate, open_database
from driftline.streams.detecting import Detect
from driftline.streams.join import joins
from driftline.streams.sql_thread import SqlThread
from driftline.streams.summarise import Summarise

SETTINGS = build_settings(
    {"defaults": {"pane": "5s", "window": "1m", "allowed_lateness": "5s", "label_wait": "20s"}, "worker": {"block_size": 16, "version_wait": "0s"}}
)
INFERENCE, LABELS, SUMMARY = (TP(topic.name, 0) for topic in (INFERENCE_EVENTS, LABEL_EVENTS, SUMMARIES))


class Said:
    """The statements of the other threads; one of the loop's own is refused."""

    def __init__(self, engine: Engine) -> None:
        self.aside: list[str] = []
        self._loop: int | None = None
        event.listen(engine, "before_cursor_execute", self._before)

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        """Run a story in a loop of this thread."""
        self._loop = threading.get_ident()
        try:
            asyncio.run(story)
        finally:
            self._loop = None

    def _before(self, _conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        assert threading.get_ident() != self._loop, f"from the loop's thread: {statement}"
        self.aside.append(statement)

    def wrote(self, table: str) -> bool:
        """Say whether something was written into a table."""
        return any(s.lstrip().startswith(("INSERT INTO " + table, "UPDATE " + table)) for s in self.aside)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path}/driftline.db")
    migrate(opened)
    yield opened
    opened.dispose()


def test_a_statement_of_the_loops_own_is_noticed(engine: Engine) -> None:
    async def direct() -> None:
        with engine.connect() as conn:
            conn.execute(text("SELECT 1"))

    said = Said(engine)
    with pytest.raises(AssertionError, match="from the loop's thread"):
        said.run(direct())
    said.run(SqlThread().run(lambda: engine.connect().close()))


def test_summarise(engine: Engine) -> None:
    said, app = Said(engine), app_of([INFERENCE])
    step = Summarise(app, SETTINGS, engine)
    records = [inference(i, T0 + 100 * i, model=f"m{i % 3}", version=str(i % 2)) for i in range(40)]

    async def story() -> None:
        await step.take(batch_of(INFERENCE, records[:20]))
        await step.flush()
        await step.take(batch_of(INFERENCE, records[20:], follows=20))
        await step.look_for_idle()
        await step.flush()

    said.run(story())
    assert app.committed[-1] == (INFERENCE, 40)
    assert said.wrote("block_cuts")
    assert said.wrote("admitted")


def test_join(engine: Engine) -> None:
    references.put(engine, built(), [])
    said, app = Said(engine), app_of([INFERENCE, LABELS])
    predictions, labels = joins(app, SETTINGS, engine)
    events = [*(inference(i, T0 + 100 * i) for i in range(20)), inference(20, T0 + 10, model="nobody's")]
    told = [*(label(i, f"event-{i}", T0 + 100 * i + 500) for i in range(20)), label(20, "", T0)]

    async def story() -> None:
        assert await predictions.position(INFERENCE) is None
        await predictions.take(batch_of(INFERENCE, events))
        await labels.take(batch_of(LABELS, told))
        for half in (predictions, labels):
            await half.look_for_idle()
        assert await labels.position(LABELS) == 21

    said.run(story())
    assert app.committed == [(INFERENCE, 21), (LABELS, 21)]
    assert {"summaries", "dead-letters"} <= set(app.sent)
    assert said.wrote("outcomes")
    assert said.wrote("outbox")


def test_detect(engine: Engine) -> None:
    reference = built()
    references.put(engine, reference, [])
    said, app = Said(engine), app_of([SUMMARY])
    step = Detect(app, SETTINGS, engine, SqlThread())
    records = Stream(reference, seconds=90, shift_at=60).records()
    half = len(records) // 2

    async def story() -> None:
        assert await step.position(SUMMARY) is None
        await step.open_all()
        await step.take(batch_of(SUMMARY, records[:half]))
        await step.save_due()
        await step.take(batch_of(SUMMARY, records[half:], follows=records[half].offset))
        await step.open_all()
        await step.open_all()  # nothing has come since: it is saved
        await step.finish()

    said.run(story())
    assert app.committed[-1] == (SUMMARY, records[-1].offset + 1)
    assert said.wrote("panes")
    assert said.wrote("findings")
