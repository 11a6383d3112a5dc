"""What of a window and its reference is compared by distances. They describe; the decider decides.

PSI, Jensen-Shannon distance and the others of ``contingency`` are taken over at most ``GROUPS`` groups of the reference's quantiles (a group for
each category) and one for what is missing: over 64 bins a window of some hundred rows would look like drift by chance
alone. Both are exact for these groups.

KS and Wasserstein follow from the bins. KS is never above the raw one, and
below it by at most the greatest share a single bin has in either. Wasserstein spreads each bin's rows evenly over it,
so it is off by at most the sum over bins of width times share, in either (the bins are narrow where the rows are,
except outermost); values outside the reference's range count as if they lay at its end, so with many of them it is a
lower limit.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from driftline.contracts.reference import (
    CATEGORICAL_EXTRAS,
    NUMERIC_EXTRAS,
    CategoricalColumn,
    Column,
    GridColumn,
    NumericColumn,
)
from driftline.detectors.moments import Floats

#: Groups of a numeric column for PSI and Jensen-Shannon: deciles, as in credit scoring.
GROUPS = 10


def values_of(column: NumericColumn, counts: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the reference's and the window's counts of values: below, the bins, above."""
    p, q = (side[: len(column.edges) + 1] for side in _floats(column, counts))
    return p, q


def widths_of(column: NumericColumn) -> Floats:
    """Return the width of each bin in units of the column's ``scale``."""
    # Divided before the difference is taken: edges near the greatest floats would overflow. Where even that does, there is no distance to tell.
    with np.errstate(over="ignore", invalid="ignore"):
        return np.diff(np.asarray(column.edges, np.float64) / column.scale)


def grouped(column: Column, counts: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the reference's and the window's counts of each group."""
    return grouped_pair(column, *_floats(column, counts))


def grouped_pair(column: Column, before: Floats | npt.NDArray[np.int64], counts: Floats | npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the counts of each group on two sides, both given by the column's slots."""
    group = groups_of(column)
    p, q = (np.bincount(group, side).astype(np.float64) for side in (before, counts))
    return p, q


@lru_cache(maxsize=8192)
def groups_of(column: Column) -> npt.NDArray[np.int64]:
    """Return the group of each slot: consecutive bins up to a tenth of the reference's values, each category, unseen,
    and missing.
    """
    counts = np.asarray(column.counts, np.float64)
    if isinstance(column, GridColumn):
        return np.arange(len(counts), dtype=np.int64)
    if isinstance(column, CategoricalColumn):
        group = np.arange(len(counts), dtype=np.int64)
        group[-1] = group[len(column.values) + CATEGORICAL_EXTRAS.index("null")]
        return group
    values = counts[: -len(NUMERIC_EXTRAS)]
    # By the middle of each slot's ranks: an atom of half the rows gets a group of its own, narrow bins share one.
    middle = (np.cumsum(values) - values / 2) / max(values.sum(), 1.0)
    tenth = np.minimum((middle * GROUPS).astype(np.int64), GROUPS - 1)
    _, group = np.unique(tenth, return_inverse=True)
    return np.concatenate([group, np.full(len(NUMERIC_EXTRAS), group[-1] + 1)]).astype(np.int64)


def _floats(column: Column, counts: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
    live = np.maximum(np.asarray(counts), 0).astype(np.float64)
    if live.shape != (column.slots,):
        raise ValueError(f"{column.name}: counts of shape {live.shape}, expected {(column.slots,)}")
    return np.asarray(column.counts, np.float64), live
