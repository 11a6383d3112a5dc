"""``driftline worker``: the stream steps and the reports, each in a process of its own."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.state import State, state_of

if TYPE_CHECKING:
    from driftline.contracts.settings import Settings


class Step(StrEnum):
    """What a worker can run."""

    SUMMARISE = "summarise"
    JOIN = "join"
    DETECT = "detect"
    REPORTS = "reports"


class LogLevel(StrEnum):
    """How much is told."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How it is told."""

    JSON = "json"
    TEXT = "text"


#: Steps end themselves when worker.drain_timeout is over; the supervisor waits a little longer before it kills them.
_LEAVING_S = 3.0

Setup = Annotated[bool, typer.Option("--setup", help="Create missing topics and bring the database up to date first.")]
Level = Annotated[LogLevel, typer.Option("--log-level", help="How much is told on standard error.")]
Format = Annotated[LogFormat, typer.Option("--log-format", envvar="DRIFTLINE_LOG_FORMAT", help="One line each: JSON for machines, or text.")]


def worker(
    ctx: typer.Context,
    steps: Annotated[list[Step] | None, typer.Argument(help="Which steps to run; without any, all.")] = None,
    *,
    step: Annotated[Step | None, typer.Option("--step", help="Run this one step in this very process, with nobody to restart it.")] = None,
    setup: Setup = False,
    drain: Annotated[
        float | None, typer.Option(min=0, help="Seconds that the steps have to finish when told to stop; without it worker.drain_timeout.")
    ] = None,
    log_level: Level = LogLevel.INFO,
    log_format: Format = LogFormat.JSON,
) -> None:
    """Run the stream steps until told to stop.

    Each step is a process of its own, started again when it ends. SIGTERM lets them finish what they have in hand; a second one ends them at once.
    """
    from driftline.cli.logs import configure

    if step is not None and steps:
        raise typer.BadParameter("name steps, or one with --step, not both")
    configure(log_level.value, log_format.value, step=step.value if step is not None else "worker")
    state = state_of(ctx)
    if step is not None:
        from driftline.cli.step import is_supervised, leave, run_step

        if is_supervised():  # whoever supervises has prepared, and waits for the end
            leave(run_step(state.settings, step.value))
        prepare(state, setup=setup)
        raise typer.Exit(run_step(state.settings, step.value))
    from driftline.cli.supervisor import Supervisor
    from driftline.contracts.times import SECOND_MS, parse_duration

    prepare(state, setup=setup)
    own = parse_duration(state.settings.worker.drain_timeout) / SECOND_MS
    logs = ["--log-level", log_level.value, "--log-format", log_format.value]
    commands = _commands(state, _chosen(state.settings, steps), logs)
    raise typer.Exit(Supervisor(commands, drain_s=drain if drain is not None else own + _LEAVING_S).run())


def prepare(state: State, *, setup: bool) -> None:
    """Check that topics and database are as they have to be; with ``setup`` make them so. Raises TopicError, SchemaOutdated, SetupError."""
    import logging

    from driftline.cli.database import upgrade
    from driftline.cli.topics import check_topics, ensure_topics

    if setup:
        ensure_topics(state.settings)
        upgrade(state.settings.database).dispose()
    else:
        for flaw in check_topics(state.settings):
            logging.getLogger("driftline.worker").warning("%s", flaw.sentence)
        state.engine.dispose()


def _chosen(settings: Settings, steps: list[Step] | None) -> list[Step]:
    """Return the steps to run: those named, else all, the reports only where they can be made."""
    import logging

    from driftline.cli.step import reports_missing
    from driftline.contracts.errors import SetupError

    absent = reports_missing()
    if steps:
        if Step.REPORTS in steps and absent is not None:
            raise SetupError(f"no reports can be made: {absent}")
        return list(dict.fromkeys(steps))
    if not settings.reports.enabled:
        return [s for s in Step if s is not Step.REPORTS]
    if absent is not None:
        logging.getLogger("driftline.worker").warning("No reports will be made: %s", absent)
        return [s for s in Step if s is not Step.REPORTS]
    return list(Step)


def _commands(state: State, steps: list[Step], logs: list[str]) -> dict[str, list[str]]:
    import sys

    config = [] if state.config is None else ["--config", str(Path(state.config).resolve())]
    return {s.value: [sys.executable, "-m", "driftline", *config, "worker", "--step", s.value, *logs] for s in steps}
