"""Hours are UTC's, and twice a year the people behind the events set their clocks: that is no drift."""

from __future__ import annotations

import numpy as np
import pytest
from tests.detectors.made import Counts, Floats

from driftline.contracts.reference import Reference
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.detectors.bootstrap import Plan, course_of
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.reference import build_reference

START = 1_600_000_000_000 // DAY_MS * DAY_MS
#: Nobody is up before six; then comes the rush.
_RATE = np.array([0] * 6 + [60] * 4 + [25] * 10 + [5] * 4)


def _days(first: int, days: int, set_by: int, rng: np.random.Generator) -> tuple[Floats, Counts]:
    """Local hours, and event times in UTC where clocks are ``set_by`` hours ahead of what they were."""
    hours = np.arange(days * 24)
    local = np.repeat(hours, rng.poisson(_RATE[hours % 24]))
    times = START + first * DAY_MS + (local - set_by) * HOUR_MS + rng.integers(0, HOUR_MS, len(local))
    order = np.argsort(times)
    return (local % 24).astype(np.float64)[order], times[order]


def _hours_to_alarm(reference: Reference, set_by: int, days: int) -> int | None:
    values, times = _days(29, days, set_by, np.random.default_rng(2))
    decider, hours = Decider(reference, DeciderConfig(720.0)), days * 24
    start = START + 29 * DAY_MS
    course = course_of(reference, "features", {"hour": values}, times, Plan(HOUR_MS, start, hours, hours, 1), whole=True)
    state = decider.start()
    for hour in range(hours):
        n = course.events_of(hour)
        if n:
            state = decider.step(state, "features", course.counts[[hour], :].toarray()[0], start + (hour + 1) * HOUR_MS, 1.0, n)
            if decider.verdict(state).crossed:
                return hour
    return None


@pytest.fixture(scope="module")
def reference() -> Reference:
    values, times = _days(0, 28, 0, np.random.default_rng(1))
    made = build_reference(
        model="m", version="1", task="regression", effective_from=0, origin="built", times=times, features={"hour": values}, all_events=True
    )
    assert {24} <= {len(t.seasons) for t in made.terms}
    assert Decider(made, DeciderConfig(720.0)).volume is not None
    return made


@pytest.mark.parametrize("set_by", [-1, 0, 1])
def test_clocks_that_are_set_by_an_hour_alarm_nobody(reference: Reference, set_by: int) -> None:
    assert _hours_to_alarm(reference, set_by, 14) is None


def test_a_day_that_begins_five_hours_early_does(reference: Reference) -> None:
    found = _hours_to_alarm(reference, 5, 3)
    assert found is not None
    assert found < 48
