"""What a reference says of shapes is what keeps bets on them from winning where nothing has changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from scipy.stats import norm
from tests.detectors.made import START, Counts, Floats, alarms, autoregressive, numeric_column, numeric_reference, numeric_slots, slot_matrix

from driftline.contracts.reference import Reference, TermCalibration, seal
from driftline.contracts.times import HOUR_MS
from driftline.detectors.bets import PLACES
from driftline.detectors.calibration import calibrate
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.moments import SHAPE, moments_of
from driftline.detectors.shapes import SHAPES, growths, shaped
from driftline.detectors.tempering import calibrate_shaped, tempered
from driftline.detectors.terms import term_tables

RATE = 60


def _of_shapes(terms: tuple[TermCalibration, ...]) -> dict[str, TermCalibration]:
    return {term.term: term for term in terms if term.term.startswith(SHAPE)}


def _by_moments(reference: Reference) -> Reference:
    """The reference as it were if each shape wandered as the moment does whose bet's place it takes."""
    said = {shape.term: reference.terms[term].variance_hours for (term, _), shape in zip(PLACES, SHAPES, strict=True)}
    bare = tuple(term for term in reference.terms if term.term not in said)
    told = (TermCalibration(column="f0", term=name, variance_hours=v, blocks=32, calibrated=True) for name, v in said.items())
    return seal(replace(reference, terms=(*bare, *told)))


def _bursts(days: int, rng: np.random.Generator) -> tuple[Floats, Counts]:
    """The greatest and the smallest values come together, in one hour of fifty; neither location nor scale wander by much."""
    hours = days * 24
    rank, burst = rng.uniform(-0.98, 0.98, hours * RATE), np.repeat(rng.random(hours) < 0.02, RATE)
    rank[burst] = rng.choice([-1, 1], burst.sum()) * rng.uniform(0.98, 1, burst.sum())
    return norm.ppf((rank[:, None] + 1) / 2), START // HOUR_MS * HOUR_MS + np.arange(hours * RATE) * (HOUR_MS // RATE)


def test_rare_values_in_bursts_are_no_evidence_and_would_be_with_the_moments_v() -> None:
    told = np.zeros(2)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        reference, (live, times) = numeric_reference(*_bursts(60, rng)), _bursts(60, rng)
        for i, own in enumerate((reference, _by_moments(reference))):
            told[i] += len(alarms(Decider(own, DeciderConfig(720.0)), own, slot_matrix(own, live), times, HOUR_MS))
    assert told[0] <= 6  # 180 days with one allowed in 30
    assert told[1] > 30


def test_a_column_that_goes_with_the_number_of_events_has_no_v() -> None:
    """Few come early and late. Over all rows a wider scale loses; over hours, which tempered evidence weighs, it wins day by day."""
    by_hour = np.array([5, 70, 58, 74, 53, 41, 43, 46, 50, 52, 64, 67, 65, 58, 55, 42, 27, 7, 2, *[0] * 5])  # as flights leave
    n, hour = np.resize(by_hour, 2048), np.resize(np.arange(24), 2048)
    column = numeric_column("x", np.repeat(hour, n).astype(np.float64))
    gained = np.log1p(shaped(moments_of(column)))[:, numeric_slots(column, np.arange(19.0))]
    sums, rows = np.pad(gained, ((0, 0), (0, 5)))[:, hour].T * n[:, None], np.repeat(n[:, None], len(SHAPES), axis=1).astype(np.float64)
    wider = np.array([shape.ratio > 1 for shape in SHAPES])
    assert np.all(sums.sum(axis=0) < 0)
    assert np.all((sums / (1 + 3.0 * rows)).sum(axis=0)[wider] > 10)
    _, known = tempered(sums, rows, np.full(len(SHAPES), 3.0), 1.0)
    assert not known[wider].any()


