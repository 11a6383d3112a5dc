from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from driftline.detectors import binned, contingency
from driftline.detectors.moments import Floats
from driftline.detectors.uncertainty import interval

DISTANCES = {
    "psi": contingency.psi,
    "jensen_shannon": contingency.jensen_shannon,
    "hellinger": contingency.hellinger,
    "total_variation": contingency.total_variation,
    "cramers_v": contingency.cramers_v,
    "ks": binned.ks,
}
EVEN = np.full(10, 0.1)
TILTED = np.array([0.16, 0.14, 0.12, 0.11, 0.1, 0.1, 0.09, 0.08, 0.06, 0.04])


def _drawn(shares: Floats, n: int, pairs: int, seed: int) -> Floats:
    return np.random.default_rng(seed).multinomial(n, shares, size=pairs).astype(float)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("n", [300, 3000])
def test_the_interval_holds_the_distance_of_the_distributions_about_as_often_as_it_says(name: str, n: int) -> None:
    distance = DISTANCES[name]
    truth = float(distance(EVEN * 1e9, TILTED * 1e9))
    if name == "cramers_v":  # it depends on the two sizes
        truth = float(distance(EVEN * 20_000 * 1e5, TILTED * n * 1e5))
    told = interval(distance, _drawn(EVEN, 20_000, 200, 1), _drawn(TILTED, n, 200, 2))
    assert 0.88 <= np.mean((told.low <= truth) & (truth <= told.high)) <= 1


@pytest.mark.parametrize("name", DISTANCES)
def test_windows_like_their_reference_have_intervals_that_begin_at_0(name: str) -> None:
    told = interval(DISTANCES[name], _drawn(EVEN, 20_000, 200, 3), _drawn(EVEN, 500, 200, 4))
    assert np.mean(told.low == 0) >= 0.9
    assert 0.9 <= np.mean(told.value <= told.chance) <= 0.99


def test_what_chance_shows_of_the_chi_square_statistic_is_its_quantile() -> None:
    told = interval(contingency.pearson, _drawn(EVEN, 20_000, 200, 3), _drawn(EVEN, 500, 200, 4))
    assert np.mean(told.chance) == pytest.approx(chi2.ppf(0.95, len(EVEN) - 1), rel=0.1)
    assert 0.9 <= np.mean(told.value <= told.chance) <= 0.99


def test_no_rows_have_no_interval_and_the_same_counts_always_have_the_same() -> None:
    reference, live = _drawn(EVEN, 1000, 3, 5), _drawn(TILTED, 1000, 3, 6)
    live[1] = 0
    told, again = (interval(contingency.psi, reference, live) for _ in range(2))
    assert np.isnan(told.low[1])
    assert np.isnan(told.high[1])
    assert np.array_equal(told.low, again.low, equal_nan=True)
    assert np.isfinite(told.high[[0, 2]]).all()
