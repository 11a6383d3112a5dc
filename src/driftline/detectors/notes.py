"""What is worth saying of a column that has moved, beside how far: a change of unit, values of another type, values beyond the range."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from driftline.contracts.reference import NUMERIC_EXTRAS, CategoricalColumn, Column, NumericColumn
from driftline.contracts.summaries import SampleRow
from driftline.detectors.binning import Z_MOST, Z_SCALE, numbers_of
from driftline.detectors.units import unit_change
from driftline.detectors.views import viewed

Counts = NDArray[np.int64]

#: Z beyond 1,000 are clipped: a mean well below that is one of values that hardly were.
_UNCLIPPED = Z_MOST / 20
#: A part of what is missing, or out of range, is named from this share of all rows on.
_WORTH = 0.005
#: What has a unit that people may change; a length or an hour has not.
_PLAIN = (UNSET, "value", "integer")
_WORDS = {"nan": "NaN", "infinite": "infinite", "wrong_type": "of a wrong type"}


def note_of(column: Column, term: str, counts: Counts, sample: Sequence[SampleRow], *, kept: bool, total: int = 0) -> str:
    """Return what the rows of a window say about a column whose ``term`` has moved, nothing where they say no more than that.

    ``counts`` are the column's own slots, ``total`` is its fixed-point sum of z. Values of the ``sample`` are looked at where they are ``kept`` as
    they came; none is ever named.
    """
    n = int(np.maximum(counts, 0).sum())
    if n == 0 or not isinstance(column, NumericColumn | CategoricalColumn):
        return ""
    if term == "null":
        return _missing(column, counts, n)
    if not isinstance(column, NumericColumn) or term.startswith("value"):
        return ""
    unit = unit_change(column, counts, _values(column, sample), _mean(column, counts, total)) if kept and column.view in _PLAIN else None
    if unit is not None:
        return f"looks like a change of unit: values are {unit}"
    return _range(column, counts, n) if term == "unseen" else ""


def _values(column: NumericColumn, sample: Sequence[SampleRow]) -> NDArray[np.float64]:
    held: list[object] = [row.prediction if column.role == "prediction" else row.features.get(column.feature) for row in sample]
    times = np.array([row.event_time for row in sample], np.int64)
    numbers, kinds = numbers_of(viewed(column, held, times))
    fine: NDArray[np.float64] = numbers[kinds == 0]
    return fine


def _mean(column: NumericColumn, counts: Counts, total: int) -> float | None:
    """Return the mean of all values; None where it lies so far out that many of them were clipped."""
    z = total / Z_SCALE / max(int(counts[: len(column.edges) + 1].sum()), 1)
    return column.center + column.scale * z if abs(z) <= _UNCLIPPED else None


def _missing(column: NumericColumn | CategoricalColumn, counts: Counts, n: int) -> str:
    if isinstance(column, CategoricalColumn):
        shares = {"wrong_type": counts[-1] / n}
    else:
        shares = dict(zip(NUMERIC_EXTRAS, counts[-len(NUMERIC_EXTRAS) :] / n, strict=True))
    told = [f"{share:.1%} {_WORDS[kind]}" for kind, share in shares.items() if kind in _WORDS and share >= _WORTH]
    return ", ".join(told)


def _range(column: NumericColumn, counts: Counts, n: int) -> str:
    sides = (("below", counts[0] / n), ("above", counts[len(column.edges)] / n))
    told = [f"{share:.1%} lie {side} its range" for side, share in sides if share >= _WORTH]
    return ", ".join(told)
