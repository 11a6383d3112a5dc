"""A writer that stops before a statement or its commit, to be killed: ``python -m tests.store.hang URL WRITER
WHERE``.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from sqlalchemy import Engine, event
from tests.store.builders import (
    T0,
    alert,
    block,
    change,
    finding,
    label,
    outbox_row,
    pane,
    prediction,
    trigger,
    version,
)

from driftline.store import detection, join, runs, versions
from driftline.store.database import open_database
from driftline.store.join import JoinChange
from driftline.store.transactions import writing


def joins(engine: Engine) -> None:
    """The second transaction of a join: it relabels one outcome and completes another."""
    rows: dict[str, Any] = {
        "predictions": [prediction("b")],
        "labels": [label("a", 0.0, label_time=9 * T0), label("b")],
    }
    join.apply(
        engine,
        JoinChange(source="s", partition=0, expected_next=2, next_offset=5, **rows),
        lambda changes: [outbox_row(str(len(changes)).encode())],
    )


def detects(engine: Engine) -> None:
    """The second transaction of detect."""
    detection.commit(
        engine,
        change(
            2,
            5,
            blocks=[block(0, payload=b"new"), block(1024)],
            panes=[pane(0, payload=b"new")],
            model_states={"m": b"new"},
            findings=[finding(revision=1)],
            alerts=[alert("e", 1, "resolved")],
            triggers=[trigger("t2")],
            outbox=[outbox_row(b"2")],
        ),
    )


def promotes(engine: Engine) -> None:
    """The end of a retraining."""
    run = runs.get(engine, "t")
    assert run is not None
    with writing(engine) as conn:
        runs.finish(conn, run, status="promoted", now=1)
        versions.promote(conn, version(2), 1)


WRITERS = {"join": joins, "detect": detects, "promote": promotes}


def hang() -> None:
    """Say that all is ready, then wait to be killed."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    time.sleep(600)


def main(url: str, writer: str, where: str) -> None:
    """Write, and hang at ``outbox`` (half is written) or ``commit`` (all is)."""
    engine = open_database(url)

    @event.listens_for(engine, "before_cursor_execute")
    def before_statement(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if where == "outbox" and "INSERT INTO outbox" in statement:
            hang()

    @event.listens_for(engine, "commit")
    def before_commit(_conn: Any) -> None:
        if where == "commit":
            hang()

    WRITERS[writer](engine)


if __name__ == "__main__":
    main(*sys.argv[1:])
