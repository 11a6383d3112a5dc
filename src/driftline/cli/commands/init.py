"""``driftline init``: a commented driftline.yaml to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from driftline.cli.output import AsJson, print_json, print_line
from driftline.contracts.errors import DriftlineError


def init(
    path: Annotated[Path, typer.Argument(help="Where to write it.")] = Path("driftline.yaml"),
    *,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a commented driftline.yaml to begin with."""
    from driftline.cli.config import TEMPLATE

    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise DriftlineError(f"{path} is there already; --force writes over it") from None
    except OSError as error:
        raise DriftlineError(f"{path} can't be written: {error.strerror}") from None
    if as_json:
        print_json({"path": str(path)})
    else:
        print_line(f"{path} is written. Next: `driftline config check`, `driftline topics create`, `driftline db upgrade`, `driftline worker`.")
