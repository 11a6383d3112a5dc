from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.cli.supervisor import Backoff

ROOT = Path(__file__).parents[2]

#: A supervisor of children that run the code given, each in a process of its own.
RUN = """
import json, sys
from driftline.cli.logs import configure
from driftline.cli.supervisor import Backoff, Supervisor
configure("info")
codes = json.loads(sys.argv[1])
commands = {name: [sys.executable, "-c", code] for name, code in codes.items()}
sys.exit(Supervisor(commands, drain_s=float(sys.argv[2]), backoff=Backoff(first_s=0.1)).run())
"""
SLEEPS = "import time; time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
LEAVES_WITH_PARENT = "import os; from driftline.cli.step import leave_with_supervisor as go; import time; go(); time.sleep(60)"


class Run:
    def __init__(self, folder: Path, drain_s: float, codes: dict[str, str]) -> None:
        self.log = folder / "log"
        with self.log.open("wb") as log, (folder / "out").open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, json.dumps(codes), str(drain_s)], stderr=log, stdout=out, stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            )  # fmt: skip
        self.out = folder / "out"

    def events(self, kind: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == kind]

    def wait_for(self, condition: Callable[[], object], within_s: float = 30.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def pid(self, nth: int = -1) -> int:
        self.wait_for(lambda: self.events("started"))
        return int(str(self.events("started")[nth]["pid"]))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(drain_s: float = 10.0, **codes: str) -> Run:
        runs.append(Run(tmp_path, drain_s, codes))
        return runs[-1]

    yield start
    for each in runs:
        each.process.kill()
        each.process.wait()
        for started in each.events("started"):
            if lives(int(str(started["pid"]))):
                os.kill(int(str(started["pid"])), signal.SIGKILL)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@given(failures=st.integers(1, 10_000))
def test_waits_grow_and_stay_bounded(failures: int) -> None:
    backoff = Backoff()
    assert backoff.first_s <= backoff.delay(failures) <= backoff.delay(failures + 1) <= backoff.longest_s


def test_a_child_that_is_killed_is_started_again(run: Callable[..., Run]) -> None:
    supervised = run(step=SLEEPS)
    first = supervised.pid()
    os.kill(first, signal.SIGKILL)
    supervised.wait_for(lambda: len(supervised.events("started")) == 2)
    assert supervised.events("ended")[0]["code"] == -signal.SIGKILL
    assert supervised.pid() != first


def test_a_child_that_keeps_ending_is_started_ever_slower(run: Callable[..., Run]) -> None:
    supervised = run(step="import sys; sys.exit(70)")
    supervised.wait_for(lambda: len(supervised.events("ended")) == 3)
    said = [str(event["message"]) for event in supervised.events("ended")]
    assert [text.rpartition(" in ")[2] for text in said] == ["0.1 s", "0.2 s", "0.4 s"]
    assert {event["code"] for event in supervised.events("ended")} == {70}


def test_sigterm_stops_all_children_and_exits_0(run: Callable[..., Run]) -> None:
    supervised = run(a=SLEEPS, b=SLEEPS)
    supervised.wait_for(lambda: len(supervised.events("started")) == 2)
    pids = [supervised.pid(0), supervised.pid(1)]
    supervised.process.terminate()
    assert supervised.process.wait(15) == 0
    assert not any(lives(pid) for pid in pids)


def test_a_child_that_does_not_leave_in_time_is_killed_and_the_exit_code_says_so(run: Callable[..., Run]) -> None:
    supervised = run(0.3, step=STUBBORN)
    supervised.wait_for(lambda: b"deaf" in supervised.out.read_bytes())
    pid = supervised.pid()
    supervised.process.terminate()
    assert supervised.process.wait(15) == 1
    assert supervised.events("killed")
    assert not lives(pid)


def test_a_second_sigterm_ends_all_at_once(run: Callable[..., Run]) -> None:
    supervised = run(60.0, step=STUBBORN)
    supervised.wait_for(lambda: b"deaf" in supervised.out.read_bytes())
    pid = supervised.pid()
    supervised.process.terminate()
    supervised.wait_for(lambda: supervised.events("draining"))
    supervised.process.terminate()
    assert supervised.process.wait(15) == 128 + signal.SIGTERM
    assert not lives(pid)


def test_children_leave_when_the_supervisor_is_killed(run: Callable[..., Run]) -> None:
    supervised = run(step=f"print('up', flush=True); {LEAVES_WITH_PARENT}")
    supervised.wait_for(lambda: b"up" in supervised.out.read_bytes())
    pid = supervised.pid()
    supervised.process.kill()
    supervised.process.wait()
    supervised.wait_for(lambda: not lives(pid), within_s=30)
