"""Sampled rows into columns that Evidently can read: numbers or short texts and nothing else. Pure.

Names and values come from events, and Evidently writes them into a script as they are: what would end the script, or open a tag in a chart, is
replaced.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.reference import CategoricalColumn, Column, GridColumn, NumericColumn, Reference
from driftline.contracts.summaries import SampleRow
from driftline.detectors.binning import Z_MOST, numbers_of
from driftline.detectors.rows import listed
from driftline.detectors.values import canonical_text
from driftline.detectors.views import viewed

#: Features that one report shows; each takes a tenth of a second.
MOST_COLUMNS = 60
#: Values of a category that are told apart: the reference's most frequent, and those of the current rows.
MOST_VALUES = 30
MOST_NEW_VALUES = 10

MISSING, OTHER = "(missing)", "(other)"
GIVEN = " (given)"

_MOST_CHARS = 80
_HARMLESS = str.maketrans({"<": "‹", ">": "›"})


@dataclass(frozen=True)
class ReportColumn:
    """One column, shown as ``name``: float64 with NaN where there is no number, or texts."""

    name: str
    kind: Literal["numeric", "categorical"]
    reference: NDArray[np.float64] | list[str]
    current: NDArray[np.float64] | list[str]


@dataclass
class Table:
    """What a report compares, and the columns it has to leave out with the reason for each."""

    columns: list[ReportColumn] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def table_of(reference: Reference, first: Iterable[str], before: Sequence[SampleRow], now: Sequence[SampleRow]) -> Table:
    """Return the reference's columns over the rows of the reference (``before``) and the current ones (``now``).

    Columns named in ``first`` come first, then the most important ones. A numeric column of which values are missing gets a second one, which says
    whether there was a number: Evidently leaves gaps out of its comparison, and a feature that stops coming is drift too.
    """
    table = Table()
    order = _ranked(reference, list(first))
    for column in order[MOST_COLUMNS:]:
        table.left_out[column.name] = f"a report shows {MOST_COLUMNS} columns"
    for column in order[:MOST_COLUMNS]:
        one, two = _values(column, before), _values(column, now)
        if isinstance(column, NumericColumn):
            _add_numbers(table, column, one, two)
        else:
            _add(table, column.name, *_categories(one, two))
    return table


def shown(text: str) -> str:
    """Return a name or a value as it may stand in a page: short, printable, without tags.

    >>> shown("a</script>" + chr(0))
    'a‹/script›�'
    """
    harmless = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:_MOST_CHARS])
    return (harmless + "…" * (len(text) > _MOST_CHARS)).translate(_HARMLESS)


def _ranked(reference: Reference, first: list[str]) -> list[Column]:
    places = {name: i for i, name in reversed(list(enumerate(first)))}
    importance = reference.importance_by_column()
    known = [c for c in reference.columns if isinstance(c, NumericColumn | CategoricalColumn) and c.role != "slice"]
    return sorted(known, key=lambda c: (places.get(c.name, len(first)), -importance.get(c.name, 0.0)))


def _values(column: Column, rows: Sequence[SampleRow]) -> list[object]:
    if column.role == "prediction":
        return [row.prediction for row in rows]
    if column.role == "score":
        return [row.score for row in rows]
    if isinstance(column, GridColumn):
        return []
    values = [row.features.get(column.feature) for row in rows]
    return list(listed(viewed(column, values, np.array([row.event_time for row in rows], np.int64))))


def _add_numbers(table: Table, column: NumericColumn, one: list[object], two: list[object]) -> None:
    before, now = _numbers(column, one), _numbers(column, two)
    gaps = (np.isnan(before), np.isnan(now))
    if gaps[0].any() or gaps[1].any():
        given = tuple(["no" if gap else "yes" for gap in side] for side in gaps)
        _add(table, column.name + GIVEN, *given)
    if gaps[0].all() or gaps[1].all():
        table.left_out[column.name] = f"no numbers in the {'reference' if gaps[0].all() else 'current'} rows"
    else:
        _add(table, column.name, before, now)


def _numbers(column: NumericColumn, values: list[object]) -> NDArray[np.float64]:
    """Return numbers, pulled in to 1,000 scales from the center as the sums of the summaries are."""
    numbers, kinds = numbers_of(values)
    with np.errstate(over="ignore"):
        reach = Z_MOST * column.scale
        pulled = np.clip(numbers, column.center - reach, column.center + reach)
    return np.where(kinds == 0, pulled, np.nan)


def _categories(one: list[object], two: list[object]) -> tuple[list[str], list[str]]:
    before, now = ([canonical_text(value) for value in side] for side in (one, two))
    known = _frequent(before, MOST_VALUES)
    known |= _frequent([value for value in now if value not in known], MOST_NEW_VALUES)
    told = ([MISSING if v is None else shown(v) if v in known else OTHER for v in side] for side in (before, now))
    return next(told), next(told)


def _frequent(values: Iterable[str | None], most: int) -> set[str]:
    counts = Counter(value for value in values if value is not None)
    return set(sorted(counts, key=lambda value: (-counts[value], value))[:most])


def _add(table: Table, name: str, before: NDArray[np.float64] | list[str], now: NDArray[np.float64] | list[str]) -> None:
    taken = {column.name for column in table.columns}
    label, i = shown(name), 2
    while label in taken:  # two names may differ in what is not shown
        label, i = f"{shown(name)} ({i})", i + 1
    table.columns.append(ReportColumn(label, "categorical" if isinstance(before, list) else "numeric", before, now))
