"""``driftline retrain``: the retrain worker."""

from __future__ import annotations

import typer

from driftline.cli.commands.worker import Format, Level, LogFormat, LogLevel, Setup, prepare
from driftline.cli.state import state_of


def retrain(ctx: typer.Context, *, setup: Setup = False, log_level: Level = LogLevel.INFO, log_format: Format = LogFormat.JSON) -> None:
    """Train challengers when triggers call for them, until told to stop: SIGTERM gives a run back, a second one ends at once."""
    from driftline.cli.logs import configure
    from driftline.cli.step import serve_pulse
    from driftline.contracts.times import SECOND_MS, parse_duration
    from driftline.retrain.worker import run_worker

    configure(log_level.value, log_format.value, step="retrain")
    state = state_of(ctx)
    prepare(state, setup=setup)
    patience_s = parse_duration(state.settings.worker.stall_timeout) / SECOND_MS
    raise typer.Exit(run_worker(state.settings, beat=serve_pulse(state.settings, "retrain", patience_s)))
