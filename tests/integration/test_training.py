"""A training undisturbed and under faults comes to the same turns of the model, by id and content; ``tests/retrain`` has the rest of the worker."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from tests import postgres as pg
from tests.integration.scene import made_topics
from tests.retrain import world
from tests.retrain.test_worker import Scene

from driftline.contracts.findings import ModelVersion

#: Longer than the lease (3 s) and than the session (6 s): who wakes up finds its run taken over.
_ASLEEP_S = 9.0
What = Callable[[Scene, subprocess.Popen[bytes]], None]


def train(folder: Path, bootstrap: str, database: str, fault: What) -> list[ModelVersion]:
    """Run one trigger through two workers while something happens to the one that trains; return the turns that were published."""
    folder.mkdir()
    settings = world.settings_of(folder, database, bootstrap=bootstrap, prefix=made_topics(bootstrap))
    scene = Scene(folder, settings)
    try:
        world.register(scene.engine, settings)
        scene.send(world.live(scene.engine, settings, "flipped"))
        slow = scene.with_model(trainer="tests.retrain.odd_trainers:Slow")
        worker = scene.worker(slow, sleep=3)
        scene.training()
        scene.worker(slow, sleep=3)
        fault(scene, worker)
        scene.settled(offsets=1)
        return scene.turns()
    finally:
        _end(scene)
        scene.engine.dispose()


@pytest.fixture(scope="module")
def undisturbed(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> list[ModelVersion]:
    folder = tmp_path_factory.mktemp("undisturbed")
    return train(folder / "run", bootstrap, f"sqlite:///{folder / 'd.db'}", _nothing)


def _nothing(_scene: Scene, _worker: subprocess.Popen[bytes]) -> None:
    return


def _killed(_scene: Scene, worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()


def _asleep(_scene: Scene, worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGSTOP)
    time.sleep(_ASLEEP_S)
    worker.send_signal(signal.SIGCONT)


@pytest.mark.parametrize(("fault", "database"), [(_killed, "postgresql"), (_asleep, "sqlite")])
def test_a_training_that_is_disturbed_comes_to_the_same_turns(
    request: pytest.FixtureRequest, undisturbed: list[ModelVersion], tmp_path: Path, fault: What, database: str
) -> None:
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'd.db'}"
        if database == "postgresql":
            url = stack.enter_context(pg.fresh_database(request.getfixturevalue("postgres")))
        found = train(tmp_path / "run", request.getfixturevalue("bootstrap"), url, fault)
    assert [(t.sequence, t.status, t.version) for t in found] == [(1, "champion", "1"), (2, "champion", "2")]
    assert [_content(t) for t in found] == [_content(t) for t in undisturbed]


def _content(turn: ModelVersion) -> ModelVersion:
    # A model file carries the times at which its parts were written.
    return msgspec.structs.replace(turn, artifact=None, sha256=None)


def _end(scene: Scene) -> None:
    for worker in scene.workers:
        if worker.poll() is None:
            worker.send_signal(signal.SIGCONT)
            worker.kill()
        worker.wait()
