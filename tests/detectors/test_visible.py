from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from tests.detectors.made import START, Counts, autoregressive, numeric_column, numeric_slots

from driftline.contracts.reference import NumericColumn, Reference, seal
from driftline.contracts.times import HOUR_MS
from driftline.detectors.calibration import calibrate
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.moments import moments_of
from driftline.detectors.terms import term_tables
from driftline.detectors.visible import Watch

N, RATE, BUDGET = 20_000, 100, 720.0
#: Panes within the time that is told, streams, and how many times as long they go on at the most.
STEPS, SEEDS, MOST = 24, 25, 5


def reference(rho: float = 0.0) -> Reference:
    values = autoregressive(N, 1, rho, np.random.default_rng(1))[:, 0]
    times = START + np.arange(N) * (HOUR_MS // RATE)
    column = numeric_column("x", values)
    terms = calibrate(column, numeric_slots(column, values), times)
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


@pytest.mark.parametrize(
    ("term", "up", "within", "rate"),
    [
        ("location", True, 24.0, 100),
        ("location", False, 24.0, 100),
        ("scale", True, 24.0, 100),
        ("location", True, 1.0, 2_400),
        ("location", False, 168.0, 20),
    ],
)
def test_the_smallest_visible_shift_alarms_when_it_says(term: str, up: bool, within: float, rate: int) -> None:
    """The formula against the decider itself, on streams that are shifted by just so much."""
    made = reference()
    watch = watch_of(made, term)
    effect = watch.smallest(within, rate, up=up)
    assert effect is not None
    assert abs(watch.hours_for(effect, rate) - within) < 0.1
    sign = 1 if up else -1
    s = next(s for s in np.linspace(0, 5, 50_001)[1:] * sign if abs(watch.effect_of(s)) >= abs(effect))
    slots = moments_of(made.columns[0]).phi.shape[1]
    counted = np.flatnonzero(moments_of(made.columns[0]).base[moments_of(made.columns[0]).terms.index(term)])

    def drawn(rng: np.random.Generator) -> Iterator[Counts]:
        while True:
            counts = np.zeros(slots, np.int64)
            counts[counted] = rng.multinomial(round(rate * within / STEPS), watch.tilt(s))
            yield counts

    assert 17 / 24 <= alarmed_after(made, drawn, within) / within <= 31 / 24


def test_it_does_so_where_neighbours_are_alike_too() -> None:
    made, within = reference(0.5), 24.0
    watch, column = watch_of(made, "location"), made.columns[0]
    assert isinstance(column, NumericColumn)
    assert watch.variance.max() > 0
    effect = watch.smallest(within, RATE, up=True)
    assert effect is not None
    phi, rows = moments_of(column).phi[0], autoregressive(200_000, 1, 0.5, np.random.default_rng(2))[:, 0]
    shift = brentq(lambda by: float(phi[numeric_slots(column, rows + by)].mean()) - effect, 0, 5)
    n = round(RATE * within / STEPS)

    def drawn(rng: np.random.Generator) -> Iterator[Counts]:
        values = autoregressive(n * MOST * STEPS, 1, 0.5, rng)[:, 0] + shift
        for first in range(0, len(values), n):
            yield np.bincount(numeric_slots(column, values[first : first + n]), minlength=column.slots)

    assert 17 / 24 <= alarmed_after(made, drawn, within) / within <= 31 / 24


def alarmed_after(made: Reference, drawn: Callable[[np.random.Generator], Iterator[Counts]], within: float) -> float:
    """Return the median of the hours until the decider alarms, over streams of panes of ``within / STEPS`` hours."""
    decider, each, hours = Decider(made, DeciderConfig(BUDGET)), within / STEPS, []
    for seed in range(SEEDS):
        state = decider.start()
        for step, counts in enumerate(islice(drawn(np.random.default_rng(seed)), MOST * STEPS), 1):
            state = decider.step(state, "features", counts, START + round(step * each * HOUR_MS), each)
            if decider.verdict(state).crossed:
                break
        hours.append(step * each)
    return float(np.median(hours))


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
