"""What commands print: data on standard output, as a table or as JSON; everything else on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

#: Width of a table that goes into a file or a pipe: nothing is cut, long sentences are folded.
_PIPE_WIDTH = 200


def print_json(value: Any) -> None:
    """Print one JSON document; numbers that JSON does not have are null."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, none: str) -> None:
    """Print a table, or the sentence ``none`` in the place of an empty one. Columns named ``>so`` are set to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    filled = list(rows)
    if not filled:
        print_line(none)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    for row in filled:
        # As Text: what comes from a topic is no markup.
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)


def print_line(sentence: str = "") -> None:
    """Print a line of data."""
    sys.stdout.write(sentence + "\n")


def say(sentence: str) -> None:
    """Tell the person, not the program that reads the data."""
    sys.stderr.write(sentence + "\n")
