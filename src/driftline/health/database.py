"""What only the database knows, asked now and then by a thread of its own, so that a scrape never waits for SQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from driftline.health.catalogue import Process
from driftline.health.samples import Samples
from driftline.store import outbox, tables, triggers, versions
from driftline.store.transactions import reading

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_EVERY_S: Final = 5.0

Values = list[tuple[str, float, tuple[str, ...]]]


class DatabaseWatch(threading.Thread):
    """Asks again and again; shows the last answer, and whether there was one."""

    def __init__(self, open_engine: Callable[[], Engine], process: Process, every_s: float = _EVERY_S) -> None:
        super().__init__(name="health-sql", daemon=True)
        self._open_engine = open_engine
        self._ask = _QUESTIONS[process]
        self._every_s = every_s
        self._answer: tuple[bool, Values] = (False, [])

    def run(self) -> None:
        """Ask until the process ends."""
        engine: Engine | None = None
        while True:
            try:
                engine = engine or self._open_engine()
                with reading(engine) as connection:
                    values = self._ask(connection, time.time() * 1000)
                self._answer = (True, values)
            except SQLAlchemyError:
                self._answer = (False, self._answer[1])
            time.sleep(self._every_s)

    def show(self, samples: Samples) -> None:
        """Put the last answer into the samples."""
        up, values = self._answer
        samples.add("driftline_database_up", up)
        for name, value, labels in values:
            samples.add(name, value, *labels)


def _outbox(connection: Connection, step: str) -> Values:
    waiting = outbox.waiting(connection)
    return [("driftline_outbox_records", n, (owner,)) for owner, n in waiting.items() if owner.partition(":")[0] == step]


def _reports(connection: Connection) -> Values:
    t = tables.reports
    rows = connection.execute(select(t.c.status, func.count()).group_by(t.c.status))
    return [("driftline_reports_total", n, (status,)) for status, n in rows]


def _retraining(connection: Connection, now: float) -> Values:
    t = tables.runs
    found: Values = []
    for model, status, n in connection.execute(select(t.c.model, t.c.status, func.count()).group_by(t.c.model, t.c.status)):
        running = status == "running"
        found.append(("driftline_retrain_running", n, (model,)) if running else ("driftline_retrain_runs_total", n, (model, status)))
    return found + _waiting(connection, now)


def _waiting(connection: Connection, now: float) -> Values:
    """Triggers that nobody has settled: told by detect too, for where nothing trains nothing says so."""
    found: Values = []
    for trigger in triggers.open_triggers(connection):
        found.append(("driftline_open_triggers", 1, (trigger.model,)))
        found.append(("driftline_open_trigger_age_seconds", max(now - trigger.at, 0) / 1000, (trigger.model,)))
    return found


_QUESTIONS: Mapping[Process, Callable[[Connection, float], Values]] = {
    "join": lambda connection, _: _outbox(connection, "join"),
    "detect": lambda connection, now: _outbox(connection, "detect") + _outbox(connection, versions.OWNER) + _waiting(connection, now),
    "reports": lambda connection, _: _reports(connection),
    "retrain": _retraining,
}
