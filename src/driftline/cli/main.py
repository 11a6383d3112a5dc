"""The root of all commands. Kept light: whatever takes long to import is imported by the command that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

try:
    import typer
    from typer.core import TyperGroup
except ModuleNotFoundError as error:  # the client alone is installed
    raise SystemExit(f"error: {error.name} is not installed; the commands come with it: pip install 'driftline[worker]' (or [all])") from None

from driftline.cli.commands.alerts import alerts_app
from driftline.cli.commands.backtest import backtest
from driftline.cli.commands.calibrate import calibrate
from driftline.cli.commands.config import config_app
from driftline.cli.commands.db import db_app
from driftline.cli.commands.dead_letters import dead_letters_app
from driftline.cli.commands.decisions import decisions
from driftline.cli.commands.detectors import detectors
from driftline.cli.commands.explain import explain
from driftline.cli.commands.health import health
from driftline.cli.commands.init import init
from driftline.cli.commands.models import models_app
from driftline.cli.commands.reference import reference_app
from driftline.cli.commands.retrain import retrain
from driftline.cli.commands.status import status
from driftline.cli.commands.topics import topics_app
from driftline.cli.commands.worker import worker
from driftline.cli.output import say
from driftline.cli.state import State
from driftline.contracts.errors import DriftlineError


class Commands(TyperGroup):
    """The root group: what goes wrong in an expected way is one line and exit code 2, not a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except DriftlineError as error:
            say(f"error: {error}")
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # locals hold events and passwords
    help="Watches machine-learning models in production while their events flow: drift, alarms under a budget, gated retraining.",
)

Config = Annotated[
    Path | None, typer.Option("--config", "-c", envvar="DRIFTLINE_CONFIG", help="The settings; without it driftline.yaml, if it is here.")
]


@app.callback()
def root(ctx: typer.Context, config: Config = None) -> None:
    """Hold what all commands share."""
    ctx.obj = State(config)


#: Commands of a heavy module take their arguments as they come, and pass them on when they run.
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=_PASSED_ON, add_help_option=False, short_help="A real Apache Kafka on this machine: up, down, status, fetch.")
def broker(ctx: typer.Context) -> None:
    """Pass on to the local broker's commands."""
    from driftline.cli.broker import broker_app

    typer.main.get_command(broker_app).main(ctx.args, "broker", parent=ctx.parent)


@app.command(context_settings=_PASSED_ON, add_help_option=False, short_help="A real year of events through real Kafka, in one terminal.")
def demo(ctx: typer.Context) -> None:
    """Pass on to the demo."""
    try:
        from driftline.cli.demo.command import demo_command
    except ModuleNotFoundError as error:
        raise DriftlineError(f"the demo needs {error.name}: pip install 'driftline[demo]'") from None
    alone = typer.Typer(add_completion=False)
    alone.command()(demo_command)
    typer.main.get_command(alone).main(ctx.args, "demo", parent=ctx.parent)


app.command()(init)
app.add_typer(config_app, name="config")
app.add_typer(topics_app, name="topics")
app.add_typer(db_app, name="db")
app.command()(worker)
app.command()(retrain)
app.command()(health)
app.command()(status)
app.add_typer(alerts_app, name="alerts")
app.add_typer(models_app, name="models")
app.command()(decisions)
app.command()(explain)
app.command()(backtest)
app.command()(calibrate)
app.command()(detectors)
app.add_typer(reference_app, name="reference")
app.add_typer(dead_letters_app, name="dead-letters")


if __name__ == "__main__":
    app(prog_name="driftline")
