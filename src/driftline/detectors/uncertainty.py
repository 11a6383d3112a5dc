"""How far a distance can be off at a window's n: intervals by inversion of its distribution, from counts alone and without resampling.

A distance of two samples is above that of their distributions, the more so the fewer the rows, and at 0 every distance has its edge: value plus
and minus a multiple of an error is wrong there. So the interval holds those distances of the distributions under which the value found lies
between its .025 and .975 quantiles (Neyman, 1937; Davison and Hinkley, 1997, section 5.2). The quantiles are a gamma distribution's (Patnaik,
1949, for the noncentral chi-square, of which most distances are a case), in the cube-root form of Wilson and Hilferty (1931), of two moments:

- of a distance that is a *sum* over groups (PSI; the squares of the others) and truly is D, mean D + bias, variance v0 + v1 D / d. v0 is that
  without any difference (``nulls``), v1 the delta method's at the value d found (Serfling, 1980, section 3.3), which grows from 0 as the distance
  does;
- of one that *folds* differences (total variation, Kolmogorov-Smirnov, Wasserstein), mean sqrt(D^2 + m0^2), and a variance that goes from v0 to
  the delta method's as D leaves m0, the mean without any difference.

A window whose distance chance alone would show, both sides drawn from their common distribution, has an interval that begins at 0.

Rows are taken as independent ones. What they share (V of ``calibration``) is not in here: the decider's effects have intervals that hold it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import chdtri

from driftline.detectors.moments import Floats

LEVEL = 0.95
# Two sides of that.
_Z = np.array([[1.959963984540054], [-1.959963984540054]])
# Halvings: the ends are right to a millionth of the reach.
_STEPS = 20
_TINY = 1e-300


class Interval(NamedTuple):
    """A distance with its interval, and what chance alone shows in 95 of 100 windows of this n; arrays over the pairs, NaN where there is none."""

    value: Floats
    low: Floats
    high: Floats
    chance: Floats


class Null(NamedTuple):
    """Mean and variance of a distance while both sides have one distribution, and what it stays below in 95 of 100 windows then."""

    mean: Floats
    variance: Floats
    chance: Floats

    @classmethod
    def of(cls, mean: Floats, variance: Floats) -> Null:
        """Return it with the quantile of a gamma distribution, a multiple of chi-square's.

        >>> nine = Null.of(np.array([9.0]), np.array([18.0]))
        >>> round(float(nine.chance[0]), 2)
        16.92
        """
        known = (mean > 0) & (variance > 0)
        mean, variance = np.maximum(mean, 0.0), np.maximum(variance, 0.0)
        scale = np.where(known, variance / np.maximum(2 * mean, _TINY), 1.0)
        chance = scale * chdtri(np.where(known, mean, 1.0) / scale, 1 - LEVEL)
        return cls(mean, variance, np.where(known, chance, mean))


def delta_variance(*sides: tuple[Floats, Floats, Floats]) -> Floats:
    """Return the delta method's variance of a function of shares (pairs, places): of each side its shares, the function's derivatives by them (or
    their influence), and its rows (pairs, 1).
    """
    parts = (((share * slope**2).sum(axis=-1) - (share * slope).sum(axis=-1) ** 2) / rows[:, 0] for share, slope, rows in sides)
    return np.asarray(sum(np.maximum(part, 0.0) for part in parts))


def of_sum(value: Floats, null: Null, bias: Floats, smooth: Floats) -> Interval:
    """Return the interval of a distance that is a sum over groups, given its ``bias`` and the delta method's variance (``smooth``) at the value."""
    # Where value and variance are both nothing but rounding, their ratio is no slope.
    slope = smooth / np.maximum(np.maximum(value, 1e-6 * null.mean), 1e-12)

    def moments(true: Floats) -> tuple[Floats, Floats]:
        return true + bias, null.variance + slope * true

    return _inverted(value, null, moments, 2 * value + 4 * bias + 8 * np.sqrt(null.variance) + 8 * slope)


def of_fold(value: Floats, null: Null, smooth: Floats) -> Interval:
    """Return the interval of a distance that folds differences, given the delta method's variance away from 0 (``smooth``)."""
    away = np.maximum(smooth, null.variance)

    def moments(true: Floats) -> tuple[Floats, Floats]:
        size = true**2 + null.mean**2
        return np.sqrt(size), null.variance + (away - null.variance) * true**2 / np.maximum(size, _TINY)

    return _inverted(value, null, moments, value + null.mean + 4 * np.sqrt(away))


def _inverted(value: Floats, null: Null, moments: Callable[[Floats], tuple[Floats, Floats]], reach: Floats) -> Interval:
    """Return the distances, from 0 to ``reach``, whose quantiles the value is, by halving: both ends at once."""
    least, most = np.zeros((2, *value.shape)), np.stack([reach, reach])
    z = _Z.reshape(2, *([1] * value.ndim))
    for _ in range(_STEPS):
        middle = (least + most) / 2
        mean, variance = moments(middle)
        c = variance / np.maximum(9 * mean**2, _TINY)
        below = mean * np.maximum(1 - c + z * np.sqrt(c), 0.0) ** 3 < value
        least, most = np.where(below, middle, least), np.where(below, most, middle)
    # What is not above chance but for rounding is not above it.
    low = np.where(value > null.chance * (1 + 1e-9), least[0], 0.0)
    return Interval(value, low, np.maximum(most[1], low), null.chance)
