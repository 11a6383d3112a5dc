from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detectors.made import (
    START,
    Counts,
    Floats,
    alarms,
    autoregressive,
    categorical_column,
    numeric_column,
    numeric_reference,
    numeric_slots,
    reference_of,
    slot_matrix,
)

from driftline.contracts.reference import Reference
from driftline.contracts.times import HOUR_MS
from driftline.detectors.decider import GATE, Decider, DeciderConfig, TermEffect
from driftline.detectors.evidence import DeciderState

PANE = 20_000  # 20 events of one a second
LIVE = START + 400 * 24 * HOUR_MS
#: One false alarm per 100,000 events of one a second.
BUDGET = 100_000 / 3600


def _times(n: int, start: int = LIVE) -> Counts:
    return np.arange(n, dtype=np.int64) * 1000 + start


def _stationary(columns: int, rho: float, rng: np.random.Generator, n: int = 10_000) -> Reference:
    return numeric_reference(autoregressive(n, columns, rho, rng), _times(n, START))


def _delay(reference: Reference, decider: Decider, values: Floats, onset: int) -> int | None:
    found = alarms(decider, reference, slot_matrix(reference, values), _times(len(values)), PANE, first_only=True)
    return found[0][0] - onset if found else None


@pytest.fixture(scope="module")
def independent() -> tuple[Reference, Decider]:
    reference = _stationary(10, 0.0, np.random.default_rng(0))
    return reference, Decider(reference, DeciderConfig(BUDGET, 0.05))


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_stationary_streams_stay_quiet_however_much_neighbours_resemble_one_another(rho: float) -> None:
    rng = np.random.default_rng(11)
    reference = _stationary(8, rho, rng, 20_000)
    decider = Decider(reference, DeciderConfig(BUDGET, 0.05))
    live = autoregressive(60_000, 8, rho, rng)
    assert len(alarms(decider, reference, slot_matrix(reference, live), _times(60_000), PANE)) <= 1


def test_without_tempering_the_same_autoregression_alarms_by_the_dozen() -> None:
    rng = np.random.default_rng(11)
    reference = _stationary(8, 0.9, rng, 20_000)
    naive = tuple(msgspec.structs.replace(t, variance_hours=0.0) for t in reference.terms)
    reference = msgspec.structs.replace(reference, terms=naive)
    live = autoregressive(10_000, 8, 0.9, rng)
    decider = Decider(reference, DeciderConfig(BUDGET, 0.05))
    assert len(alarms(decider, reference, slot_matrix(reference, live), _times(10_000), PANE)) > 24


@pytest.mark.parametrize(("shift", "within"), [(1.0, 160), (0.5, 500), (0.25, 2500)])
def test_a_shift_of_one_of_ten_features_is_found_named_and_dated(independent: tuple[Reference, Decider], shift: float, within: int) -> None:
    reference, decider = independent
    delays = []
    for seed in range(5):
        values = autoregressive(2000 + 2 * within, 10, 0.0, np.random.default_rng(100 + seed))
        values[2000:, 3] -= shift
        found = alarms(decider, reference, slot_matrix(reference, values), _times(len(values)), PANE, first_only=True)
        assert found
        rows, verdict = found[0]
        first = verdict.carriers[0]
        assert (first.column, first.term, first.direction) == ("f3", "location", "down")
        assert verdict.onset == first.onset
        assert abs(first.onset - LIVE - 2_000_000) < 1000 * within
        delays.append(rows - 2000)
    assert 0 < np.median(delays) <= within


def test_a_doubled_variance_is_found_as_scale() -> None:
    rng = np.random.default_rng(4)
    reference = _stationary(10, 0.0, rng)
    decider = Decider(reference, DeciderConfig(BUDGET, 0.05))
    values = autoregressive(4000, 10, 0.0, rng)
    values[2000:, 0] *= np.sqrt(2)
    rows, verdict = alarms(decider, reference, slot_matrix(reference, values), _times(4000), PANE, first_only=True)[0]
    assert 0 < rows - 2000 < 1000
    assert (verdict.carriers[0].term, verdict.carriers[0].direction) == ("scale", "up")


def test_autocorrelation_costs_delay_and_not_detection() -> None:
    rng = np.random.default_rng(12)
    reference = _stationary(8, 0.9, rng, 20_000)
    values = autoregressive(8000, 8, 0.9, rng)
    values[2000:, 0] += 1
    delay = _delay(reference, Decider(reference, DeciderConfig(BUDGET, 0.05)), values, 2000)
    assert delay is not None
    assert 100 < delay < 2500


def _categories(rng: np.random.Generator, shares: list[float], n: int = 10_000) -> Counts:
    return rng.choice(len(shares), n, p=shares).astype(np.int64)


