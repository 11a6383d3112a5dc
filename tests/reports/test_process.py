"""Real Evidently, in a process of its own: its import takes seconds, and its warnings are its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Engine
from tests.reports.world import HOUR, ONSET, migrated, opened, pane_rows, reference_of, samples, settings, stored

from driftline.contracts.ids import stable_id
from driftline.contracts.settings import Settings
from driftline.store import reports

TAG = "</script><script>alert(1)</script>"
RUN = """
import sys, msgspec
from driftline.contracts.settings import build_settings
from driftline.reports.worker import run_reports
print("ready", flush=True)
sys.exit(run_reports(build_settings(msgspec.json.decode(sys.argv[1])), once=sys.argv[2] == "once"))
"""


def _start(made: Settings, how: str) -> subprocess.Popen[str]:
    tree = {"database": made.database, "reports": {"folder": made.reports.folder}, "defaults": {"pane": "1h", "window": "1d"}}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, msgspec.json.encode(tree).decode(), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.fixture
def made(tmp_path: Path) -> Settings:
    return settings(tmp_path)


@pytest.fixture
def engine(made: Settings) -> Iterator[Engine]:
    engine = migrated(made)
    yield engine
    engine.dispose()


def _hostile_world(engine: Engine) -> None:
    """One model with all that a stream can bring, one with nothing to compare, and one that a reader's browser would fear."""
    n = 600
    before: dict[str, list[object]] = {
        "drifted": [float(i % 40) for i in range(n)],
        "steady": [float(i * 7 % 40) for i in range(n)],
        "constant": [1.0] * n,
        "never": [None] * n,
        "stops": [float(i % 9) for i in range(n)],
        "huge": [1e308 if i % 2 else -1e308 for i in range(n)],
        "narrow": [1e16 + 2 * (i % 2) for i in range(n)],
        "target": [float(i % 5) for i in range(n)],
        TAG: [float(i % 5) for i in range(n)],
        "category": [TAG if i % 3 else f"v{i}" for i in range(n)],
        "empty category": [None] * n,
        "": ["x"] * n,
    }
    now: dict[str, list[object]] = {
        **before,
        "drifted": [float(i % 40) + 30 for i in range(n)],
        "stops": [None] * n,
        "constant": ["text", None, True, 2.0] * (n // 4),
    }
    reference = reference_of(TAG, before)
    rows = samples(now, ONSET, prefix="now")
    stored(engine, reference, samples(before, 0), list(pane_rows(reference, rows, HOUR)), [opened(reference, "drifted", name="hostile")])

    empty = reference_of("empty", {"never": [None] * 5})
    empty = msgspec.structs.replace(empty, columns=tuple(c for c in empty.columns if c.role == "feature" and c.name == "absent"))
    gone = samples({"never": [None] * 5}, ONSET, prefix="gone")
    stored(engine, empty, samples({"never": [None] * 5}, 0), list(pane_rows(empty, gone, HOUR)), [opened(empty, name="empty")])


@pytest.mark.timeout(300)
def test_a_report_is_made_of_whatever_a_stream_brings(made: Settings, engine: Engine) -> None:
    _hostile_world(engine)
    process = _start(made, "once")
    output, _ = process.communicate(timeout=280)
    assert process.returncode == 0, output
    report = reports.get(engine, stable_id("episode", "hostile"))
    assert report is not None
    assert report.status == "ready", report.reason
    told = json.loads(Path(str(report.json)).read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert (told["reference_rows"], told["current_rows"]) == (600, 600)
    assert "stops" in told["left_out"]
    assert all(why for why in told["left_out"].values())
    values = {m["config"]["column"]: m["value"] for m in told["evidently"]["metrics"] if m["config"]["type"].endswith("ValueDrift")}
    assert values["drifted"] < 0.01
    assert values["steady"] > 0.5
    assert values["stops (given)"] < 0.01
    page = Path(str(report.html)).read_text(encoding="utf-8")
    assert "alert(1)" in page
    assert TAG not in page
    assert "<header" in page[: page.index("drawDashboard")]
    assert "600 of the reference" in page

    empty = reports.get(engine, stable_id("episode", "empty"))
    assert empty is not None
    assert empty.status == "failed"
    assert "no column can be compared" in empty.reason


@pytest.mark.timeout(300)
def test_sigterm_ends_the_worker_and_what_it_was_at_stays_wanted(made: Settings, engine: Engine) -> None:
    process = _start(made, "forever")
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(1.0)  # it polls an empty store
        assert process.poll() is None
        _hostile_world(engine)
        deadline = time.monotonic() + 30
        at_work = f"{stable_id('episode', 'hostile')}.attempts"
        while not list(Path(made.reports.folder).glob(f"*/{at_work}")):  # it imports Evidently now
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        process.communicate()
    assert stable_id("episode", "hostile") in {episode.episode_id for episode in reports.wanted(engine)}
    assert not [path for path in Path(made.reports.folder).glob("*/*") if path.suffix in {".attempts", ".part"}]
