"""Intervals of every distance that a finding tells, by simulation where the distance is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import chi2, kstwobign, norm

from driftline.detectors import binned
from driftline.detectors.bridges import binned_intervals
from driftline.detectors.contingency import DISTANCES
from driftline.detectors.divergences import grouped_intervals
from driftline.detectors.moments import Floats
from driftline.detectors.uncertainty import Interval, Null

WINDOWS = 500
EVEN = np.full(10, 0.1)
TILTED = np.array([0.16, 0.14, 0.12, 0.11, 0.1, 0.1, 0.09, 0.08, 0.06, 0.04])
FAR = np.array([0.4, 0.2, 0.1, 0.1, 0.05, 0.05, 0.04, 0.03, 0.02, 0.01])
ZIPF = 1 / np.arange(1, 51) / np.sum(1 / np.arange(1, 51))
RARE = np.array([0.5, 0.3, 0.199, 0.001, 0.0])  # one group that hardly anyone has, and one that nobody has
TWO = np.array([0.9, 0.1])
SIZES = [(500, 30), (20_000, 30), (500, 300), (20_000, 300), (500, 3_000), (20_000, 3_000)]


def _drawn(shares: Floats, n: int, seed: int) -> Floats:
    return np.random.default_rng(seed).multinomial(n, shares, size=WINDOWS).astype(float)


def _truths(p: Floats, q: Floats, m: int, n: int) -> dict[str, float]:
    """The distances of the distributions; V and chi-square depend on the two sizes, PSI's half rows must not tell."""
    many = 1e9
    truths = {name: float(distance(p * m * many, q * n * many)) for name, distance in DISTANCES.items()}
    return truths | {"chi_square": truths["chi_square"] / many}


def _held(told: Interval, truth: float) -> float:
    return float(np.mean((told.low <= truth) & (truth <= told.high)))


CHANGES = {"little": (EVEN, 0.8 * EVEN + 0.2 * TILTED), "more": (EVEN, TILTED), "far": (EVEN, FAR), "two": (TWO, np.array([0.8, 0.2]))}
CHANGES |= {"zipf": (ZIPF, 0.7 * ZIPF + 0.3 * ZIPF[::-1])}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_intervals_over_groups_hold_the_distance_about_as_often_as_they_say(change: str, m: int, n: int) -> None:
    p, q = CHANGES[change]
    told = grouped_intervals(_drawn(p, m, 1), _drawn(q, n, 2))
    held = {name: _held(told[name], truth) for name, truth in _truths(p, q, m, n).items()}
    least = dict.fromkeys(held, 0.89 if n >= 300 else 0.83)  # of 500 windows: a standard error of .012
    if change == "zipf" and n < 300:  # less than a row to most groups: the bootstrap before held 0 to 95 % there
        least = dict.fromkeys(held, 0.72)
    if change == "zipf" and m < n:  # a row or two to a group of the reference whose share grows: roots are not known better
        least |= {"hellinger": 0.82}
    assert all(held[name] >= least[name] for name in held), held


@pytest.mark.parametrize(("m", "n"), SIZES)
@pytest.mark.parametrize("shares", [EVEN, ZIPF, RARE, TWO], ids=["even", "zipf", "rare", "two"])
def test_windows_like_their_reference_have_intervals_over_groups_that_begin_at_0(shares: Floats, m: int, n: int) -> None:
    for name, told in grouped_intervals(_drawn(shares, m, 3), _drawn(shares, n, 4)).items():
        assert np.mean(told.low == 0) >= 0.92, name
        assert 0.915 <= np.mean(told.value <= told.chance) <= 0.985, name
        assert (told.low[told.value <= told.chance] == 0).all(), name


def _normal(rng: np.random.Generator, n: int) -> Floats:
    return rng.standard_normal((WINDOWS, n))


def _heavy(rng: np.random.Generator, n: int) -> Floats:
    return np.floor(np.exp(1.5 * _normal(rng, n)))


VALUES: dict[str, tuple[Callable[[np.random.Generator, int], Floats], Callable[[Floats], Floats]]] = {
    "normal, .1 sd": (_normal, lambda x: x + 0.1),
    "normal, .5 sd": (_normal, lambda x: x + 0.5),
    "normal, 2 sd": (_normal, lambda x: x + 2),
    "normal, wider": (_normal, lambda x: 1.3 * x),
    "heavy counts, x1.3": (_heavy, lambda x: np.floor(1.3 * x)),
}


def _bins(of: Callable[[np.random.Generator, int], Floats]) -> tuple[Floats, Floats]:
    """Edges of up to 64 quantile bins and their widths in sd, as a reference of 20,000 rows has them."""
    values = of(np.random.default_rng(0), 40).ravel()
    edges = np.unique(np.quantile(values, np.linspace(0, 1, 65)))
    return edges, np.diff(edges) / values.std()