SHARES = [0.6, 0.3, 0.1, 0.0, 0.0, 0.0, 0.0]  # three values, other, unseen, null, wrong_type


@pytest.mark.parametrize(
    ("live", "term", "direction"),
    [
        ([0.4, 0.5, 0.1, 0, 0, 0, 0], {"value:a", "value:b"}, {"up", "down"}),
        ([0.58, 0.29, 0.1, 0, 0.03, 0, 0], {"unseen"}, {"up"}),
        ([0.58, 0.29, 0.1, 0, 0, 0.03, 0], {"null"}, {"up"}),
        ([0.58, 0.29, 0.1, 0, 0, 0, 0.03], {"null"}, {"up"}),
    ],
)
def test_a_changed_share_a_new_value_and_nulls_are_found(live: list[float], term: set[str], direction: set[str]) -> None:
    rng = np.random.default_rng(21)
    slots = _categories(rng, SHARES)
    column = categorical_column("c", slots, ["a", "b", "c"])
    reference = reference_of([column], [slots], _times(10_000, START))
    decider = Decider(reference, DeciderConfig(BUDGET, 0.1))
    stream = np.concatenate([_categories(rng, SHARES, 3000), _categories(rng, live, 2000)])[:, None]
    rows, verdict = alarms(decider, reference, stream, _times(5000), PANE, first_only=True)[0]
    assert 0 < rows - 3000 < 1500
    assert verdict.carriers[0].term in term
    assert verdict.carriers[0].direction in direction


def test_nulls_of_a_numeric_column_and_values_outside_its_range_are_found() -> None:
    rng = np.random.default_rng(22)
    values = rng.standard_normal((10_000, 1))
    reference = numeric_reference(values, _times(10_000, START))
    decider = Decider(reference, DeciderConfig(BUDGET, 0.2))
    for junk, term in ((np.nan, "null"), (-999.0, "unseen")):
        live = rng.standard_normal((5000, 1))
        live[3000:][rng.random(2000) < 0.03] = junk
        rows, verdict = alarms(decider, reference, slot_matrix(reference, live), _times(5000), PANE, first_only=True)[0]
        assert 0 < rows - 3000 < 800
        assert verdict.carriers[0].term == term


def test_a_change_within_the_tolerance_is_none() -> None:
    rng = np.random.default_rng(5)
    reference = _stationary(5, 0.0, rng)
    live = autoregressive(60_000, 5, 0.0, rng) + 0.15
    slots = slot_matrix(reference, live)
    assert alarms(Decider(reference, DeciderConfig(BUDGET, 0.2)), reference, slots, _times(60_000), PANE) == []
    assert alarms(Decider(reference, DeciderConfig(BUDGET, 0.05)), reference, slots, _times(60_000), PANE)


def test_a_small_reference_widens_the_tolerance_by_its_own_error() -> None:
    rng = np.random.default_rng(6)
    tolerances = []
    for rows in (500, 50_000):
        reference = _stationary(1, 0.0, rng, rows)
        effects = Decider(reference, DeciderConfig(BUDGET, 0.01)).effects("features", np.zeros(70, np.int64), 1.0)
        tolerances.append(effects[0].tolerance)
    # ten times the rows' root: only V keeps it from being exactly ten
    assert 5 < tolerances[0] / tolerances[1] < 15


def test_quiet_time_alone_never_alarms(independent: tuple[Reference, Decider]) -> None:
    reference, decider = independent
    counts = np.zeros(sum(c.slots for c in reference.columns), np.int64)
    state = decider.start()
    for hour in range(200):
        state = decider.step(state, "features", counts, LIVE + hour * HOUR_MS, 1.0)
    verdict = decider.verdict(state)
    assert verdict.evidence == pytest.approx(200)  # hours: the start mass, far above the budget of 28
    assert verdict.evidence > verdict.budget
    assert not verdict.crossed
    assert pytest.approx(np.log(20)) == GATE


def test_the_sum_of_evidence_grows_no_faster_than_the_clock_while_nothing_is_wrong() -> None:
    # The martingale behind the budget: mean of sum R at a fixed time is at most the hours passed.
    rng = np.random.default_rng(7)
    reference = _stationary(1, 0.0, rng, 20_000)
    decider = Decider(reference, DeciderConfig(1e9, 0.05))
    evidence = []
    for _ in range(200):
        state = decider.start()
        slots = slot_matrix(reference, rng.standard_normal((400, 1)))
        for pane in range(20):
            counts = np.bincount(slots[pane * 20 : pane * 20 + 20].ravel(), minlength=70)
            state = decider.step(state, "features", counts, LIVE + pane * PANE, PANE / HOUR_MS)
        evidence.append(decider.verdict(state).evidence)
    hours = 400 / 3600
    assert 0 < np.mean(evidence) < 1.1 * hours


