"""What a sum over groups shows by chance, against every way in which it can come about."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.special import comb

from driftline.detectors.moments import Floats
from driftline.detectors.nulls import Part, chances

TABLES = {"small": [3, 5, 2], "empty": [4, 0, 6], "two": [7, 3], "many": [6, 1, 1, 1, 1, 2]}


def _quadratic(c: Floats, x: Floats) -> Floats:
    return (c - 2 * x) ** 2 / np.maximum(c + x, 1)


def _absolute(c: Floats, x: Floats) -> Floats:
    return np.abs(c - 2 * x)


def _every_way(both: list[int], n: int, part: Part) -> tuple[float, float]:
    """Mean and variance over all windows of n rows out of all rows, by their number."""
    values, ways = [], []
    for live in product(*(range(t + 1) for t in both)):
        if sum(live) == n:
            held = np.array(live, float)
            values.append(float(part(np.array(both) - held, held).sum()))
            ways.append(float(np.prod([comb(t, x) for t, x in zip(both, live, strict=True)])))
    mean = np.average(values, weights=ways)
    return float(mean), float(np.average((np.array(values) - mean) ** 2, weights=ways))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("part", [_quadratic, _absolute])
def test_moments_are_those_of_every_way_in_which_rows_may_fall(table: str, part: Part) -> None:
    both, n = TABLES[table], 4
    reference = np.array([both], float)
    live = np.zeros_like(reference)
    left = n
    for i, t in enumerate(both):  # any table with these margins: only they count
        live[0, i] = min(left, t)
        left -= int(live[0, i])
    told = chances(reference - live, live).null(part)
    mean, variance = _every_way(both, n, part)
    assert told.mean[0] == pytest.approx(mean)
    # The mean is exact; of the variance what groups share is told from two terms of a series.
    assert told.variance[0] == pytest.approx(variance, rel=0.3)


@pytest.mark.parametrize("share", [0.5, 0.02])
def test_of_many_rows_pearsons_moments_are_chi_squares(share: float) -> None:
    p = np.array([share, *np.full(6, (1 - share) / 6)])
    reference, live = 1e5 * p[None], 2e4 * p[None]
    m, n = 1e5, 2e4
    told = chances(reference, live).null(lambda c, x: m * n * (c / m - x / n) ** 2 / (c + x))
    assert told.mean[0] == pytest.approx(6, rel=1e-3)
    assert told.variance[0] == pytest.approx(12, rel=1e-2)
