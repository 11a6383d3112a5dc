from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detectors.made import START, numeric_column

from driftline.contracts.reference import Reference, seal
from driftline.contracts.times import HOUR_MS
from driftline.detectors.calibration import calibrate
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.moments import moments_of
from driftline.detectors.terms import term_tables
from driftline.detectors.visible import Watch

N, RATE, BUDGET = 20_000, 100, 720.0


def reference() -> Reference:
    rng = np.random.default_rng(1)
    values = rng.standard_normal(N)
    times = START + np.arange(N) * (HOUR_MS // RATE)
    column = numeric_column("x", values)
    slots = np.searchsorted(np.asarray(column.edges), values, "right").clip(1, len(column.edges) - 1)
    terms = calibrate(column, slots.astype(np.int64), times)
    return seal(
        Reference(
            model="m",
            version="1",
            effective_from=0,
            origin="built",
            task="regression",
            columns=(column,),
            rows=N,
            span_start=int(times[0]),
            span_end=int(times[-1]),
            terms=terms,
        )
    )


def watch_of(made: Reference, term: str) -> Watch:
    return Watch.of(term_tables(made, DeciderConfig(BUDGET))["features"], made.columns[0], term, BUDGET)


@pytest.mark.parametrize(("term", "up"), [("location", True), ("location", False), ("scale", True)])
def test_the_smallest_visible_shift_alarms_when_it_says(term: str, up: bool) -> None:
    """The formula against the decider itself, on streams that are shifted by just so much."""
    made = reference()
    decider, watch = Decider(made, DeciderConfig(BUDGET)), watch_of(made, term)
    effect = watch.smallest(24.0, RATE, up=up)
    assert effect is not None
    assert abs(watch.hours_for(effect, RATE) - 24.0) < 0.1
    sign = 1 if up else -1
    s = next(s for s in np.linspace(0, 5, 50_001)[1:] * sign if abs(watch.effect_of(s)) >= abs(effect))
    slots = moments_of(made.columns[0]).phi.shape[1]
    counted = np.flatnonzero(moments_of(made.columns[0]).base[moments_of(made.columns[0]).terms.index(term)])
    hours = []
    for seed in range(30):
        rng, state = np.random.default_rng(seed), decider.start()
        for hour in range(1, 200):
            counts = np.zeros(slots, np.int64)
            counts[counted] = rng.multinomial(RATE, watch.tilt(s))
            state = decider.step(state, "features", counts, START + hour * HOUR_MS, 1.0)
            if decider.verdict(state).crossed:
                break
        hours.append(hour)
    assert 17 <= np.median(hours) <= 31


@settings(deadline=None)  # the machine has other things to do
@given(within=st.floats(1, 500), rate=st.floats(5, 5_000))
def test_more_time_and_a_larger_shift_are_never_less_visible(within: float, rate: float) -> None:
    watch = WATCH
    small, large = watch.smallest(within * 2, rate, up=True), watch.smallest(within, rate, up=True)
    if large is not None:
        assert small is not None
        assert watch.tolerance < small <= large + 1e-9


def test_what_carries_no_evidence_is_never_visible() -> None:
    blind = replace(WATCH, mass=np.zeros_like(WATCH.mass))
    assert blind.smallest(168.0, RATE, up=True) is None
    assert WATCH.smallest(168.0, 0.0, up=True) is None
    assert WATCH.hours_for(WATCH.tolerance / 2, RATE) == np.inf


WATCH = watch_of(reference(), "location")
