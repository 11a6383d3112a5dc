"""``driftline broker up | down | status | fetch``: a real Apache Kafka on this machine, for the demo and tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Column, Table

from driftline.cli.kafka_jars import fetch_jars
from driftline.cli.kafka_local import BrokerState, broker_status, serves, start_broker, stop_broker
from driftline.cli.ports import is_free
from driftline.contracts.errors import SetupError

__all__ = ["BrokerState", "broker_app", "broker_status", "start_broker", "stop_broker"]

broker_app = typer.Typer(
    help="A real Apache Kafka (KRaft, one node) on this machine. For production, name yours in driftline.yaml.",
    no_args_is_help=True,
)

StateDir = Annotated[Path, typer.Option("--state-dir", help="Where the broker keeps its log, topics and pid.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output on standard output.")]

_DEFAULT_STATE_DIR = Path(".driftline", "broker")
T = TypeVar("T")
_NOT_RUNNING = 3  # what `systemctl status` and LSB init scripts exit with


def _usual_port(state_dir: Path) -> int | None:
    """Return the port that every example names, if it is free and this broker has had no other; None: the broker's own choice."""
    return None if (state_dir / "state.json").exists() or not is_free(9092) else 9092


@broker_app.command()
def up(
    state_dir: StateDir = _DEFAULT_STATE_DIR,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Client port; by default the last one, else 9092 if it is free, else another.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Start the broker and wait until it serves; if it runs already, say so."""
    already = broker_status(state_dir)
    state = _or_exit(lambda: start_broker(state_dir, port=port or _usual_port(state_dir), progress=_note))
    if as_json:
        _print_json(_as_dict(state, running=True))
    else:
        verb = "runs already" if already and already.pid == state.pid else "is up"
        sys.stdout.write(f"Kafka {verb} at {state.bootstrap} (pid {state.pid}, log {state.log})\n")


@broker_app.command()
def down(state_dir: StateDir = _DEFAULT_STATE_DIR, *, as_json: AsJson = False) -> None:
    """Stop the broker cleanly; its topics stay."""
    state = _or_exit(lambda: stop_broker(state_dir))
    if as_json:
        _print_json(_as_dict(state, running=False))
    elif state is None:
        sys.stdout.write(f"No broker runs in {state_dir}.\n")
    else:
        sys.stdout.write(f"Kafka at {state.bootstrap} (pid {state.pid}) is down; its topics stay in {state.state_dir}.\n")


@broker_app.command()
def status(state_dir: StateDir = _DEFAULT_STATE_DIR, *, as_json: AsJson = False) -> None:
    """Say whether the broker runs and serves; exits 3 if it does not run, 1 if it runs and does not serve."""
    state = broker_status(state_dir)
    answers = state is not None and serves(state.bootstrap)
    if as_json:
        _print_json(_as_dict(state, running=state is not None) | {"serves": answers})
    elif state is None:
        sys.stdout.write(f"No broker runs in {state_dir}.\n")
    else:
        table = Table("bootstrap", "serves", "pid", "up for", Column("log", overflow="fold"))
        up_for = str(datetime.now(UTC) - state.started).partition(".")[0]
        table.add_row(state.bootstrap, "yes" if answers else "NO", str(state.pid), up_for, state.log)
        Console().print(table)
    if not answers:
        raise typer.Exit(_NOT_RUNNING if state is None else 1)


@broker_app.command()
def fetch() -> None:
    """Fetch Kafka's jars through Maven, so that a later `up` needs no network."""
    sys.stdout.write(f"Kafka's jars are in {_or_exit(fetch_jars)}\n")


def _or_exit(act: Callable[[], T]) -> T:
    try:
        return act()
    except SetupError as error:
        _note(f"error: {error}")
        raise typer.Exit(1) from None


def _note(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


def _as_dict(state: BrokerState | None, *, running: bool) -> dict[str, object]:
    described: dict[str, object] = msgspec.to_builtins(state) if state is not None else {}
    return {"running": running} | described


def _print_json(value: object) -> None:
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")


if __name__ == "__main__":
    broker_app()
