from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pytest
from faust.types import TP

from driftline.health.labels import Labels
from driftline.health.samples import Samples
from driftline.streams.transport import DriftApp
from driftline.streams.vitals import StepVitals
from driftline.streams.watchdog import Progress

HERE = TP("t-events", 0)


class App:
    """As much of an app as is looked at: where its partitions stand, or why that can't be told."""

    def __init__(self) -> None:
        self.consumer = self
        self.epoch = 3
        self.answer: Mapping[TP, Progress] | Exception | None = None

    async def progress(self) -> Mapping[TP, Progress] | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Scene:
    def __init__(self) -> None:
        self.app = App()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.watching: list[StepVitals] = []

    def vitals(self, patience_s: float = 60.0, ready_lag: int = 10) -> StepVitals:
        app = cast("DriftApp", cast("Any", self.app))
        vitals = StepVitals(app, self.loop, patience_s=patience_s, ready_lag=ready_lag, topic_prefix="t-")
        vitals.start()
        self.watching.append(vitals)
        return vitals


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    for vitals in made.watching:
        vitals.end()
        vitals.join(20)
    made.loop.call_soon_threadsafe(made.loop.stop)
    made.thread.join(20)
    for task in asyncio.all_tasks(made.loop):
        task.cancel()
    made.loop.run_until_complete(asyncio.sleep(0))
    made.loop.close()


def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_step_is_ready_when_it_is_assigned_and_behind_by_no_more_than_it_may_be(scene: Scene) -> None:
    vitals = scene.vitals(ready_lag=10)
    assert vitals.unready() is not None
    scene.app.answer = {HERE: Progress(90, 101)}
    until(lambda: vitals.unready() == "it is behind by 11 records")
    scene.app.answer = {HERE: Progress(91, 101)}
    until(lambda: vitals.unready() is None)
    samples = Samples(Labels())
    vitals.show(samples)
    assert samples.value("driftline_lag_records", "events", "0") == 10
    assert samples.value("driftline_assigned_partitions", "events") == 1
    assert samples.value("driftline_seeks_total") == 3


def test_a_spare_without_partitions_is_ready(scene: Scene) -> None:
    scene.app.answer = {}
    vitals = scene.vitals()
    until(lambda: vitals.unready() is None)


def test_a_loop_that_hangs_is_told_while_it_hangs_and_forgiven_when_it_runs(scene: Scene) -> None:
    scene.app.answer = {}
    vitals = scene.vitals(patience_s=1.5)
    until(lambda: vitals.unready() is None)
    assert vitals.trouble() is None
    release = threading.Event()
    scene.loop.call_soon_threadsafe(release.wait)
    until(lambda: "event loop has not run" in (vitals.trouble() or ""))
    release.set()
    until(lambda: vitals.trouble() is None)


def test_a_partition_that_stands_with_more_to_read_is_trouble(scene: Scene) -> None:
    scene.app.answer = {HERE: Progress(5, 9)}
    vitals = scene.vitals(patience_s=1.5)
    until(lambda: "has stood at offset 5" in (vitals.trouble() or ""))
    scene.app.answer = {HERE: Progress(9, 9)}
    until(lambda: vitals.trouble() is None)


def test_a_broker_that_is_away_is_no_trouble_of_the_step_s(scene: Scene) -> None:
    scene.app.answer = ConnectionError("no broker")
    vitals = scene.vitals(patience_s=1.0)
    time.sleep(3.0)
    assert vitals.trouble() is None
    assert vitals.unready() is not None


def test_a_loop_that_stops_before_it_is_asked_leaves_no_coroutine_behind() -> None:
    loop = asyncio.new_event_loop()  # it never runs
    vitals = StepVitals(cast("DriftApp", cast("Any", App())), loop, patience_s=60.0, ready_lag=10, topic_prefix="t-")
    vitals.start()
    time.sleep(0.2)
    vitals.end()
    vitals.join(20)
    loop.close()
    assert vitals.unready() is not None
