"""Distances between a window and the reference, from counts. They describe; the decider decides.

PSI and Jensen-Shannon distance are taken over at most ``GROUPS`` groups of the reference's quantiles (a group for
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


def psi(column: Column, counts: npt.NDArray[np.int64]) -> float | None:
    """Return the population stability index over the groups, shares smoothed by half a row; None without rows.

    >>> c = CategoricalColumn(name="c", role="feature", values=("a", "b"), counts=(500, 500, 0, 0, 0, 0))
    >>> round(psi(c, np.array([500, 500, 0, 0, 0, 0])), 3), round(psi(c, np.array([300, 700, 0, 0, 0, 0])), 3)
    (0.0, 0.169)
    """
    pair = _grouped(column, counts)
    if pair is None:
        return None
    p, q = ((shares + 0.5) / (shares.sum() + 0.5 * len(shares)) for shares in pair)
    return float(np.sum((q - p) * np.log(q / p)))


def jensen_shannon(column: Column, counts: npt.NDArray[np.int64]) -> float | None:
    """Return the Jensen-Shannon distance over the groups: the square root of the divergence to base 2, from 0 to 1;
    None without rows.
    """
    pair = _grouped(column, counts)
    if pair is None:
        return None
    p, q = (shares / shares.sum() for shares in pair)
    middle = (p + q) / 2
    return float(np.sqrt(max(0.0, (_kullback(p, middle) + _kullback(q, middle)) / 2)))


def ks(column: Column, counts: npt.NDArray[np.int64]) -> float | None:
    """Return the Kolmogorov-Smirnov distance of the values; None without values on either side, or for categories."""
    pair = _values(column, counts)
    if pair is None:
        return None
    p, q = (np.cumsum(shares / shares.sum()) for shares in pair)
    return float(np.max(np.abs(p - q)))


def wasserstein(column: Column, counts: npt.NDArray[np.int64]) -> float | None:
    """Return the Wasserstein-1 distance of the values in units of the column's ``scale``; None as for ``ks``."""
    pair = _values(column, counts)
    if pair is None or not isinstance(column, NumericColumn):
        return None
    p, q = (np.cumsum(shares / shares.sum())[:-1] for shares in pair)
    gap = p - q
    # Divided before the difference is taken: edges near the greatest floats would overflow. Where even that does,
    # there is no distance to tell.
    with np.errstate(over="ignore", invalid="ignore"):
        width = np.diff(np.asarray(column.edges) / column.scale)
    if not np.all(np.isfinite(width)):
        return None
    left, right = gap[:-1], gap[1:]
    # The difference of the distribution functions is linear within a bin; where it changes sign the two triangles add
    # up.
    size = np.abs(left) + np.abs(right)
    crossing = (left**2 + right**2) / np.maximum(2 * size, 1e-300)
    with np.errstate(over="ignore"):
        distance = float(np.sum(width * np.where(left * right < 0, crossing, size / 2)))
    return distance if np.isfinite(distance) else None


def _kullback(p: Floats, q: Floats) -> float:
    there = p > 0
    return float(np.sum(p[there] * np.log2(p[there] / q[there])))


def _values(column: Column, counts: npt.NDArray[np.int64]) -> tuple[Floats, Floats] | None:
    if not isinstance(column, NumericColumn):
        return None
    both = _floats(column, counts)
    p, q = (side[: len(column.edges) + 1] for side in both)
    return (p, q) if p.sum() > 0 and q.sum() > 0 else None


def _grouped(column: Column, counts: npt.NDArray[np.int64]) -> tuple[Floats, Floats] | None:
    p, q = _floats(column, counts)
    if p.sum() == 0 or q.sum() == 0:
        return None
    group = groups_of(column)
    return np.bincount(group, p).astype(np.float64), np.bincount(group, q).astype(np.float64)


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
