"""Real parts for the tests: one Kafka and one PostgreSQL for a whole run, started when the first test asks for them.

Under pytest-xdist the workers share both: all call the same idempotent start with the same folder, one at a time. The
controller stops them at the end; should it be killed, a guard process of its own sees to it (``tests/guard.py``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from tests import postgres as pg
from tests.guard import clear_away

from driftline.cli.kafka_local import BrokerState, start_broker

# A deadline by the clock fails where the machine is busy, and tells nothing of the code.
hypothesis.settings.register_profile("driftline", deadline=None)
hypothesis.settings.load_profile("driftline")

_SHARED = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    worker_input: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker_input is not None:  # an xdist worker: the controller owns the folder
        config.stash[_SHARED] = Path(worker_input["driftline_shared"])
        return
    config.stash[_SHARED] = Path(tempfile.mkdtemp(prefix="driftline-tests-"))
    config.stash[_SHARED].chmod(0o755)  # PostgreSQL's user has to pass through


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    node.workerinput["driftline_shared"] = str(node.config.stash[_SHARED])  # type: ignore[attr-defined]  # xdist has no types


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        clear_away(config.stash[_SHARED])


@pytest.fixture(scope="session")
def shared_dir(pytestconfig: pytest.Config) -> Path:
    """The folder that all processes of this test run share; it goes when the run ends, however it ends."""
    shared = pytestconfig.stash[_SHARED]
    controller = os.getppid() if hasattr(pytestconfig, "workerinput") else os.getpid()
    try:
        (shared / "guarded").touch(exist_ok=False)
    except FileExistsError:
        return shared
    guard = [sys.executable, "-m", "tests.guard", str(controller), str(shared)]
    root = str(pytestconfig.rootpath)
    with (shared / "guard.log").open("wb") as log:
        starter = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"
        # Started by a process that ends at once, so that no Popen of ours is left to complain about it.
        subprocess.run(
            [sys.executable, "-c", starter, *guard],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=True,
        )
    return shared


@pytest.fixture(scope="session")
def broker(shared_dir: Path) -> BrokerState:
    """The run's real Kafka. A test that stops, pauses or floods its broker calls ``start_broker(tmp_path)`` instead."""
    return start_broker(shared_dir / "broker")


@pytest.fixture(scope="session")
def bootstrap(request: pytest.FixtureRequest) -> str:
    """``host:port`` of the run's Kafka, or of the one that ``DRIFTLINE_TEST_BOOTSTRAP`` names."""
    named = os.environ.get("DRIFTLINE_TEST_BOOTSTRAP")
    if named:
        return named
    state: BrokerState = request.getfixturevalue("broker")
    return state.bootstrap


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topics and groups that no other test uses: the broker is shared."""
    return f"t{uuid.uuid4().hex[:12]}-"


@pytest.fixture(scope="session")
def postgres(shared_dir: Path) -> str:
    """SQLAlchemy URL of the run's private PostgreSQL; without its programs, tests skip (under CI=true: fail)."""
    try:
        return pg.start(shared_dir / "postgres")
    except pg.NotInstalledError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """SQLAlchemy URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'driftline.db'}"
        return
    server: str = request.getfixturevalue("postgres")
    with pg.fresh_database(server) as url:
        yield url
