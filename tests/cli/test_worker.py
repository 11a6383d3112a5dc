"""`driftline worker` as an operator runs it, against a real broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka import KafkaAdminClient

from driftline.cli.config import load_settings
from driftline.cli.lag import LagWatch
from driftline.contracts.settings import Settings
from driftline.producers.publisher import Publisher
from driftline.store.database import open_database
from driftline.streams.app import STEPS, group_id

pytestmark = pytest.mark.timeout(400)


class Worker:
    def __init__(self, folder: Path, *arguments: str) -> None:
        self.log, self.out = folder / "log", folder / "out"
        with self.log.open("ab") as log, self.out.open("ab") as out:
            command = [sys.executable, "-m", "driftline", "--config", str(folder / "driftline.yaml"), "worker", *arguments]
            self.process = subprocess.Popen(command, stderr=log, stdout=out, stdin=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def events(self, kind: str, step: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().split("\n")[:-1]]
        return [line for line in lines if line.get("event") == kind and step in (None, line.get("step"), line.get("child"))]

    def wait_for(self, condition: Callable[[], object], within_s: float = 180.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.1)


@pytest.fixture
def folder(bootstrap: str, topic_prefix: str, tmp_path: Path) -> Path:
    tree = {
        "kafka": {"bootstrap_servers": bootstrap, "topic_prefix": topic_prefix, "partitions": 2},
        "database": f"sqlite:///{tmp_path / 'd.db'}",
        "worker": {"idle_timeout": "2s", "flush_interval": "50ms"},
        "models": {"m": {"task": "regression", "pane": "1h", "window": "2h"}},
    }
    (tmp_path / "driftline.yaml").write_text(yaml.safe_dump(tree))
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def begin(*arguments: str) -> Worker:
        workers.append(Worker(folder, *arguments))
        return workers[-1]

    yield begin
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait()


def members(settings: Settings) -> list[str]:
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    groups = [group_id(settings.kafka, step) for step in STEPS]
    try:
        return [member["group_instance_id"] for group in admin.describe_groups(groups).values() for member in group["members"]]
    finally:
        admin.close()


def test_without_topics_and_database_it_does_not_start(start: Callable[..., Worker]) -> None:
    worker = start()
    assert worker.process.wait(120) == 2
    assert "is missing, expected with 2 partitions; run `driftline topics create`" in worker.log.read_text()


def test_a_killed_step_comes_back_goes_on_and_sigterm_drains_all(folder: Path, start: Callable[..., Worker]) -> None:
    worker = start("--setup", "summarise", "join", "detect")
    worker.wait_for(lambda: {e["step"] for e in worker.events("assigned")} == {"summarise", "join", "detect"})
    settings = load_settings(folder / "driftline.yaml", {})
    engine = open_database(settings.database)

    def publish(n: int) -> None:
        kafka = settings.kafka
        with Publisher(bootstrap_servers=kafka.bootstrap_servers, model="m", topic_prefix=kafka.topic_prefix) as publisher:
            for i in range(n):
                event_id = publisher.publish({"secret": 8675309 + i}, prediction=1.0, event_time=1_700_000_000_000 + i)
                publisher.publish_label(event_id, 1.0, event_time=1_700_000_000_000 + i)
            assert publisher.flush(30)

    with LagWatch(settings, engine) as watch:
        publish(50)
        assert watch.wait(60).caught_up
        named = members(settings)
        assert len(named) == len(set(named)) == len(STEPS)
        pid = worker.events("started", "detect")[-1]["pid"]
        os.kill(pid, signal.SIGKILL)
        publish(50)
        worker.wait_for(lambda: len(worker.events("started", "detect")) == 2)
        assert worker.events("ended", "detect")[0]["code"] == -signal.SIGKILL
        lag = watch.wait(120)
        assert lag.caught_up, lag
        assert sorted(members(settings)) == sorted(named), "a step that is started again comes back under its name"
        assert sum(p.end for p in lag.partitions if p.step == "summarise") == 100
    worker.process.terminate()
    assert worker.process.wait(60) == 0
    assert members(settings) == [], "a worker that was told to stop is not waited for"
    assert worker.events("stopped")
    assert worker.out.read_text() == ""
    assert "8675" not in worker.log.read_text()
    engine.dispose()


def test_a_step_by_itself_has_the_name_that_its_pod_has(folder: Path, start: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(folder / "driftline.yaml", {})
    monkeypatch.setenv("DRIFTLINE__WORKER__INSTANCE_ID", "pod-0")
    first = start("--setup", "--step", "detect")
    first.wait_for(lambda: first.events("assigned"))
    assert members(settings) == ["pod-0-detect"]
    first.process.kill()
    first.process.wait()
    again = start("--step", "detect")
    again.wait_for(lambda: len(again.events("assigned")) == 2)  # both write to one log
    assert members(settings) == ["pod-0-detect"], "it comes back under its name, and nobody waits for the one that was killed"
    again.process.terminate()
    assert again.process.wait(60) == 0
    assert members(settings) == ["pod-0-detect"], "it is expected back"
