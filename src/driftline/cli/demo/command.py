"""``driftline demo``: a real year of flights through real Kafka, watched, retrained, and told in the terminal."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from driftline.cli.broker import stop_broker
from driftline.cli.config import FILE_NAME, read_yaml
from driftline.cli.state import state_of
from driftline.contracts.errors import DriftlineError

FIRST_MONTH, LAST_MONTH = 3, 12
#: Columns of the tables when nobody's terminal sets the width.
_FILE_WIDTH = 150


def demo_command(
    ctx: typer.Context,
    *,
    days: Annotated[int, typer.Option(min=0, help="Stop after so many simulated days; 0: the whole of March to December (306).")] = 0,
    bootstrap: Annotated[
        str | None,
        typer.Option(
            help="Use this broker instead of starting one. Without it, the one that driftline.yaml names, if it names one.",
            envvar="DRIFTLINE__KAFKA__BOOTSTRAP_SERVERS",
        ),
    ] = None,
    state_dir: Annotated[Path | None, typer.Option(help="Where state, logs and reports go; a new folder below .driftline by default.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the broker running at the end.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Only compare, without Kafka: what other systems' rules would have said of the same flights.")
    ] = False,
    page: Annotated[
        Path | None, typer.Option("--page", help="With --compare: write the whole table, with dates and causes, as a Markdown page too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")] = False,
) -> None:
    """Watch a real year: 270,000 flights scored and published in order, their arrivals as labels, drift found, challengers tried.

    Everything is real but the clock. Exits 1 when the loop did not close.
    """
    # Heavy parts (pandas, scikit-learn) are imported when the demo runs, not when the CLI starts.
    from driftline.cli.demo.run import run_demo

    console = Console(stderr=as_json)
    if not console.is_terminal:
        console = Console(stderr=as_json, width=_FILE_WIDTH)
    if compare:
        _compare(console, page, as_json=as_json)
        return
    if page is not None:
        raise DriftlineError("--page goes with --compare")
    bootstrap = bootstrap or _named(ctx)
    state = (state_dir or _new_folder()).absolute()
    state.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: workers and broker end with the demo
    try:
        result = run_demo(state, bootstrap, days, console)
    finally:
        if not keep and bootstrap is None:
            stop_broker(state / "broker")
    if as_json:
        _write(result)
    console.print(f"State, logs and reports: {state} ({time.monotonic() - begun:.0f} s in all)", highlight=False)
    raise typer.Exit(1 if result.open else 0)


def _named(ctx: typer.Context) -> str | None:
    """Return the broker that the settings' file names; None where there is no file, or it names none."""
    state = state_of(ctx)
    path = state.config or Path(FILE_NAME)
    if state.config is None and not path.is_file():
        return None
    return state.settings.kafka.bootstrap_servers if "bootstrap_servers" in (read_yaml(path).get("kafka") or {}) else None


def _compare(console: Console, page: Path | None, *, as_json: bool) -> None:
    from driftline.cli.demo.comparing import show_comparison
    from driftline.cli.demo.comparison import compare
    from driftline.cli.demo.flights import load
    from driftline.cli.demo.page import origin, page_of
    from driftline.cli.demo.stage import model_settings

    if page is not None and not page.absolute().parent.is_dir():
        raise DriftlineError(f"{page.parent} is no folder")
    made = origin() if page is not None else ""  # before the minutes that it takes, in which a checkout may move on
    console.print("Reading the flights of 2013, and asking four ways of watching what they make of them.", highlight=False)
    told = compare(load(), model_settings())
    show_comparison(told, console)
    if page is not None:
        page.write_text(page_of(told, made), encoding="utf-8")
        console.print(f"Written to {page}.", highlight=False)
    if as_json:
        _write(told)


def _write(result: object) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(result)).decode() + "\n")


def _new_folder() -> Path:
    parent = Path(".driftline") / "demo"
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=time.strftime("%m%d-%H%M%S-"), dir=parent))
