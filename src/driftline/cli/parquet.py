"""A Parquet file as columns of JSON's values; it needs pyarrow, which comes with the worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from driftline.contracts.errors import DriftlineError

if TYPE_CHECKING:
    from driftline.cli.columns import Cell

SUFFIXES = (".parquet", ".pq")


def read_parquet(path: Path) -> tuple[list[str], list[Sequence[object]]]:
    """Return the names and the columns of a file. Raises DriftlineError."""
    try:
        from pyarrow import ArrowInvalid, parquet
    except ModuleNotFoundError:
        raise DriftlineError(f"{path}: Parquet files need pyarrow: pip install 'driftline[columnar]'") from None
    try:
        table = parquet.read_table(path)
    except OSError as error:
        raise DriftlineError(f"{path} can't be read: {error.strerror or error}") from None
    except ArrowInvalid as error:
        raise DriftlineError(f"{path} is no Parquet file: {error}") from None
    return list(table.column_names), [column.to_pylist() for column in table.columns]


def as_cells(values: Sequence[object], *, categorical: bool) -> list[Cell]:
    """Return a column's values as JSON would have brought them; NaN is null; times and the like are text.

    >>> as_cells([1, 2.5, float("nan"), None, True, Decimal("0.5")], categorical=False)
    [1.0, 2.5, None, None, True, 0.5]
    >>> as_cells([7, "a"], categorical=True)
    ['7', 'a']
    """
    return [_cell(value, categorical=categorical) for value in values]


def _cell(value: object, *, categorical: bool) -> Cell:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float | Decimal):
        if not isfinite(value):
            return None
        return str(value) if categorical else float(value)
    return value.isoformat() if isinstance(value, datetime | date | time) else str(value.total_seconds() if isinstance(value, timedelta) else value)
