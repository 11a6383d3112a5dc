"""``driftline health``: asks processes on this machine whether they live, for a container's HEALTHCHECK or a script."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from driftline.cli.output import AsJson, print_json, print_table
from driftline.cli.state import state_of


class Running(StrEnum):
    """What runs as a process of its own."""

    SUMMARISE = "summarise"
    JOIN = "join"
    DETECT = "detect"
    REPORTS = "reports"
    RETRAIN = "retrain"


def health(
    ctx: typer.Context,
    processes: Annotated[list[Running] | None, typer.Argument(help="Which processes to ask; without any, summarise, join and detect.")] = None,
    *,
    ready: Annotated[bool, typer.Option("--ready", help="Ask whether they are caught up (/readyz), not only whether they get on (/livez).")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for each answer.")] = 3.0,
    as_json: AsJson = False,
) -> None:
    """Ask the processes on this machine; exit 1 unless all of them say yes, 2 where the settings give them no port (http.port)."""
    from driftline.cli.probing import probe

    settings = state_of(ctx).settings
    asked = processes or [Running.SUMMARISE, Running.JOIN, Running.DETECT]
    answers = [probe(settings, process.value, "/readyz" if ready else "/livez", timeout) for process in asked]
    if as_json:
        print_json(answers)
    else:
        print_table(("process", "", "why not"), ((a.process, "yes" if a.ok else "no", a.reason) for a in answers), none="Nobody was asked.")
    if not all(answer.ok for answer in answers):
        raise typer.Exit(1)
