"""A trigger that waits, or a turn, is told by a process that is there when no retrain worker is."""

from __future__ import annotations

import time
from pathlib import Path

from driftline.contracts.findings import RetrainTrigger
from driftline.health.catalogue import BY_NAME
from driftline.health.database import _QUESTIONS
from driftline.store import outbox, triggers, versions
from driftline.store.database import migrate, open_database
from driftline.store.outbox import OutboxRow
from driftline.store.transactions import reading


def test_detect_tells_of_triggers_that_wait(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'waiting'}.db")
    migrate(engine)
    triggers.record(engine, [RetrainTrigger(trigger_id="t", model="m", version="1", reason="drift", at=1, sentence="Drift.")])
    with reading(engine) as connection:
        told = _QUESTIONS["detect"](connection, time.time() * 1000)
    engine.dispose()
    assert ("driftline_open_triggers", 1, ("m",)) in told
    assert all("detect" in BY_NAME[name].of for name, _, _ in told)


def test_detect_tells_of_turns_that_nobody_publishes(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'waiting'}.db")
    migrate(engine)
    outbox.add(engine, [OutboxRow(owner=versions.OWNER, topic="model-versions", key=b"m", value=b"{}")])
    with reading(engine) as connection:
        told = _QUESTIONS["detect"](connection, time.time() * 1000)
    engine.dispose()
    assert ("driftline_outbox_records", 1, ("versions",)) in told
