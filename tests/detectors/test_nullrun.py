from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
from tests.detectors.made import START, autoregressive, numeric_reference

from driftline.contracts.reference import Reference
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.detectors.bootstrap import course_of, plan_of
from driftline.detectors.decider import DeciderConfig
from driftline.detectors.nullrun import NullRun, null_run
from driftline.detectors.reference import build_reference
from driftline.detectors.whole import Whole

N, EACH_S = 20_000, 60
TIMES = START + np.arange(N, dtype=np.int64) * EACH_S * 1000


def run_of(reference: Reference, values: np.ndarray[tuple[int, int], np.dtype[np.float64]], *, seed: int = 0) -> NullRun:
    plan = plan_of(reference.span_start, reference.span_end, 1_800_000, 24.0 * 20)
    assert plan is not None
    courses = [course_of(reference, "features", {f"f{i}": values[:, i] for i in range(values.shape[1])}, TIMES, plan)]
    return null_run(Whole.of(reference, DeciderConfig(24.0, 0.05), ()), courses, plan, seed=seed)


def test_the_budget_is_kept_on_regimes_and_without_tempering_it_is_seen_not_to_be() -> None:
    values = autoregressive(N, 4, 0.95, np.random.default_rng(1))
    reference = numeric_reference(values, TIMES)
    naive = msgspec.structs.replace(reference, terms=tuple(msgspec.structs.replace(t, variance_hours=0.0) for t in reference.terms))

    kept, broken = run_of(reference, values), run_of(naive, values)

    assert kept.kept
    assert kept.false_episodes <= 2 * kept.allowed
    assert not broken.kept
    assert broken.interval[0] > broken.allowed == kept.allowed
    assert (kept.hours, kept.rows, kept.seed) == (480.0, kept.rows, 0)
    assert abs(kept.rate - 3600 / EACH_S) < 1


def test_a_run_is_a_function_of_its_seed() -> None:
    values = autoregressive(N, 1, 0.98, np.random.default_rng(2))
    naive = numeric_reference(values, TIMES)
    naive = msgspec.structs.replace(naive, terms=tuple(msgspec.structs.replace(t, variance_hours=0.0, calibrated=True) for t in naive.terms))

    runs = [run_of(naive, values, seed=seed).false_episodes for seed in (5, 5, 6)]

    assert runs[0] == runs[1]
    assert any(a != b for a, b in pairwise(runs))


def test_a_column_that_is_the_calendar_itself_stays_within_its_budget() -> None:
    """What lies beyond the reference's range is read from its outermost bins: these are of some hours, what lies beyond is of none."""
    times = START + np.arange(N, dtype=np.int64) * 180_000
    values = {"weekday": ((times // DAY_MS + 3) % 7).astype(np.float64), "hour": (times // HOUR_MS % 24).astype(np.float64)}
    reference = build_reference(model="m", version="1", task="regression", effective_from=0, origin="built", times=times, features=values)
    assert {len(t.seasons) for t in reference.terms if t.term == "location"} == {24, 168}
    plan = plan_of(reference.span_start, reference.span_end, HOUR_MS, 24.0 * 60, 168)
    assert plan is not None

    told = null_run(Whole.of(reference, DeciderConfig(24.0, 0.2), ()), [course_of(reference, "features", values, times, plan)], plan, seed=1)

    assert told.kept
    assert told.false_episodes < told.allowed / 4
