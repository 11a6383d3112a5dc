"""What the hour explains is no drift; what it does not explain is seen all the sooner."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detectors.made import START, Counts, Floats

from driftline.contracts.reference import Reference, encode_reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.times import HOUR_MS
from driftline.detectors.binning import slots_of
from driftline.detectors.calendar import Calendar, calendar_of, cycle_of, hours_of, share_of_hours
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.describe import column_findings
from driftline.detectors.layout import layout_of
from driftline.detectors.reference import build_reference

DAY_MS = 24 * HOUR_MS
MIDNIGHT = START // (7 * DAY_MS) * 7 * DAY_MS


def _stream(
    days: float, rate: int, rng: np.random.Generator, *, daily: float = 0.0, weekly: float = 0.0, first: int = MIDNIGHT
) -> tuple[Floats, Counts]:
    at = np.sort(rng.uniform(0, days * 24, int(days * 24 * rate)))
    wave = daily * np.sin(2 * np.pi * at / 24) + weekly * (np.floor(at / 24) % 7 >= 5)
    return wave + rng.standard_normal(len(at)), (at * HOUR_MS).astype(np.int64) + first


def _built(values: Floats, times: Counts, calendar: Calendar = "auto") -> Reference:
    return build_reference(
        model="m", version="1", task="regression", effective_from=0, origin="built", times=times, features={"x": values}, calendar=calendar
    )  # fmt: skip


def _alarms(reference: Reference, values: Floats, times: Counts, pane: int = HOUR_MS) -> list[int]:
    """Hours into the stream at which it alarmed."""
    decider = Decider(reference, DeciderConfig(720.0, 0.1))
    slots = slots_of(reference.columns[0], values)
    state, found, place = decider.start(), [], times // pane
    for at in range(int(place.min()), int(place.max()) + 1):
        counts = np.bincount(slots[place == at], minlength=layout_of(reference, "features").slots)
        state = decider.step(state, "features", counts, (at + 1) * pane, pane / HOUR_MS)
        if decider.verdict(state).crossed:
            found.append(int(((at + 1) * pane - times[0]) // HOUR_MS))
            state = decider.start()
    return found


LATER = MIDNIGHT + 70 * DAY_MS


def _cycles(reference: Reference) -> dict[str, int]:
    return {t.term: len(t.seasons) for t in reference.terms}


def test_with_a_calendar_a_daily_cycle_hides_no_shift_and_is_none() -> None:
    rng = np.random.default_rng(1)
    known = _stream(21, 60, rng, daily=1.0)
    with_it, without = _built(*known), _built(*known, "none")
    assert _cycles(with_it)["location"] == 24
    assert set(_cycles(without).values()) == {0}
    assert _alarms(with_it, *_stream(20, 60, rng, daily=1.0, first=LATER)) == []
    values, times = _stream(7, 60, rng, daily=1.0, first=LATER)
    for by in (0.5, -0.5):
        seen = _alarms(with_it, values + by, times)
        assert seen
        assert seen[0] <= 18
    wander = [next(t.variance_hours for t in reference.terms if t.term == "location") for reference in (with_it, without)]
    assert wander[0] < wander[1] / 5


def test_a_week_is_found_where_four_of_them_show_it() -> None:
    rng = np.random.default_rng(2)
    assert _cycles(_built(*_stream(35, 20, rng, daily=0.6, weekly=1.0)))["location"] == 168
    assert _cycles(_built(*_stream(35, 20, rng, daily=0.6)))["location"] == 24
    assert _cycles(_built(*_stream(20, 20, rng, daily=0.6, weekly=1.0)))["location"] != 168
    assert _cycles(_built(*_stream(15, 20, rng, weekly=1.0), "hour_of_week"))["location"] == 168


@pytest.mark.parametrize("seed", range(6))
def test_where_the_reference_shows_no_cycle_none_is_taken_and_its_hash_stays(seed: int) -> None:
    values, times = _stream(21, 20, np.random.default_rng(seed))
    plain = _built(values, times, "none")
    assert _built(values, times).reference_id == plain.reference_id
    assert b"season" not in encode_reference(plain)


def test_few_cycles_no_time_and_one_row_are_no_calendar() -> None:
    rng = np.random.default_rng(4)
    assert _cycles(_built(*_stream(5, 60, rng, daily=1.0)))["location"] == 0
    assert set(_cycles(_built(rng.standard_normal(500), np.full(500, START), "hour_of_day")).values()) == {0}
    assert not cycle_of(np.zeros(1), np.ones(1, np.bool_), np.array([START]), "hour_of_week").there
    assert not cycle_of(np.zeros(3), np.zeros(3, np.bool_), np.array([START] * 3), "auto").there


def test_panes_longer_than_an_hour_have_none_and_the_users_word_holds_else() -> None:
    assert calendar_of(ModelSettings(pane="2h")) == "none"
    assert calendar_of(ModelSettings(pane="1h")) == "auto"
    assert calendar_of(ModelSettings(reference_calendar="hour_of_day")) == "hour_of_day"


def test_a_windows_effects_and_distances_are_against_its_own_hours() -> None:
    rng = np.random.default_rng(5)
    reference = _built(*_stream(28, 60, rng, daily=1.0))
    decider, start = Decider(reference, DeciderConfig(720.0, 0.1)), LATER + 6 * HOUR_MS  # the wave's top
    values = 1.0 + rng.standard_normal(600)
    counts = np.bincount(slots_of(reference.columns[0], values), minlength=layout_of(reference, "features").slots)
    span = [(start - HOUR_MS // 2, start + HOUR_MS // 2, 600)]
    (bare,), (told,) = (column_findings(reference, decider, "features", counts, 1.0, spans=s) for s in ((), span))
    assert bare.state == "drift" or (bare.effect is not None and bare.effect > 0.5)
    assert told.state != "drift"
    assert told.effect is not None
    assert abs(told.effect) < 0.25
    assert told.distances["psi"].value < bare.distances["psi"].value / 4
    assert told.distances["wasserstein"].value < bare.distances["wasserstein"].value / 3
    moved = np.bincount(slots_of(reference.columns[0], values + 1.0), minlength=len(counts))
    (seen,) = column_findings(reference, decider, "features", moved, 1.0, spans=span)
    assert seen.state == "drift"
    assert seen.effect is not None
    assert 0.5 < seen.effect < 1.2


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 3_000_000), st.integers(1, 400 * 3600), st.sampled_from([24, 168]))
def test_hours_of_a_stretch_are_counted_as_an_odometer_would(start_s: int, length_s: int, calendar: int) -> None:
    start, end = start_s * 1000, (start_s + length_s) * 1000
    share = share_of_hours(np.array([[start, end]]), np.ones(1), calendar)
    assert share.sum() == pytest.approx(1)
    if length_s <= calendar * 3600:
        at = start + (np.arange(2_000) * 2 + 1) * (end - start) // 4_000
        assert np.abs(share - np.bincount(hours_of(at, calendar), minlength=calendar) / 2_000).max() <= 1e-3


@pytest.mark.parametrize("up", [True, False])
def test_within_tolerance_of_the_hours_mean_e_values_have_mean_at_most_one(up: bool) -> None:
    """The law of the budget, at the worst case that the null allows: each hour's location at its mean plus tolerance."""
    rng = np.random.default_rng(6)
    reference = _built(*_stream(28, 60, rng, daily=0.8))
    decider = Decider(reference, DeciderConfig(720.0, 0.1))
    table = decider._tables["features"]
    i = table.terms.index(("x", "location"))
    phi = table.phi.toarray()[i]
    p = np.asarray(reference.columns[0].counts, np.float64) / sum(reference.columns[0].counts)
    for hour in range(24):
        start = LATER + hour * HOUR_MS
        target = float(decider.normal("features", [(start, start + HOUR_MS, 1)])[i]) + (1 if up else -1) * table.tolerance[i]
        low, high = -8.0, 8.0
        for _ in range(60):  # the exponential tilt of p with that mean
            tilt = (low + high) / 2
            q = p * np.exp(tilt * phi)
            q /= q.sum()
            low, high = (tilt, high) if q @ phi < target else (low, tilt)
        gain = table.gain.toarray()[i * 8 : (i + 1) * 8]
        alone = np.abs(table.theta[i]) > 0
        alone[[3, 7]] = False  # joint bets have the scale's price as well
        mean = np.exp(gain) @ q / np.exp(table.price_over(start, start + HOUR_MS)[i])
        assert (mean[alone] <= 1 + 1e-6).all()


def test_the_means_of_hours_say_as_much_as_their_rows() -> None:
    values, times = _stream(15, 20, np.random.default_rng(4), daily=0.5)
    values -= values.mean()
    hour = times // HOUR_MS - times.min() // HOUR_MS
    rows = np.bincount(hour)
    means, begins = np.bincount(hour, values) / np.maximum(rows, 1), (times.min() // HOUR_MS + np.arange(len(rows))) * HOUR_MS
    of_rows = cycle_of(values, np.ones(len(values), np.bool_), times, "auto")
    of_hours = cycle_of(means, rows > 0, begins, "auto", rows=rows)
    assert of_rows.there
    assert of_hours.means == pytest.approx(of_rows.means)
    assert of_hours.error == pytest.approx(of_rows.error)