@pytest.mark.parametrize("rho", [0.5, 0.9])
def test_v_of_a_shape_is_the_long_run_variance_of_its_evidence(rho: float) -> None:
    rows, block = 20_000, 500
    found, truth = [], []
    for seed in range(5):
        values = autoregressive(20 * rows, 1, rho, np.random.default_rng(seed))[:, 0]
        column = numeric_column("x", values[:rows])
        told = _of_shapes(calibrate_shaped(column, numeric_slots(column, values[:rows]), np.arange(rows) * 1000 + START))
        found.append([told[shape.term].variance_hours * 3600 for shape in SHAPES])
        growth = growths(moments_of(column))[:, numeric_slots(column, values)]
        truth.append(block * growth.reshape(len(SHAPES), -1, block).mean(axis=2).var(axis=1) - growth.var(axis=1))
    ratio = np.median(found, axis=0) / np.mean(truth, axis=0)
    assert np.all((ratio > 0.9) & (ratio < 2.5))


def test_at_no_hour_of_a_cycle_a_payoff_comes_to_more_than_its_price() -> None:
    rng = np.random.default_rng(1)
    at = np.arange(30 * 24 * RATE)
    times = START // (24 * HOUR_MS) * 24 * HOUR_MS + at * (HOUR_MS // RATE)
    values = np.sin(at / (24 * RATE) * 2 * np.pi) + rng.standard_normal(len(at))
    column = numeric_column("f0", values)
    slots = numeric_slots(column, values)
    told = calibrate_shaped(column, slots, times, "hour_of_day")
    assert all(len(term.seasons) == 24 for term in _of_shapes(told).values())
    reference = seal(replace(numeric_reference(values[:, None], times), terms=told))
    table = term_tables(reference, DeciderConfig(720.0, 0.0))["features"]
    payoff = np.expm1(table.gain.toarray()).reshape(*table.theta.shape, -1)[:2]
    hours = times // HOUR_MS % 24
    for hour in range(24):
        comes_to = payoff[..., slots[hours == hour]].mean(axis=-1)
        begins = int(times[0]) + hour * HOUR_MS
        assert np.all(np.log1p(comes_to) <= table.price_over(begins, begins + HOUR_MS)[:2])


def test_where_the_location_goes_where_it_never_was_and_where_rows_are_few_there_are_no_shapes() -> None:
    rng = np.random.default_rng(1)
    for values in (np.linspace(0, 3, 20_000) + rng.standard_normal(20_000), rng.standard_normal(150), np.repeat([0.0, 1.0], 500)):
        column = numeric_column("x", values)
        slots, times = numeric_slots(column, values), np.arange(len(values)) * 1000 + START
        assert calibrate_shaped(column, slots, times) == calibrate(column, slots, times)
    assert not _of_shapes(calibrate_shaped(column, slots, np.full(len(values), START)))


def test_the_order_of_rows_and_rows_without_a_value_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    values = autoregressive(3000, 1, 0.9, rng)[:, 0]
    times, order = np.arange(3000) * 1000 + START, rng.permutation(3000)
    column = numeric_column("x", values)
    slots = numeric_slots(column, values)
    told = calibrate_shaped(column, slots, times)
    assert len(_of_shapes(told)) == len(SHAPES)
    assert told == calibrate_shaped(column, slots[order], times[order])
    lost = np.append(slots, np.full(1000, len(column.edges) + 1)), np.append(times, rng.integers(times[0], times[-1], 1000))
    assert _of_shapes(told) == _of_shapes(calibrate_shaped(column, *lost))


@given(
    seed=st.integers(0, 2**32),
    blocks=st.sampled_from([32, 128, 1024]),
    spread=st.floats(0, 3),
    lean=st.floats(-1, 0.5),
    variance=st.floats(0, 10),
)
def test_v_becomes_no_less_and_nothing_is_won_where_there_is_one(seed: int, blocks: int, spread: float, lean: float, variance: float) -> None:
    rng = np.random.default_rng(seed)
    n = np.repeat(rng.poisson(5, (blocks, 1)).astype(np.float64), 3, axis=1)
    sums = n * (lean + spread * rng.standard_t(3, (blocks, 3)))
    v, known = tempered(sums, n, np.full(3, variance), 0.5)
    assert np.all(v >= variance)
    log_e = sums / (1 + v * n / 0.5)
    while len(log_e) >= 32:
        assert np.all(np.exp(log_e[:, known]).mean(axis=0) <= 1)
        log_e = log_e[::2] + log_e[1::2]
