"""The broker and the database of a run, to be taken away and given back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url
from tests import postgres
from tests.integration.faults import Fault

from driftline.cli.kafka_local import broker_status, start_broker, stop_broker

#: Holds SQLite's only write lock.
_HOLD = "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], 60); c.execute('BEGIN IMMEDIATE'); time.sleep(float(sys.argv[2]))"


@dataclass(frozen=True)
class Parts:
    """Where the parts are that a fault may take away; None: not ours to touch."""

    broker: Path | None = None
    postgres: Path | None = None

    def do(self, fault: Fault, database: str) -> None:
        """Do a fault; returns when what was taken away is back."""
        if fault.what == "database_away":
            self._without_database(fault.for_s, database)
            return
        if self.broker is None:
            raise ValueError(f"{fault.what}: the broker is others' too")
        if fault.what == "broker_crash":
            state = broker_status(self.broker)
            if state is not None:
                os.kill(state.pid, signal.SIGKILL)
        stop_broker(self.broker)  # after a crash: wait until it is gone
        time.sleep(fault.for_s)
        start_broker(self.broker)

    def _without_database(self, for_s: float, database: str) -> None:
        url = make_url(database)
        if url.get_backend_name() == "sqlite":
            subprocess.run([sys.executable, "-c", _HOLD, str(url.database), str(for_s)], check=True)
            return
        if self.postgres is None:
            raise ValueError("database_away: PostgreSQL is others' too")
        postgres.stop(self.postgres)
        time.sleep(for_s)
        postgres.resume(self.postgres)


NOBODYS = Parts()
