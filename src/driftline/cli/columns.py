"""A CSV or Parquet file of rows, as reference data: which column is what, and text made into what JSON would have brought."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path

from driftline.cli.parquet import SUFFIXES, as_cells, read_parquet
from driftline.contracts.errors import DriftlineError
from driftline.contracts.settings import FeatureKind
from driftline.contracts.times import EARLIEST_MS, LATEST_MS

Cell = float | str | bool | None

#: What is taken for a number when this share of the cells are; ``build_reference`` holds the same.
_NUMERIC_SHARE = 0.95
_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class ReferenceRows:
    """Columns of equal length; ``times`` in epoch ms."""

    times: list[int]
    features: dict[str, list[Cell]]
    labels: list[Cell] | None
    scores: list[Cell] | None
    predictions: list[Cell] | None


@dataclass(frozen=True)
class ColumnNames:
    """Which column of the file is what. ``features`` empty: all that are nothing else."""

    time: str
    label: str | None = None
    score: str | None = None
    prediction: str | None = None
    features: Sequence[str] = ()


def read_rows(path: Path, names: ColumnNames, kinds: Mapping[str, FeatureKind]) -> ReferenceRows:
    """Return the rows of a CSV file with a header, or of a Parquet file; empty cells are null. Raises DriftlineError, with the line."""
    if path.suffix.lower() in SUFFIXES:
        header, columns = read_parquet(path)
        return rows_of(header, columns, names, kinds, str(path))
    header, columns = _read(path)
    return _rows(header, columns, names, kinds, str(path), 2, lambda values, categorical: typed([str(v) for v in values], categorical=categorical))


def rows_of(
    header: Sequence[str], columns: Sequence[Sequence[object]], names: ColumnNames, kinds: Mapping[str, FeatureKind], where: str
) -> ReferenceRows:
    """Return the rows of columns that have types of their own; ``where`` they come from, for what is wrong with them. Raises DriftlineError."""
    return _rows(header, columns, names, kinds, where, 1, lambda values, categorical: as_cells(values, categorical=categorical))


def _rows(  # noqa: PLR0917 - one after the other, as the two above have them
    header: Sequence[str],
    columns: Sequence[Sequence[object]],
    names: ColumnNames,
    kinds: Mapping[str, FeatureKind],
    where: str,
    first: int,
    made_of: Callable[[Sequence[object], bool], list[Cell]],
) -> ReferenceRows:
    wanted = [n for n in (names.time, names.label, names.score, names.prediction, *names.features) if n is not None]
    absent = [n for n in wanted if n not in header]
    if absent:
        raise DriftlineError(f"{where} has no column {', '.join(absent)}; it has {', '.join(header)}")
    if not columns or not len(columns[0]):
        raise DriftlineError(f"{where} has no rows")
    cells = dict(zip(header, columns, strict=True))

    def made(name: str) -> list[Cell]:
        return made_of(cells[name], kinds.get(name) in ("categorical", "text"))

    features = list(names.features) or [n for n in header if n not in wanted and kinds.get(n) != "ignore"]
    return ReferenceRows(
        times=[_time(told, where, line) for line, told in enumerate(cells[names.time], start=first)],
        features={n: made(n) for n in features},
        labels=made(names.label) if names.label else None,
        scores=made(names.score) if names.score else None,
        predictions=made(names.prediction) if names.prediction else None,
    )


def typed(texts: Sequence[str], *, categorical: bool = False) -> list[Cell]:
    """Return a column's cells: truth values or numbers where (nearly) all of them are, else text; an empty cell is None.

    >>> typed(["1", "2.5", ""]), typed(["true", "False"]), typed(["UA", "1"]), typed(["007"], categorical=True)
    ([1.0, 2.5, None], [True, False], ['UA', '1'], ['007'])
    """
    present = [text for text in texts if text]
    if present and all(text.lower() in _TRUTH for text in present):
        return [_TRUTH[text.lower()] if text else None for text in texts]
    numbers = [_number(text) for text in texts]
    if categorical or sum(number is not None for number in numbers) < _NUMERIC_SHARE * len(present):
        return [text or None for text in texts]
    return [number if number is not None else text or None for number, text in zip(numbers, texts, strict=True)]


def _read(path: Path) -> tuple[list[str], list[Sequence[object]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            rows = []
            for row in reader:
                if row and len(row) != len(header):
                    raise DriftlineError(f"{path}, line {reader.line_num}: {len(row)} cells, the header has {len(header)}")
                rows.append(row)
    except OSError as error:
        raise DriftlineError(f"{path} can't be read: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DriftlineError(f"{path} is no CSV in UTF-8: {error}") from None
    if len(set(header)) != len(header):
        raise DriftlineError(f"{path}: a column name is there twice")
    rows = [row for row in rows if row]
    return header, [[row[i] for row in rows] for i in range(len(header))]


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _time(told: object, where: str, line: int) -> int:
    """Epoch milliseconds, or ISO 8601 where a time without a zone is UTC's."""
    millis = 0
    try:
        if isinstance(told, str) and not (told.lstrip("-").isdigit() and len(told) > 8):
            told = datetime.fromisoformat(told)
        if isinstance(told, datetime):
            millis = round((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp() * 1000)
        elif isinstance(told, str | int) and not isinstance(told, bool):
            millis = int(told)
    except ValueError:
        pass
    if not EARLIEST_MS <= millis < LATEST_MS:
        raise DriftlineError(
            f"{where}, line {line}: {str(told)!r} is no time; expected ISO 8601 (UTC without a zone) or epoch milliseconds, after 1970"
        )
    return millis
