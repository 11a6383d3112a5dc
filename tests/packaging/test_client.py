"""`pip install driftline` in an empty environment: what it brings, what it loads, and that it publishes."""

from __future__ import annotations

import os
import re
import subprocess
import textwrap
from pathlib import Path

import pytest
from tests.packaging.build import build_wheel, empty_environment, install, locked_versions
from tests.producers.conftest import Read, prefix, read

from driftline.contracts.events import decode_inference, decode_label

__all__ = ["prefix", "read"]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the client alone. Where no index is in reach these tests are left out, under CI they fail."""
    folder = tmp_path_factory.mktemp("client")
    python = empty_environment(folder / "venv")
    failure = install(python, str(build_wheel(folder)), constraints=locked_versions(folder / "constraints.txt"))
    if failure is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"the client can't be installed: {failure}")
        pytest.skip(f"the client can't be installed here, is an index in reach? {failure.splitlines()[0]}")
    return python


def run(python: Path, program: str, *arguments: str) -> str:
    # -I: nothing of the checkout is on the path.
    command = [str(python), "-I", "-c", textwrap.dedent(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=python.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_client_brings_kafka_python_and_msgspec_and_little_else(python: Path) -> None:
    installed = run(python, "import importlib.metadata as m; print(*(d.metadata['Name'] for d in m.distributions()))").split()
    assert {name.lower().replace("_", "-") for name in installed} <= {"driftline", "kafka-python", "msgspec", "crc32c"}


def test_the_client_imports_its_two_packages_and_nothing_slow(python: Path) -> None:
    # How long it takes (the mark: 0.3 s of the processor) is measured by benchmarks/publisher.py.
    probe = "import sys; import driftline.producers; print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"
    brought = {name for name in run(python, probe).split() if not name.startswith("_")}
    assert brought <= {"driftline", "kafka", "msgspec", "crc32c"}


def test_the_client_publishes_and_everything_it_does_works_without_the_extras(python: Path, bootstrap: str, prefix: str, read: Read) -> None:
    program = """
        import sys
        from driftline.producers import Publisher, Subscriber
        from driftline.contracts.errors import SettingsError
        from driftline.contracts.findings import Alert

        options = {"bootstrap_servers": sys.argv[1], "topic_prefix": sys.argv[2]}
        with Publisher(**options, model="m", compression="gzip", pii={"user": "hash"}, pii_key=b"0123456789abcdef") as publisher:
            event_id = publisher.publish({"x": 1, "user": "Ada"}, prediction=1, score=0.5)
            publisher.publish_label(event_id, 0)
            assert publisher.flush(60)
            try:
                publisher.publish_batch({"x": [1, 2]})
            except SettingsError as error:
                assert "driftline[columnar]" in str(error), error
            else:
                raise AssertionError
            print(event_id, publisher.delivered, publisher.lost)
        with Subscriber(Alert, **options, start="earliest", idle_timeout=0.1) as alerts:
            assert list(alerts) == []
        import driftline.producers.replay
    """
    event_id, *counts = run(python, program, bootstrap, prefix).split()
    assert counts == ["2", "0"]
    ((_, _, value, _, _),) = read(prefix + "inference-events")
    ((_, _, label, _, _),) = read(prefix + "label-events")
    assert decode_inference(value).event_id == decode_label(label).event_id == event_id
    assert b"Ada" not in (value or b"")


def test_a_command_that_needs_an_extra_says_which(python: Path) -> None:
    done = subprocess.run([python.parent / "driftline", "status"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert re.search(r"driftline\[\w+\]", done.stderr), done.stderr
