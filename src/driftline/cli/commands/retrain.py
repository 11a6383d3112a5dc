"""``driftline retrain``: the retrain worker."""

from __future__ import annotations

import typer

from driftline.cli.commands.worker import Level, LogLevel, Setup, prepare
from driftline.cli.state import state_of


def retrain(ctx: typer.Context, *, setup: Setup = False, log_level: Level = LogLevel.INFO) -> None:
    """Train challengers when triggers call for them, until told to stop: SIGTERM gives a run back, a second one ends at once."""
    from driftline.cli.logs import configure
    from driftline.retrain.worker import run_worker

    configure(log_level.value, step="retrain")
    state = state_of(ctx)
    prepare(state, setup=setup)
    raise typer.Exit(run_worker(state.settings))