def _counted(values: Floats, edges: Floats) -> Floats:
    places = len(edges) + 1
    slot = np.searchsorted(edges, values, "right") + places * np.arange(len(values))[:, None]
    return np.bincount(slot.ravel(), minlength=places * len(values)).reshape(len(values), places).astype(float)


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(("m", "n"), [(4_000, 30), (500, 300), (4_000, 3_000)])
def test_intervals_over_bins_hold_the_distance_about_as_often_as_they_say(name: str, m: int, n: int) -> None:
    of, change = VALUES[name]
    edges, width = _bins(of)
    rng = np.random.default_rng(7)
    told = binned_intervals(_counted(of(rng, m), edges), _counted(change(of(rng, n)), edges), np.broadcast_to(width, (WINDOWS, len(width))))
    p, q = (_counted(values, edges).sum(axis=0)[None] for values in (of(rng, 1_000), change(of(rng, 1_000))))
    assert _held(told["ks"], float(binned.ks(p, q)[0])) >= (0.86 if n < 300 else 0.9)
    assert _held(told["wasserstein"], float(binned.wasserstein(p, q, width[None])[0])) >= (0.86 if n < 300 else 0.9)


@pytest.mark.parametrize(("m", "n"), [(500, 30), (4_000, 300), (500, 3_000)])
@pytest.mark.parametrize("of", [_normal, _heavy])
def test_windows_like_their_reference_have_intervals_over_bins_that_begin_at_0(of: Callable[..., Floats], m: int, n: int) -> None:
    edges, width = _bins(of)
    rng = np.random.default_rng(8)
    for told in binned_intervals(_counted(of(rng, m), edges), _counted(of(rng, n), edges), np.broadcast_to(width, (WINDOWS, len(width)))).values():
        assert np.mean(told.low == 0) >= 0.92
        assert 0.9 <= np.mean(told.value <= told.chance) <= 0.985


def test_what_chance_shows_is_the_quantile_that_textbooks_have() -> None:
    n, m = 3_000, 20_000
    told = grouped_intervals(_drawn(EVEN, m, 3), _drawn(EVEN, n, 4))
    assert np.mean(told["chi_square"].chance) == pytest.approx(chi2.ppf(0.95, 9), rel=0.01)
    assert np.mean(told["cramers_v"].chance) == pytest.approx(np.sqrt(chi2.ppf(0.95, 9) / (m + n)), rel=0.01)
    # Wilks (1938), Freeman and Tukey (1950): the divergences are multiples of chi-square as well.
    each = chi2.ppf(0.95, 9) * (1 / m + 1 / n)
    assert np.mean(told["psi"].chance) == pytest.approx(each, rel=0.02)
    assert np.mean(told["hellinger"].chance) == pytest.approx(np.sqrt(each / 8), rel=0.02)
    assert np.mean(told["jensen_shannon"].chance) == pytest.approx(np.sqrt(each / 8 / np.log(2)), rel=0.02)
    # Over a thousand bins Kolmogorov's, with a single edge the normal distribution's; a quantile of 200 bridges is itself known to some hundredths.
    scale = np.sqrt(1 / m + 1 / n)
    fine = binned_intervals(np.full((1, 1_000), m / 1_000), np.full((1, 1_000), n / 1_000), np.ones((1, 998)))
    assert fine["ks"].chance[0] == pytest.approx(kstwobign.ppf(0.95) * scale, rel=0.05)
    # The area of |Brownian bridge| (Johnson and Killeen, 1983).
    assert fine["wasserstein"].chance[0] / 998 == pytest.approx(0.5821 * scale, rel=0.05)
    half = np.array([[0.5, 0.0, 0.5]])
    one = binned_intervals(half * m, half * n, np.ones((1, 1)))
    assert one["ks"].chance[0] == pytest.approx(norm.ppf(0.975) * scale / 2, rel=0.05)


@pytest.mark.parametrize("degrees", [1.0, 3.0, 50.0])
def test_the_quantile_of_a_mean_and_a_variance_is_chi_squares_where_these_are(degrees: float) -> None:
    assert Null.of(np.array([degrees]), np.array([2 * degrees])).chance[0] == pytest.approx(chi2.ppf(0.95, degrees))


@given(arrays(np.float64, (2, 3, 5), elements=st.one_of(st.integers(0, 3), st.integers(0, 2**60)).map(float)))
@settings(max_examples=60)
def test_any_counts_have_finite_intervals_or_none_and_always_the_same(counts: Floats) -> None:
    reference, live = counts
    width = np.array([[1.0, 1e-9, 1e300], [1.0, np.inf, 2.0], [0.0, 0.0, 0.0]])
    there = (reference.sum(axis=-1) > 0) & (live.sum(axis=-1) > 0)
    for _ in range(2):
        told = {**grouped_intervals(reference, live), **binned_intervals(reference, live, width)}
        for name, own in told.items():
            known = there & (np.isfinite(width).all(axis=-1) if name == "wasserstein" else True)
            assert np.isnan(np.stack(own)[:, ~known]).all(), name
            value, low, high, chance = (part[known] for part in own)
            assert np.isfinite([value, low, high, chance]).all(), name
            assert ((low >= 0) & (low <= high) & (chance >= 0) & (value >= 0)).all(), name
    again = {**grouped_intervals(reference, live), **binned_intervals(reference, live, width)}
    assert all(np.array_equal(np.stack(told[name]), np.stack(again[name]), equal_nan=True) for name in told)
