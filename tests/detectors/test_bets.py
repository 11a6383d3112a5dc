"""While a column's location wanders as it always did, no bet on location or scale wins on average, however many events come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import norm
from tests.detectors.made import Floats, numeric_column

from driftline.detectors.bets import EXCESS, PLACES, Bets, bets_of
from driftline.detectors.moments import Moments, moments_of
from driftline.detectors.shapes import SHAPES, growths, with_shapes

TAU, SD, STEP = 6.0, 0.3, 0.25
STRETCH = 48.0
GRID = np.linspace(-2, 2, 201)


@pytest.fixture(scope="module")
def moments() -> Moments:
    return moments_of(numeric_column("x", np.random.default_rng(0).standard_normal(50_000)))


def _wandering(hours: float, paths: int, rng: np.random.Generator) -> Floats:
    """Ornstein-Uhlenbeck paths, (steps, paths)."""
    decay, warm = np.exp(-STEP / TAU), int(10 * TAU / STEP)
    noise = rng.standard_normal((int(hours / STEP) + warm, paths))
    found: Floats = lfilter([SD * np.sqrt(1 - decay**2)], [1, -decay], noise, axis=0)[warm:]
    return found


def _shares(moments: Moments, shifts: Floats = GRID, sd: float = np.sqrt(1 - SD**2)) -> Floats:
    """Shares of the slots at each of the shifts, (shifts, slots); by default of values that have unit variance over all regimes."""
    values = moments.base[0] > 0
    edges = norm.ppf(np.concatenate([[0], np.cumsum(moments.p[values] / moments.p[values].sum())[:-1], [1]]))
    shares = np.zeros((len(shifts), len(values)))
    shares[:, values] = np.diff(norm.cdf((edges - shifts[:, None]) / sd), axis=1)
    return shares


def _long_run(wandering: Floats) -> float:
    """V (hours): the variance of means over ten days, times these."""
    days = (wandering - wandering.mean()).reshape(-1, int(240 / STEP)).mean(axis=1)
    return 240 * float(days.var())


def _bets(moments: Moments, tolerance: float, variance: Floats, of_shapes: Floats | None = None) -> Bets:
    """The bets where the reference says how shapes wander, or where it says nothing of that."""
    told = variance if of_shapes is None else np.concatenate([variance, of_shapes])
    return bets_of(moments, np.full(len(told), tolerance), told, np.ones(len(told), np.bool_))


def _means(moments: Moments, bets: Bets, variance: Floats, live: Floats, rate: float) -> Floats:
    """Mean of e over stretches, of the bets upwards on location and scale; events of one moment are independent and many."""
    shares = _shares(moments)
    means = []
    for term, bet in np.ndindex(2, len(EXCESS)):
        gain = shares @ bets.gain[term, bet]
        noise = shares @ bets.gain[term, bet] ** 2 - gain**2
        eta = 1 / (1 + variance[term, bet] * rate)
        log_e = eta * rate * STEP * np.interp(live, GRID, gain - bets.price[term, bet] + eta * noise / 2)
        means.append(np.exp(log_e.sum(axis=0)).mean())
    return np.array(means)


@pytest.mark.parametrize("rate", [60.0, 600.0, 10_000.0])
@pytest.mark.parametrize("tolerance", [0.05, 0.1, 0.2])
def test_a_location_that_wanders_is_no_evidence_of_a_wider_scale(moments: Moments, tolerance: float, rate: float) -> None:
    rng = np.random.default_rng(1)
    long, live = _wandering(100_800, 1, rng)[:, 0], _wandering(STRETCH, 2000, rng)
    by_shift = _shares(moments) @ moments.phi.T
    variance = np.zeros(len(moments.terms))
    variance[:2] = [_long_run(np.interp(long, GRID, by_shift[:, term])) for term in range(2)]
    bets = _bets(moments, tolerance, variance)
    assert np.all(_means(moments, bets, bets.variance, live, rate) <= 1)
    if tolerance == 0.05:  # the scale's own V would not do
        assert _means(moments, bets, np.broadcast_to(variance[:, None], bets.variance.shape), live, rate).max() > 3


def test_a_steady_location_tempers_no_bet_on_scale_and_no_v_becomes_less(moments: Moments) -> None:
    variance = np.array([0.0, 0.3, 0.1, 0.2, 0.4])
    assert np.array_equal(_bets(moments, 0.05, variance).variance[1:], np.repeat(variance[1:, None], 2 * len(EXCESS), axis=1))
    wandering = _bets(moments, 0.05, np.array([2.0, *variance[1:]])).variance
    assert np.all(wandering[1] >= variance[1])
    # What narrows the scale is not where a location goes.
    assert np.array_equal(wandering[1, len(EXCESS) :], np.full(len(EXCESS), variance[1]))
    assert np.array_equal(wandering[2:], np.repeat(variance[2:, None], 2 * len(EXCESS), axis=1))


@pytest.mark.parametrize("rate", [60.0, 600.0, 10_000.0])
@pytest.mark.parametrize("tolerance", [0.05, 0.1, 0.2])
def test_a_location_that_wanders_is_no_evidence_of_a_whole_change(moments: Moments, tolerance: float, rate: float) -> None:
    rng = np.random.default_rng(1)
    long, live = _wandering(100_800, 1, rng)[:, 0], _wandering(STRETCH, 2000, rng)
    by_shift = _shares(moments) @ np.concatenate([moments.phi[:2], growths(moments)]).T
    long_run = np.array([_long_run(np.interp(long, GRID, row)) for row in by_shift.T])
    variance = np.concatenate([long_run[:2], np.zeros(len(moments.terms) - 2)])
    bets = _bets(moments, tolerance, variance, long_run[2:])
    assert np.all(_means(moments, bets, bets.variance, live, rate) <= 1)
    if tolerance == 0.05:  # a fifth of it would not do
        bare = bets.variance.copy()
        for place in PLACES:
            bare[place] /= 5
        assert _means(moments, bets, bare, live, rate).max() > 3


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.2])
@given(
    rows=st.integers(30, 3_000),
    made=st.sampled_from(["normal", "cauchy", "exponential", "poisson"]),
    power=st.sampled_from([1, 3]),
    seed=st.integers(0),
)
def test_no_bet_on_values_wins_while_their_distribution_is_within_tolerance(tolerance: float, rows: int, made: str, power: int, seed: int) -> None:
    """Against whatever distribution whose chi is the tolerance: E[1 + f] is at most the price."""
    rng = np.random.default_rng(seed)
    values = {
        "normal": rng.standard_normal(rows),
        "cauchy": rng.standard_cauchy(rows),
        "exponential": rng.standard_exponential(rows),
        "poisson": rng.poisson(3, rows).astype(np.float64),
    }
    column = moments_of(numeric_column("x", values[made]))
    bets, of = _bets(column, tolerance, np.zeros(len(column.terms)), np.zeros(len(with_shapes(column).terms) - len(column.terms))), column.base[0] > 0
    p, gain = column.p[of] / column.p[of].sum(), bets.gain[: len(column.terms) - 2][..., of]  # without unseen values and nulls
    # The payoffs themselves point to where they win most.
    towards = np.concatenate([p * rng.standard_normal((50, len(p))) ** power, np.expm1(gain).reshape(-1, len(p)) * p])
    towards -= p * towards.sum(axis=1, keepdims=True)
    chi = np.sqrt((towards**2 / p).sum(axis=1, keepdims=True))
    shares = p + tolerance * towards / np.maximum(chi, 1e-300)
    mean = np.exp(gain) @ shares[(shares >= 0).all(axis=1)].T
    assert np.all(mean <= np.exp(bets.price[: len(gain)])[:, :, None] + 1e-9)


@pytest.mark.parametrize("of_shapes", [np.zeros(len(SHAPES)), None])
def test_no_bet_loses_all_on_one_event(moments: Moments, of_shapes: Floats | None) -> None:
    assert np.exp(_bets(moments, 0.05, np.zeros(len(moments.terms)), of_shapes).gain).min() >= 0.1 - 1e-9


def test_where_the_reference_says_nothing_of_shapes_every_bet_is_on_moments(moments: Moments) -> None:
    """As stored ones do, which go on as they were: the payoff is what the stakes make of the moments."""
    bets = _bets(moments, 0.05, np.zeros(len(moments.terms)))
    assert np.allclose(np.expm1(bets.gain), np.einsum("tbk,ks->tbs", bets.stakes, moments.phi))


@pytest.mark.parametrize("of_shapes", [np.zeros(len(SHAPES)), None])
def test_the_stakes_say_what_a_payoff_comes_to(moments: Moments, of_shapes: Floats | None) -> None:
    """So that a cycle of the hours does, whatever the bet is on."""
    bets, watched = _bets(moments, 0.05, np.zeros(len(moments.terms)), of_shapes), with_shapes(moments)
    assert np.allclose(np.expm1(bets.gain), np.einsum("tbk,ks->tbs", bets.stakes, watched.phi[: bets.stakes.shape[2]]))


def test_a_shape_that_wanders_more_than_its_moments_takes_no_bet_s_place(moments: Moments) -> None:
    variance, steady = np.full(len(moments.terms), 1.0), np.ones(len(SHAPES))
    rate, told = 100.0, np.ones(len(moments.terms) + len(SHAPES), np.bool_)
    without, shaped, bursting = (
        bets_of(moments, np.full(len(v), 0.05), v, told[: len(v)], rate=rate)
        for v in (variance, np.concatenate([variance, steady]), np.concatenate([variance, 20 * steady]))
    )
    assert np.array_equal(bursting.gain, without.gain)
    assert not np.array_equal(shaped.gain, without.gain)


@pytest.mark.parametrize(("shift", "ratio", "events"), [(0.5, 1.0, 0.9), (1.0, 1.0, 0.95), (2.0, 1.0, 0.75), (0.0, 2**0.5, 0.65), (0.0, 2.0, 0.55)])
def test_a_whole_change_is_seen_in_fewer_events_than_by_moments(moments: Moments, shift: float, ratio: float, events: float) -> None:
    """What the best of the bets gains an event, against the best of those on moments alone."""
    live = _shares(moments, np.array([shift]), ratio)[0]
    shaped, joint = (_bets(moments, 0.05, np.zeros(len(moments.terms)), of) for of in (np.zeros(len(SHAPES)), None))
    growth = [float((bets.gain @ live - bets.price).max()) for bets in (shaped, joint)]
    assert growth[1] / growth[0] < events
