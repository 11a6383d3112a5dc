"""How far a distance can be off at a window's n: basic bootstrap intervals (Davison and Hinkley, 1997, chapter 5) from counts alone.

A distance of two samples is above that of their distributions, the more so the fewer the rows, and a bootstrap's is above that again by about as
much; the basic interval takes this off. At 0, where every distance has its edge, that is not enough: a window whose distance chance alone would
show, both sides drawn from their common distribution, has an interval that begins at 0.

Rows are resampled as independent ones. What they share (V of ``calibration``) is not in here: the decider's effects have intervals that hold it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from driftline.detectors.moments import Floats

REPLICATES = 200
LEVEL = 0.95


class Interval(NamedTuple):
    """A distance with its interval, and what chance alone shows in 95 of 100 windows of this n; arrays over the pairs, NaN where there is none."""

    value: Floats
    low: Floats
    high: Floats
    chance: Floats


def interval(distance: Callable[[Floats, Floats], Floats], reference: Floats, live: Floats, *, seed: int = 0) -> Interval:
    """Return a distance of each pair of rows (pairs, places) with its 95 % interval: never below 0.

    >>> def greatest_gap(p, q):
    ...     return np.abs(p / p.sum(-1, keepdims=True) - q / q.sum(-1, keepdims=True)).max(-1)
    >>> told = interval(greatest_gap, np.array([[50.0, 50.0]]), np.array([[70.0, 30.0]]))
    >>> float(told.value[0]), bool(told.low[0] < 0.2 < told.high[0])
    (0.2, True)
    """
    rng = np.random.default_rng(seed)
    value = np.asarray(distance(reference, live))
    drawn = distance(_resampled(reference, rng), _resampled(live, rng))
    known = np.isfinite(value)
    low, high = np.quantile(np.where(known, drawn, 0.0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    common = reference + live
    chance = np.quantile(np.where(known, distance(_resampled(common, rng, reference), _resampled(common, rng, live)), 0.0), LEVEL, axis=0)
    lower = np.where(value > chance, np.maximum(2 * value - high, 0.0), 0.0)
    upper = np.maximum(2 * value - low, 0.0)
    return Interval(value, *(np.where(known, end, np.nan) for end in (lower, upper, chance)))


def _resampled(counts: Floats, rng: np.random.Generator, like: Floats | None = None) -> Floats:
    """Return ``REPLICATES`` samples from each row's shares, of the row's size or that of ``like``; shape (replicates, pairs, places)."""
    n = (counts if like is None else like).sum(axis=-1).astype(np.int64)
    shares = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    shares[counts.sum(axis=-1) == 0, 0] = 1.0  # no rows are drawn there, and NumPy wants shares that sum to 1
    return rng.multinomial(n, shares, size=(REPLICATES, len(counts))).astype(np.float64)
