"""``python -m tests.guard PID FOLDER``: clears away what a test run started, should the run itself be killed."""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

from tests import postgres

from driftline.cli.kafka_local import stop_broker


def clear_away(shared: Path) -> None:
    """Stop the Kafka and the PostgreSQL of a test run's folder, and remove it."""
    stop_broker(shared / "broker")
    postgres.stop(shared / "postgres")
    shutil.rmtree(shared, ignore_errors=True)


def main(pid: int, shared: Path) -> None:
    """Wait until ``pid`` is gone; then clear away, unless the run has done so itself."""
    while shared.exists():
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            clear_away(shared)
            return
        time.sleep(1.0)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
