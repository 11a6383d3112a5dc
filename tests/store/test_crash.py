"""kill -9 at the worst moments: what was there stays, nothing of the rest, and the successor goes on at once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError
from tests import postgres as pg
from tests.store import hang
from tests.store.builders import alert, block, change, finding, label, outbox_row, pane, prediction, trigger, version

from driftline.store import detection, episodes, findings, join, outbox, outcomes, runs, versions
from driftline.store.database import migrate, open_database
from driftline.store.join import JoinChange
from driftline.store.tables import metadata
from driftline.store.transactions import reading, writing

_ROOT = Path(__file__).parents[2]


def contents(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with reading(engine) as conn:
        return {name: [tuple(row) for row in conn.execute(select(table).order_by(*table.primary_key))] for name, table in metadata.tables.items()}


@pytest.fixture
def begun(engine: Engine) -> Engine:
    """A database in which each writer has done something already."""
    rows: dict[str, Any] = {"predictions": [prediction("a")], "labels": [label("a")]}
    read = JoinChange(source="s", partition=0, expected_next=None, next_offset=2, **rows)
    join.apply(engine, read, lambda _: [outbox_row(b"1")])
    said: dict[str, Any] = {
        "findings": [finding()],
        "alerts": [alert()],
        "triggers": [trigger()],
        "outbox": [outbox_row(b"1")],
    }
    state: dict[str, Any] = {"blocks": [block(0)], "panes": [pane(0)], "model_states": {"m": b"old"}}
    detection.commit(engine, change(None, 2, **said, **state))
    versions.register_first(engine, version(1))
    runs.claim(engine, trigger(), owner="a", lease_ms=1, now=0)
    return engine


@pytest.mark.parametrize("where", ["outbox", "commit"])
@pytest.mark.parametrize("writer", ["join", "detect", "promote"])
def test_a_writer_killed_inside_its_transaction_leaves_the_old_state(begun: Engine, database_url: str, writer: str, where: str) -> None:
    before = contents(begun)
    command = [sys.executable, "-m", "tests.store.hang", database_url, writer, where]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert contents(begun) == before
        process.kill()
    assert contents(begun) == before
    started = time.monotonic()
    hang.WRITERS[writer](begun)
    assert time.monotonic() - started < 3
    after = contents(begun)
    assert after["outbox"] != before["outbox"]
    if writer == "join":
        assert join.cursor(begun, "s", 0) == 5
        assert [o.label for o in outcomes.ripe_rows(begun, "m", since=0, until=1 << 60, known_by=1 << 60)] == [0.0, 1.0]
        assert [row.value for row in outbox.pending(begun, "o")] == [b"1", b"1", b"2"]
    elif writer == "detect":
        assert detection.load(begun, 0).model_states == {"m": b"new"}
        assert [f.revision for f in findings.history(begun)] == [1]
        assert episodes.history(begun, open_only=True) == []
    else:
        assert runs.open_triggers(begun) == []
        assert [v.sequence for v in versions.history(begun, "m")] == [1, 2]


def test_a_writer_stopped_inside_its_transaction_holds_its_successor_for_seconds_only(postgres: str) -> None:
    """SIGSTOP, a paused machine: the server ends the transaction, the sleeper learns of it when it wakes."""
    with pg.fresh_database(postgres) as url:
        engine = open_database(url)
        migrate(engine)
        detection.commit(engine, change(None, 1))
        inside, woken = threading.Event(), threading.Event()
        errors: list[Exception] = []

        def sleeper() -> None:
            try:
                with writing(engine) as conn:
                    detection.commit(conn, change(1, 2, blocks=[block(0)]))
                    inside.set()
                    woken.wait(30)
                    conn.execute(text("SELECT 1"))
            except DBAPIError as error:
                errors.append(error)

        thread = threading.Thread(target=sleeper)
        thread.start()
        assert inside.wait(10)
        started = time.monotonic()
        detection.commit(engine, change(1, 3, blocks=[block(8)]))
        waited = time.monotonic() - started
        woken.set()
        thread.join()
        assert 2 < waited < 8
        assert len(errors) == 1
        assert detection.load(engine, 0).blocks == [block(8)]
        engine.dispose()
