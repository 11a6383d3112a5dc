from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from tests.detectors.made import START, Counts, Floats, autoregressive, numeric_column, numeric_slots

from driftline.contracts.reference import TermCalibration
from driftline.contracts.times import HOUR_MS
from driftline.detectors.calibration import MIN_ROWS, calibrate, longrun


def _location(values: Floats, times: Counts) -> TermCalibration:
    column = numeric_column("x", values)
    return next(t for t in calibrate(column, numeric_slots(column, values), times) if t.term == "location")


def _regimes(hours: float, rate: float, tau: float, sd: float, rng: np.random.Generator) -> tuple[Floats, Counts]:
    """Normal values around an Ornstein-Uhlenbeck process of time constant tau (hours), at random times."""
    decay = np.exp(-0.1 / tau)
    path = sd * lfilter([np.sqrt(1 - decay**2)], [1, -decay], rng.standard_normal(int(hours * 10) + 10_000))[10_000 - 1 :]
    at = np.sort(rng.uniform(0, hours, rng.poisson(hours * rate)))
    return rng.standard_normal(len(at)) + path[(at * 10).astype(int)], (at * HOUR_MS).astype(np.int64) + START


def test_independent_events_share_next_to_nothing() -> None:
    values = autoregressive(10_000, 1, 0.0, np.random.default_rng(0))[:, 0]
    term = _location(values, np.arange(10_000) * 1000 + START)
    events = term.variance_hours * 3600  # events a second: V in events
    assert term.calibrated
    assert 0 < events < 1.5


@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_v_is_the_long_run_variance_of_an_autoregression(rho: float) -> None:
    truth = (1 + rho) / (1 - rho) - 1  # long-run variance of the values less their own
    found = []
    for seed in range(5):
        values = autoregressive(20_000, 1, rho, np.random.default_rng(seed))[:, 0]
        term = _location(values, np.arange(20_000) * 1000 + START)
        assert term.calibrated
        found.append(term.variance_hours * 3600)
    # An upper limit: above the truth as a rule, never by an order.
    assert 0.9 * truth < np.median(found) < 2.5 * truth


def test_of_regimes_that_end_within_a_block_v_is_an_upper_limit_and_no_more() -> None:
    """Blocks are independent, and vary 18 times as much as independent events: nothing is to be extrapolated from chance."""
    events, blocks = 156.0, 128
    rng, n = np.random.default_rng(0), np.full((blocks, 1), events)
    told = [longrun(rng.standard_normal((blocks, 1)) * np.sqrt(events * 18), n, np.ones(1), blocks * events, led=True) for _ in range(500)]
    assert np.mean([slow[0] > 0 for _, slow, _ in told]) < 0.1
    least, most = np.quantile([variance[0] / 17 for variance, _, _ in told], (0.1, 0.9))
    assert least > 0.95  # with 90 % confidence
    assert most < 1.6


def test_v_is_in_hours_and_does_not_depend_on_the_rate_of_events() -> None:
    found = {
        rate: np.median([_location(*_regimes(1440, rate, 6, 0.5, np.random.default_rng(s))).variance_hours for s in range(5)]) for rate in (20, 200)
    }
    truth = 2 * 6 * 0.25 / 1.25
    assert all(0.8 * truth < v < 2.5 * truth for v in found.values())


def test_a_daily_cycle_of_fourteen_days_is_calibrated_and_one_of_two_days_is_not() -> None:
    def cycle(days: int) -> TermCalibration:
        hours = np.arange(days * 24 * 60) / 60
        values = np.sin(hours * 2 * np.pi / 24) + np.random.default_rng(3).standard_normal(len(hours))
        return _location(values, (hours * HOUR_MS).astype(np.int64) + START)

    assert cycle(14).calibrated
    assert not cycle(2).calibrated


def test_regimes_nearly_as_long_as_the_reference_are_uncalibrated() -> None:
    long = [_location(*_regimes(720, 60, 72, 0.5, np.random.default_rng(seed))).calibrated for seed in range(10)]
    short = [_location(*_regimes(1440, 60, 6, 0.5, np.random.default_rng(seed))).calibrated for seed in range(10)]
    assert sum(long) <= 2
    assert sum(short) >= 9


def test_a_trend_is_uncalibrated_and_takes_scale_tails_and_range_along_but_not_nulls() -> None:
    values = np.linspace(0, 3, 20_000) + np.random.default_rng(1).standard_normal(20_000)
    column = numeric_column("x", values)
    found = {t.term: t.calibrated for t in calibrate(column, numeric_slots(column, values), np.arange(20_000) * 1000 + START)}
    assert found == {"location": False, "scale": False, "tails": False, "unseen": False, "null": True}


def test_too_few_rows_or_no_time_at_all_are_uncalibrated() -> None:
    values = autoregressive(5000, 1, 0.0, np.random.default_rng(0))[:, 0]
    few = MIN_ROWS - 1
    assert not _location(values[:few], np.arange(few) * 1000 + START).calibrated
    assert _location(values[:400], np.arange(400) * 1000 + START).calibrated
    assert not _location(values, np.full(5000, START)).calibrated
    assert not _location(values, np.repeat([START, START + HOUR_MS], 2500)).calibrated


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    values = autoregressive(3000, 1, 0.9, rng)[:, 0]
    times = np.arange(3000) * 1000 + START
    order = rng.permutation(3000)
    assert _location(values, times) == _location(values[order], times[order])
