"""The retrain worker's endpoint: a real process, with triggers and runs in its database."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import pytest
from tests.health.live import Live, tree

from driftline.cli.topics import ensure_topics
from driftline.contracts.findings import RetrainTrigger
from driftline.contracts.settings import build_settings
from driftline.store import runs, triggers
from driftline.store.database import migrate, open_database

pytestmark = pytest.mark.timeout(300)


def trigger(name: str, at: int) -> RetrainTrigger:
    return RetrainTrigger(trigger_id=name, model="m", version="1", reason="manual", at=at, sentence="Asked for.")


def test_it_is_ready_and_shows_triggers_runs_and_what_became_of_them(bootstrap: str, tmp_path: Path) -> None:
    configured = tree(bootstrap, f"t{uuid4().hex[:12]}-", tmp_path)
    settings = build_settings(configured)
    ensure_topics(settings)
    engine = open_database(settings.database)
    migrate(engine)
    now = time.time_ns() // 1_000_000
    triggers.record(engine, [trigger("waits", now - 60_000), trigger("waits too", now - 30_000)])
    for name in ("one", "two"):
        run = runs.claim(engine, trigger(name, now), owner="w", lease_ms=60_000, now=now)
        assert run is not None
        runs.finish(engine, run, status="refused", now=now)
    assert runs.claim(engine, trigger("runs", now), owner="w", lease_ms=600_000, now=now) is not None
    live = Live(tmp_path, configured, "retrain", "--log-format", "text")
    try:
        live.wait_for(lambda: live.ask("retrain", "/readyz")[0] == 200)
        live.wait_for(lambda: "driftline_retrain_runs_total" in live.metrics("retrain"))
        found = live.metrics("retrain")
        assert found["driftline_retrain_runs_total"] == {("m", "refused"): 2}
        assert found["driftline_retrain_running"] == {("m",): 1}
        assert found["driftline_open_triggers"] == {("m",): 3}
        assert 60 <= found["driftline_open_trigger_age_seconds"]["m",] < 300
        assert found["driftline_process_info"].keys() == {("retrain", "0.1.0")}
        assert subprocess.run(live.command("health", "retrain"), capture_output=True, timeout=60, check=False).returncode == 0
        live.process.send_signal(signal.SIGTERM)
        assert live.process.wait(30) == 0
        assert " INFO retrain The retrain worker is ready." in live.log.read_text()
    finally:
        if live.process.poll() is None:
            live.process.kill()
            live.process.wait()
        engine.dispose()
