"""A change of unit told from drift: values that are the reference's, all of them times a thousand, or from Celsius in Fahrenheit.

For each unit that people change the reference's distribution is carried over, and compared (Kolmogorov and Smirnov) with the live values of the
sample. A unit is named only where it explains them about as well as chance allows, the reference's own unit does not, and no plain shift can (the
spread has changed by the factor); and where the exact bin counts of all rows, of which the sample is a small part, are as they would be then.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.reference import NumericColumn

Floats = NDArray[np.float64]

#: Fewer values than these say nothing about a shape. An alert opens with the first pane of such a change, of which no more rows may be sampled.
LEAST_VALUES = 60
#: What Kolmogorov's statistic times sqrt(n) stays below in 99 of 100 samples.
_CHANCE = 1.63
#: The reference's own unit has to be this far off; and the spread (of the middle 80 %) to have grown by the factor, give or take.
_OFF, _SPREAD = 0.3, 1.5
_MIDDLE = (0.1, 0.9)
#: All rows are this far off at least, or no value need be looked at.
_ROWS_OFF = 0.2
#: How far the mean of all rows may be from where it would be then, in such spreads.
_MEAN = 0.08
#: Share of all rows whose bin may be another one than it would be after the change of unit.
_SHARE = 0.15


class Unit(NamedTuple):
    """``x`` in the reference is ``factor * x + offset`` after the change."""

    factor: float
    offset: float
    words: str


#: Factors of less than ten are left to drift: prices do rise by half.
UNITS = (
    *(Unit(float(f), 0.0, f"about {f:,} times the reference's") for f in (10, 24, 60, 100, 1_000, 3_600, 10_000, 86_400, 1_000_000, 1_000_000_000)),
    *(Unit(1 / f, 0.0, f"about 1/{f:,} of the reference's") for f in (10, 24, 60, 100, 1_000, 3_600, 10_000, 86_400, 1_000_000, 1_000_000_000)),
    Unit(1.8, 32.0, "the reference's as Fahrenheit has what is Celsius"),
    Unit(1 / 1.8, -32 / 1.8, "the reference's as Celsius has what is Fahrenheit"),
)


def unit_change(column: NumericColumn, counts: NDArray[np.int64], values: Floats, mean: float | None = None) -> str | None:
    """Return how the values of a window look if their unit has changed, None if it has not, or nobody can tell.

    ``counts`` are the column's slots of all rows since the change, ``values`` the finite numbers of the sample among them, ``mean`` that of all
    of them, where their exact sum was not clipped.

    >>> rng = np.random.default_rng(1)
    >>> edges = tuple(np.quantile(rng.normal(20, 5, 5000), np.linspace(0, 1, 65)).tolist())
    >>> made = NumericColumn(name="w", role="feature", edges=edges, center=20, scale=5, counts=(0, *[78] * 64, 0, 0, 0, 0, 0))
    >>> grams = rng.normal(20, 5, 200) * 1000
    >>> unit_change(made, np.bincount(np.searchsorted(edges, grams), minlength=made.slots), grams)
    "about 1,000 times the reference's"
    """
    edges = np.asarray(column.edges, np.float64)
    bins = np.asarray(column.counts, np.float64)[1 : len(edges)]
    rows = np.maximum(counts[: len(edges) + 1], 0)
    if len(values) < LEAST_VALUES or bins.sum() < LEAST_VALUES or rows.sum() < LEAST_VALUES:
        return None
    share = np.concatenate([[0.0], np.cumsum(bins)]) / bins.sum()
    live = np.sort(values)
    chance = _CHANCE * np.sqrt(1 / len(live) + 1 / bins.sum())
    off_as_is = _distance(edges, edges, share, live)
    spread, spread_then = float(np.diff(np.quantile(live, _MIDDLE))[0]), float(np.diff(np.interp(_MIDDLE, share, edges))[0])
    if not (0 < spread_then < np.inf and 0 < spread < np.inf):
        return None
    best: tuple[float, Unit] | None = None
    for unit in UNITS:
        with np.errstate(over="ignore"):
            moved = edges * unit.factor + unit.offset
        if not np.isfinite(moved).all():
            continue
        off = _distance(moved, edges, share, live)
        as_wide = 1 / _SPREAD <= spread / spread_then / unit.factor <= _SPREAD
        middle = mean is None or abs(mean - column.center * unit.factor - unit.offset) <= _MEAN * spread_then * unit.factor
        if (
            as_wide
            and middle
            and off <= chance
            and off_as_is >= max(_OFF, 3 * off)
            and _agrees(edges, share, moved, rows)
            and (best is None or off < best[0])
        ):
            best = off, unit
    return None if best is None else best[1].words


def moved_far(column: NumericColumn, counts: NDArray[np.int64]) -> bool:
    """Say whether all rows of a window lie as far from the reference's as after any change of unit: what costs little to ask first."""
    edges = len(column.edges)
    rows = np.maximum(counts[: edges + 1], 0)
    then = np.asarray(column.counts, np.float64)[: edges + 1]
    if rows.sum() < LEAST_VALUES or then.sum() < LEAST_VALUES:
        return False
    return float(np.abs(np.cumsum(rows) / rows.sum() - np.cumsum(then) / then.sum()).max()) >= _ROWS_OFF


def _distance(edges: Floats, own: Floats, share: Floats, live: Floats) -> float:
    """Return the greatest difference of two distribution functions where one is known: at the edges, below which lie ``share`` of the reference."""
    # Rounding must not move a value over the edge at which it stands; one that had a bin of its own lies between two that hardly differ.
    alone = np.concatenate([[False], own[1:] <= np.nextafter(own[:-1], np.inf)])
    hair = np.where(alone, 1.0, -1.0) * (np.abs(edges) * 1e-9 + 1e-300)
    below = np.searchsorted(live, edges + hair) / len(live)
    return float(np.abs(below - share).max())


def _agrees(edges: Floats, share: Floats, moved: Floats, rows: NDArray[np.int64]) -> bool:
    """Say whether all rows lie in the reference's bins as its values would after the change."""
    below = np.interp(edges, moved, share)
    expected = np.diff(np.concatenate([[0.0], below, [1.0]]))
    return float(np.abs(expected - rows / rows.sum()).sum()) / 2 <= _SHARE
