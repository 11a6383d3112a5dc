"""One run in a process of its own: ``python -m driftline.retrain.job``. The worker writes what to do to standard input
and keeps it open.

A training may take hours, all memory or the interpreter with it; the worker only has to end this process. And should
the worker die, standard input closes, and this process ends itself rather than train for nobody.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import BinaryIO

import msgspec
from sqlalchemy import Engine

from driftline.contracts.errors import DriftlineError, StaleState
from driftline.contracts.findings import ModelVersion, RetrainTrigger
from driftline.contracts.settings import Settings
from driftline.contracts.times import parse_duration
from driftline.retrain.attempt import attempt
from driftline.retrain.promotion import Turn, settle
from driftline.store import runs, versions
from driftline.store.database import open_database

#: The run was taken over by another worker, or is settled: nothing was written.
EXIT_LOST = 75
_TURNS_MEANWHILE = 3


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker asks for. It comes over a pipe, for the database's address may hold a password."""

    settings: Settings
    trigger: RetrainTrigger
    run: runs.Run


def carry_out(engine: Engine, job: Job) -> ModelVersion | None:
    """Do the run and write its end. None where the model has no champion, and so no turn to publish: the run has
    failed.

    Raises:
        StaleState: the run is no longer ours.
    """
    for _ in range(_TURNS_MEANWHILE):
        champion = versions.current(engine, job.trigger.model)
        if champion is None:
            runs.finish(engine, job.run, status="failed", now=_now(), detail=b"no champion is registered for this model")
            return None
        turn = _turn(engine, job, champion)
        try:
            return settle(engine, job.run, champion, turn, now=_now())
        except StaleState:
            runs.heartbeat(engine, job.run, lease_ms=parse_duration(job.settings.retrain.lease), now=_now())
            # Still ours: the champion has turned meanwhile (someone accepted a drift, say), so the trial has to be held
            # again.
    raise DriftlineError(f"the champion of {job.trigger.model} turned {_TURNS_MEANWHILE} times while the run was under way")


def _turn(engine: Engine, job: Job, champion: versions.Champion) -> Turn:
    try:
        return attempt(engine, job.settings, job.trigger, champion)
    except Exception as error:  # noqa: BLE001 - whatever a trainer or a hostile row brings about: the run says so and is settled
        reason = str(error) if isinstance(error, DriftlineError) else f"{type(error).__name__}: {error}"
        return Turn("failed", f"The run failed and the champion stays: {reason}")


def _now() -> int:
    return time.time_ns() // 1_000_000


def _die_with(worker: BinaryIO) -> None:
    worker.read()
    os._exit(1)


def main() -> int:
    """Carry out the job on standard input; exit 0 when the run is settled, 75 when it is another's."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    threading.Thread(target=_die_with, args=(sys.stdin.buffer,), daemon=True).start()
    engine = open_database(job.settings.database)
    try:
        carry_out(engine, job)
    except StaleState:
        return EXIT_LOST
    finally:
        engine.dispose()
    return 0


if __name__ == "__main__":
    # Past the interpreter's own end, which would wait for the thread at standard input.
    code = main()
    sys.stderr.flush()
    os._exit(code)
