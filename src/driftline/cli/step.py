"""One step in this process: a Faust app on the fastest event loop there is, ended by SIGTERM or by the death of whoever supervises it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from driftline.cli.collector import spare_collector
from driftline.cli.supervisor import SUPERVISED
from driftline.cli.waiting import wait_for_parts
from driftline.contracts.errors import DriftlineError, SetupError
from driftline.contracts.settings import Settings
from driftline.contracts.times import SECOND_MS, parse_duration
from driftline.health.catalogue import Process
from driftline.health.process import port_of, serve

if TYPE_CHECKING:
    import faust

    from driftline.streams.transport import DriftApp

log = logging.getLogger("driftline.worker")

#: A report of the widest model takes a minute or two.
_LONGEST_REPORT_S: Final = 900.0
#: How long an orphan may take to leave.
_ORPHAN_S: Final = 20.0


def run_step(settings: Settings, step: str) -> int:
    """Run ``summarise``, ``join``, ``detect`` or ``reports`` until told to stop; return the exit code.

    Raises SchemaOutdated where the database is not ready.
    """
    supervisor = os.environ.get(SUPERVISED)
    supervised = supervisor is not None
    if supervised:
        leave_with_supervisor()
        wait_for_parts(settings)
    try:
        return _run_reports(settings) if step == "reports" else _run_faust(settings, step, supervisor)
    except DriftlineError as error:
        if not supervised:
            raise
        log.error("%s", error, extra={"fields": {"event": "refused"}})  # noqa: TRY400 - expected, so without a trace
        return 2
    except Exception:
        log.critical("%s failed", step, exc_info=True, extra={"fields": {"event": "failed"}})
        return 1


def leave(code: int) -> NoReturn:
    """End this process, whose work is done and closed, without taking the interpreter apart.

    Freeing all that Evidently imports takes more than a second of CPU: many seconds for a process that is nice to others on a busy machine, and who
    stops ``driftline worker`` waits for the last one.
    """
    atexit._run_exitfuncs()  # noqa: SLF001  # what libraries want done at the end: logs flushed, temporary files gone
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


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

    return run_reports(settings, beat=serve_pulse(settings, "reports", _LONGEST_REPORT_S))


def serve_pulse(settings: Settings, process: Process, patience_s: float) -> Callable[[str | None], None]:
    """Start the health endpoint of a plain loop, if the settings give it a port; return what the loop has to call each time round."""
    from driftline.health.process import telemetry_of
    from driftline.health.vitals import Pulse

    pulse = Pulse(patience_s)
    serve(settings, process, pulse, telemetry_of(settings))
    return pulse.beat


def _run_faust(settings: Settings, step: str, supervisor: str | None) -> int:
    loop = _new_loop()
    asyncio.set_event_loop(loop)
    from driftline.streams.app import STEPS, create_app

    known = next(s for s in STEPS if s == step)
    # Started again at once, it comes back under its name: the group neither waits for the session's end nor deals the partitions out anew.
    named = settings if supervisor is None or settings.worker.instance_id is not None else _under_name(settings, supervisor)
    app = create_app(named, known, os.environ)
    app.leaves_for_good = named is not settings

    async def assigned(_app: Any, partitions: Any, **_: Any) -> None:
        held = sorted(f"{tp.topic}[{tp.partition}]" for tp in partitions)
        log.info("%s reads %d partitions", step, len(held), extra={"fields": {"event": "assigned", "partitions": held}})

    app.on_partitions_assigned.connect(assigned)  # type: ignore[arg-type]  # Faust's protocol has no names
    if port_of(settings, known) is not None:
        _serve_step(settings, known, app, loop)
    drain_s = parse_duration(settings.worker.drain_timeout) / SECOND_MS
    worker = _step_worker(drain_s)(app, quiet=True, redirect_stdouts=False, override_logging=False, loop=loop)
    worker.spinner = None
    spare_collector()
    try:
        worker.execute_from_commandline()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


def _serve_step(settings: Settings, step: Process, app: DriftApp, loop: asyncio.AbstractEventLoop) -> None:
    from driftline.streams.vitals import StepVitals

    patience_s = parse_duration(settings.worker.stall_timeout) / SECOND_MS
    vitals = StepVitals(app, loop, patience_s=patience_s, ready_lag=settings.http.ready_lag, topic_prefix=settings.kafka.topic_prefix)
    vitals.start()
    app.telemetry.views.append(vitals.show)
    serve(settings, step, vitals, app.telemetry)


def _under_name(settings: Settings, instance_id: str) -> Settings:
    return msgspec.structs.replace(settings, worker=msgspec.structs.replace(settings.worker, instance_id=instance_id))


def _step_worker(drain_s: float) -> type[faust.Worker]:
    import faust

    class StepWorker(faust.Worker):
        """Faust's worker without its two seconds of sleep at the end (by then the app has stopped, and what it committed is committed), and with a
        bound on how long the stop may take.
        """

        def _schedule_shutdown(self, signal: signal.Signals) -> None:
            end = threading.Timer(drain_s, _undrained, (drain_s,))
            end.daemon = True
            end.start()
            super()._schedule_shutdown(signal)

        def _shutdown_loop(self) -> None:
            if self.crash_reason:
                raise self.crash_reason

    return StepWorker


def _undrained(drain_s: float) -> None:
    log.error("Not done in %g s: leaving; what is not committed is read again", drain_s, extra={"fields": {"event": "undrained"}})
    logging.shutdown()
    os._exit(1)


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