PANES = st.lists(st.lists(st.integers(0, 50), min_size=21, max_size=21), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def small() -> tuple[Reference, Decider]:
    """A numeric column of 8 bins and a categorical one of 3 values: 14 + 7 slots."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal(5000)
    numeric = numeric_column("x", x, 8)
    slots = _categories(rng, SHARES, 5000)
    categorical = categorical_column("c", slots, ["a", "b", "c"])
    reference = reference_of([numeric, categorical], [numeric_slots(numeric, x), slots], _times(5000, START))
    return reference, Decider(reference, DeciderConfig(100.0, 0.05))


def _walk(decider: Decider, state: DeciderState, panes: list[list[int]], width: int) -> list[DeciderState]:
    states = []
    for i, pane in enumerate(panes):
        state = decider.step(state, "features", np.array(pane[:width], np.int64), LIVE + i * HOUR_MS, 1.0)
        states.append(state)
    return states


@given(PANES, st.integers(0, 8))
@settings(max_examples=50)
def test_a_state_that_was_encoded_and_decoded_gives_the_same_verdicts_ever_after(
    small: tuple[Reference, Decider], panes: list[list[int]], cut: int
) -> None:
    reference, decider = small
    width = sum(c.slots for c in reference.columns)
    straight = _walk(decider, decider.start(), panes, width)
    middle = _walk(decider, decider.start(), panes[:cut], width)[-1] if panes[:cut] else decider.start()
    # A fresh Decider, as after a restart.
    other = Decider(reference, DeciderConfig(100.0, 0.05))
    resumed = other.decode(middle.encode())
    for i, pane in enumerate(panes[cut:], start=cut):
        resumed = other.step(resumed, "features", np.array(pane[:width], np.int64), LIVE + i * HOUR_MS, 1.0)
        assert resumed.encode() == straight[i].encode()
        assert other.verdict(resumed) == decider.verdict(straight[i])


@given(PANES)
@settings(max_examples=50)
def test_the_order_of_columns_does_not_change_the_evidence(small: tuple[Reference, Decider], panes: list[list[int]]) -> None:
    reference, decider = small
    first, second = (c.slots for c in reference.columns)
    turned_reference = msgspec.structs.replace(reference, columns=reference.columns[::-1])
    turned = Decider(turned_reference, DeciderConfig(100.0, 0.05))
    one = decider.verdict(_walk(decider, decider.start(), panes, first + second)[-1])
    swapped = [pane[first : first + second] + pane[:first] for pane in panes]
    two = turned.verdict(_walk(turned, turned.start(), swapped, first + second)[-1])
    assert two.evidence == pytest.approx(one.evidence, rel=1e-9)
    assert two.crossed == one.crossed
    assert {(c.column, c.term): round(c.share, 6) for c in two.carriers} == {(c.column, c.term): round(c.share, 6) for c in one.carriers}


@given(
    st.lists(st.lists(st.integers(-(2**62), 2**62), min_size=21, max_size=21), min_size=1, max_size=6),
    st.floats(1e-9, 1e9),
)
@settings(max_examples=50)
def test_no_counts_make_the_evidence_anything_but_a_finite_number(small: tuple[Reference, Decider], panes: list[list[int]], hours: float) -> None:
    _, decider = small
    state = decider.start()
    for i, pane in enumerate(panes):
        state = decider.step(state, "features", np.array(pane, np.int64), LIVE + i, hours)
        verdict = decider.verdict(decider.decode(state.encode()))
        assert np.isfinite(verdict.evidence)
        assert verdict.evidence >= 0
        effects = decider.effects("features", np.array(pane, np.int64), hours)
        assert all(np.isfinite(e.effect) for e in effects)


def test_a_flood_of_junk_does_not_make_it_deaf(independent: tuple[Reference, Decider]) -> None:
    reference, decider = independent
    width = sum(c.slots for c in reference.columns)
    state = decider.step(decider.start(), "features", np.zeros(width, np.int64), LIVE, 1 / 180)
    calm = slot_matrix(reference, autoregressive(4000, 10, 0.0, np.random.default_rng(9)))
    for i in range(200):
        state = decider.step(
            state,
            "features",
            np.bincount(calm[i * 20 : i * 20 + 20].ravel(), minlength=width),
            LIVE + i * PANE,
            1 / 180,
        )
    assert not decider.verdict(state).crossed
    shifted = np.bincount(slot_matrix(reference, np.full((200, 10), 2.0)).ravel(), minlength=width)
    assert decider.verdict(decider.step(state, "features", shifted, LIVE + 201 * PANE, 1 / 180)).crossed


def test_a_state_of_another_table_or_with_impossible_numbers_is_refused(small: tuple[Reference, Decider]) -> None:
    reference, decider = small
    raw = decider.start().encode()
    for other in (DeciderConfig(100.0, 0.06), DeciderConfig(99.0, 0.05), DeciderConfig(100.0, 0.05, {"x": 1.0})):
        with pytest.raises(ValueError, match="another reference"):
            Decider(reference, other).decode(raw)
    with pytest.raises(ValueError, match="not the state"):
        decider.decode(b"\x81junk")
    state = decider.start()
    state.features.cusum[0, 0] = np.nan
    with pytest.raises(ValueError, match="no evidence can be"):
        decider.decode(state.encode())


def test_counts_of_the_wrong_width_and_panes_without_length_are_refused(small: tuple[Reference, Decider]) -> None:
    _, decider = small
    with pytest.raises(ValueError, match="shape"):
        decider.step(decider.start(), "features", np.zeros(3, np.int64), LIVE, 1.0)
    for hours in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="hours"):
            decider.step(decider.start(), "features", np.zeros(21, np.int64), LIVE, hours)


def test_uncalibrated_terms_and_columns_of_weight_0_have_effects_and_no_evidence() -> None:
    rng = np.random.default_rng(8)
    steady, trend = rng.standard_normal(10_000), np.linspace(0, 3, 10_000) + rng.standard_normal(10_000)
    reference = numeric_reference(np.stack([steady, trend], axis=1), _times(10_000, START))
    live = np.stack([rng.standard_normal(2000), rng.standard_normal(2000) + 5], axis=1)
    slots = slot_matrix(reference, live)
    width = sum(c.slots for c in reference.columns)
    decider = Decider(reference, DeciderConfig(BUDGET, 0.2))
    assert alarms(decider, reference, slots, _times(2000), PANE) == []
    effect = _effect(decider, np.bincount(slots.ravel(), minlength=width), "f1")
    assert effect.effect > 1
    assert not effect.calibrated

    live[:, 0] += 1
    slots = slot_matrix(reference, live)
    assert alarms(decider, reference, slots, _times(2000), PANE)
    assert alarms(Decider(reference, DeciderConfig(BUDGET, 0.2, weights={"f0": 0.0})), reference, slots, _times(2000), PANE) == []


def _effect(decider: Decider, counts: Counts, column: str, term: str = "location", hours: float = 1.0) -> TermEffect:
    return next(e for e in decider.effects("features", counts, hours) if (e.column, e.term) == (column, term))


def test_the_interval_of_an_effect_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(13)
    big = numeric_reference(rng.standard_normal((100_000, 1)), _times(100_000, START))
    decider = Decider(big, DeciderConfig(BUDGET, 0.2))
    # E phi of a shift of .5: sqrt(12) (P(X + .5 > Y) - 1/2) = sqrt(12) (Phi(.5 / sqrt 2) - 1/2)
    truth = 0.4785
    hits = 0
    for _ in range(300):
        counts = np.bincount(slot_matrix(big, rng.standard_normal((500, 1)) + 0.5).ravel(), minlength=70)
        effect = _effect(decider, counts, "f0", hours=500 / 3600)
        assert effect.direction == "up"
        hits += effect.low < truth < effect.high
    assert 0.93 < hits / 300 <= 1  # at least 95 % less three standard errors; wider than needed by V's upper limit


def test_beyond_and_within_speak_of_the_whole_interval() -> None:
    def effect(low: float, high: float) -> TermEffect:
        return TermEffect("features", "x", "location", (low + high) / 2, low, high, 0.2, 100, calibrated=True, direction="up")

    table = [
        ((0.3, 0.5), True, False),
        ((-0.5, -0.3), True, False),
        ((0.1, 0.3), False, False),
        ((-0.1, 0.1), False, True),
    ]
    assert [(effect(*interval).beyond, effect(*interval).within) for interval, _, _ in table] == [(b, w) for _, b, w in table]


def test_without_rows_nothing_is_known(small: tuple[Reference, Decider]) -> None:
    _, decider = small
    effects = decider.effects("features", np.zeros(21, np.int64), 1.0)
    assert all(e.effect == 0 and e.low == -np.inf and e.high == np.inf and not e.beyond and not e.within for e in effects)


def test_a_model_without_columns_is_quiet() -> None:
    empty = Reference(
        model="m",
        version="1",
        effective_from=0,
        origin="built",
        task="regression",
        columns=(),
        rows=0,
        span_start=0,
        span_end=0,
    )
    decider = Decider(empty, DeciderConfig(720.0))
    state = decider.step(decider.start(), "features", np.zeros(0, np.int64), LIVE, 1.0)
    verdict = decider.verdict(state)
    assert (verdict.evidence, verdict.crossed, verdict.carriers, verdict.onset) == (0.0, False, (), None)
    assert decider.effects("outcomes", np.zeros(0, np.int64), 1.0) == ()
