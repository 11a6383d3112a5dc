"""A step that can't finish what it has in hand leaves all the same."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from uuid import uuid4

import pytest
from tests.health.live import Live, event, tree

from driftline.cli.topics import ensure_topics
from driftline.contracts.settings import build_settings
from driftline.store.database import migrate, open_database

pytestmark = pytest.mark.timeout(300)

DRAIN_S = 3


def test_a_step_whose_database_hangs_leaves_when_its_time_to_drain_is_over(bootstrap: str, tmp_path: Path) -> None:
    configured = tree(bootstrap, f"t{uuid4().hex[:12]}-", tmp_path, drain_timeout=f"{DRAIN_S}s")
    configured["http"]["port"] = 0
    settings = build_settings(configured)
    ensure_topics(settings)
    engine = open_database(settings.database)
    migrate(engine)
    engine.dispose()
    live = Live(tmp_path, configured, "worker", "--step", "join")
    holder = sqlite3.connect(tmp_path / "d.db", isolation_level=None)
    try:
        live.wait_for(lambda: any(line.get("event") == "assigned" for line in live.lines()))
        holder.execute("BEGIN IMMEDIATE")
        live.send("inference-events", [event(i) for i in range(50)])
        time.sleep(1.0)  # until it waits for the lock
        took = live.stop()
        assert live.process.returncode == 1, live.log.read_text()[-3000:]
        assert DRAIN_S <= took < DRAIN_S + 10
        assert [line["message"] for line in live.lines() if line.get("event") == "undrained"] == [
            f"Not done in {DRAIN_S} s: leaving; what is not committed is read again"
        ]
    finally:
        holder.close()
        if live.process.poll() is None:
            live.process.kill()
            live.process.wait()
