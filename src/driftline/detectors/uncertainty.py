"""How far a distance can be off at a window's n: bootstrap intervals (Davison and Hinkley, 1997, chapter 5) from counts alone.

A distance of two samples is above that of their distributions, the more so the fewer the rows, and a bootstrap's is above that again by about as
much; the interval takes this off. At 0, where every distance has its edge, that is not enough: a window whose distance chance alone would
show, both sides drawn from their common distribution, has an interval that begins at 0.

Rows are resampled as independent ones. What they share (V of ``calibration``) is not in here: the decider's effects have intervals that hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from driftline.detectors.moments import Floats

REPLICATES = 100
LEVEL = 0.95
# Two sides of that.
_LARGE = 1e150
_Z = 1.959963984540054


class Interval(NamedTuple):
    """A distance with its interval, and what chance alone shows in 95 of 100 windows of this n; arrays over the pairs, NaN where there is none."""

    value: Floats
    low: Floats
    high: Floats
    chance: Floats


Distance = Callable[[Floats, Floats], Floats]


def interval(distance: Distance, reference: Floats, live: Floats) -> Interval:
    """Return a distance of each pair of rows (pairs, places) with its 95 % interval, never below 0.

    >>> def greatest_gap(p, q):
    ...     return np.abs(p / p.sum(-1, keepdims=True) - q / q.sum(-1, keepdims=True)).max(-1)
    >>> told = interval(greatest_gap, np.array([[50.0, 50.0]]), np.array([[70.0, 30.0]]))
    >>> float(told.value[0]), bool(told.low[0] < 0.2 < told.high[0])
    (0.2, True)
    """
    return intervals({"": distance}, reference, live)[""]


def intervals(distances: Mapping[str, Distance], reference: Floats, live: Floats) -> dict[str, Interval]:
    """Return several distances of the same pairs, from the same samples."""
    drawn = _resampled(reference, 0), _resampled(live, 1)
    common = (reference + live) / np.maximum((reference + live).sum(axis=-1, keepdims=True), 1)
    alike = tuple(_resampled(common * side.sum(axis=-1, keepdims=True), place) for place, side in enumerate((reference, live)))
    return {name: _interval(np.asarray(distance(reference, live)), distance(*drawn), distance(*alike)) for name, distance in distances.items()}


def _interval(value: Floats, drawn: Floats, alike: Floats) -> Interval:
    known = np.isfinite(value)
    drawn = np.where(known, drawn, 0.0)
    # By mean and sd: a hundred samples tell these well, and their tails badly.
    # Values of 1e300 are no mistake of ours, and their squares would be infinite: no number that JSON has.
    scale = np.where(np.abs(drawn).max(axis=0) > _LARGE, np.abs(drawn).max(axis=0), 1.0)
    drawn = drawn / scale
    middle, reach = 2 * value - drawn.mean(axis=0) * scale, _Z * drawn.std(axis=0) * scale
    chance = np.quantile(np.where(known, alike, 0.0), LEVEL, axis=0)
    lower, upper = np.where(value > chance, np.maximum(middle - reach, 0.0), 0.0), np.maximum(middle + reach, 0.0)
    return Interval(value, *(np.where(known, end, np.nan) for end in (lower, upper, chance)))


def _resampled(expected: Floats, side: int) -> Floats:
    """Return ``REPLICATES`` samples around the expected counts, shape (replicates, pairs, places): Poisson's in their normal form."""
    return np.maximum(expected + np.sqrt(expected) * _noise(side, expected.shape[-1])[:, None, :], 0.0)


@lru_cache(maxsize=256)
def _noise(side: int, places: int) -> Floats:
    """The same noise for every pair and every window: drawing it anew would cost more than all the rest."""
    noise: Floats = np.random.default_rng((side, places)).standard_normal((REPLICATES, places))
    return noise
