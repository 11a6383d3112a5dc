"""One step in this process: a Faust app on the fastest event loop there is, ended by SIGTERM or by the death of whoever supervises it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from driftline.cli.supervisor import SUPERVISED
from driftline.contracts.errors import DriftlineError, SetupError
from driftline.contracts.settings import Settings

if TYPE_CHECKING:
    import faust

log = logging.getLogger("driftline.worker")

#: How long an orphan may take to leave.
_ORPHAN_S: Final = 20.0


def run_step(settings: Settings, step: str) -> int:
    """Run ``summarise``, ``join``, ``detect`` or ``reports`` until told to stop; return the exit code.

    Raises SchemaOutdated where the database is not ready.
    """
    supervised = is_supervised()
    if supervised:
        leave_with_supervisor()
    try:
        return _run_reports(settings) if step == "reports" else _run_faust(settings, step)
    except DriftlineError as error:
        if not supervised:
            raise
        log.error("%s", error, extra={"fields": {"event": "refused"}})  # noqa: TRY400 - expected, so without a trace
        return 2
    except Exception:
        log.critical("%s failed", step, exc_info=True, extra={"fields": {"event": "failed"}})
        return 1


def is_supervised() -> bool:
    """Say whether a supervisor started this process, and holds the other end of its standard input."""
    return SUPERVISED in os.environ


def leave_with_supervisor() -> None:
    """End this process, gently first, when the supervisor that started it is gone."""
    os.environ.pop(SUPERVISED, None)  # not for our own children
    threading.Thread(target=_wait_for_orphanage, name="supervisor-watch", daemon=True).start()


def reports_missing() -> str | None:
    """Say what is missing to make reports, None if nothing is."""
    from importlib.util import find_spec

    if find_spec("driftline.reports") is None:
        return "this installation has no driftline.reports"
    return None if find_spec("evidently") else "Evidently is not installed: pip install 'driftline[reports]'"


def _run_reports(settings: Settings) -> int:
    absent = reports_missing()
    if absent is not None:
        raise SetupError(f"no reports can be made: {absent}")
    from driftline.reports.worker import run_reports

    return run_reports(settings)


def _run_faust(settings: Settings, step: str) -> int:
    loop = _new_loop()
    asyncio.set_event_loop(loop)
    from driftline.streams.app import STEPS, create_app

    known = next(s for s in STEPS if s == step)
    app = create_app(settings, known, os.environ)

    async def assigned(_app: Any, partitions: Any, **_: Any) -> None:
        held = sorted(f"{tp.topic}[{tp.partition}]" for tp in partitions)
        log.info("%s reads %d partitions", step, len(held), extra={"fields": {"event": "assigned", "partitions": held}})

    app.on_partitions_assigned.connect(assigned)  # type: ignore[arg-type]  # Faust's protocol has no names
    worker = _step_worker()(app, quiet=True, redirect_stdouts=False, override_logging=False, loop=loop)
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


def _step_worker() -> type[faust.Worker]:
    import faust

    class StepWorker(faust.Worker):
        """Faust's worker without its two seconds of sleep at the end: by then the app has stopped, and what it committed is committed."""

        def _shutdown_loop(self) -> None:
            if self.crash_reason:
                raise self.crash_reason

    return StepWorker


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform != "win32":
        try:
            import uvloop
        except ImportError:
            pass
        else:
            return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def _wait_for_orphanage() -> None:
    while os.read(0, 1):
        pass
    log.warning("The supervisor is gone: leaving", extra={"fields": {"event": "orphaned"}})
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_ORPHAN_S)
    os._exit(1)
