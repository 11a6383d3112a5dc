"""The decider as a worker runs it, replayed: the same weights, the same rows of a pane, the same e-values; false alarms of pairs count."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detectors.made import START, numeric_reference

import driftline.detectors
from driftline.contracts.ids import sample_hash
from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import HOUR_MS
from driftline.detectors.bootstrap import Course, Plan, course_of
from driftline.detectors.decider import DeciderConfig
from driftline.detectors.multivariate.course import PairCourse
from driftline.detectors.multivariate.pairs import MOST_ROWS
from driftline.detectors.nullrun import NullRun, null_run
from driftline.detectors.preview import pairs_preview
from driftline.detectors.sample import bottom_k
from driftline.detectors.weights import shares
from driftline.detectors.whole import Whole, most_rows
from driftline.streams.detect.relations import Relations

Floats = npt.NDArray[np.float64]
N, AN_HOUR = 6_000, 20
TIMES = START + np.arange(N, dtype=np.int64) * (HOUR_MS // AN_HOUR)
CONFIG = DeciderConfig(72.0, 0.1)


def values_of(n: int, seed: int, r: float = 0.0) -> Floats:
    values = np.random.default_rng(seed).standard_normal((n, 3))
    values[:, 1] = r * values[:, 0] + np.sqrt(1 - r * r) * values[:, 1]
    return values


def rows_of(values: Floats, times: npt.NDArray[np.int64]) -> list[SampleRow]:
    ids = [f"e{i}" for i in range(len(values))]
    features: list[dict[str, float | int | str | bool | None]] = [{f"f{j}": float(v) for j, v in enumerate(row)} for row in values]
    return [SampleRow(sample_hash(name), name, int(at), "1", held) for name, at, held in zip(ids, times, features, strict=True)]


@pytest.fixture(scope="module")
def whole() -> Whole:
    values = values_of(N, 0)
    found = Whole.of(numeric_reference(values, TIMES), CONFIG, rows_of(values, TIMES)[::3])
    assert found.pairs is not None
    return found


def course(whole: Whole, values: Floats, plan: Plan, *, pairs: bool) -> Course:
    times = TIMES[: len(values)]
    names = {f"f{i}": values[:, i] for i in range(values.shape[1])}
    told = course_of(whole.reference, "features", names, times, plan)
    assert whole.pairs is not None
    scored = whole.pairs.scorer.matrix(names, len(values))
    places = np.array([row.place for row in rows_of(values, times)])
    beside = PairCourse.of(whole.pairs, scored, (times - plan.start) // plan.pane_ms, places, panes=plan.series, most=AN_HOUR)
    return Course(told.kind, told.counts, told.rows, pairs=beside if pairs else None)


def test_it_is_what_detect_runs_with_the_weights_of_all_that_may_alarm(whole: Whole) -> None:
    rows = rows_of(values_of(N, 0), TIMES)[::3]
    own = ModelSettings(alarm_budget="1 per 3d", tolerance=0.1)
    live = Relations(own, lambda _: rows).whole(whole.reference)
    assert live.extras == whole.extras
    assert live.decider.start().encode() == whole.decider.start().encode()
    terms, beside = shares(whole.reference, CONFIG, whole.extras)
    assert sum(terms.values()) + sum(beside.values()) == pytest.approx(1)
    # Three columns and the pairs: a column's weight each.
    assert sum(beside.values()) == pytest.approx(1 / 4)


def test_muted_pairs_are_none_and_rows_are_not_even_read(whole: Whole) -> None:
    def read() -> list[SampleRow]:
        raise AssertionError

    muted = Whole.of(whole.reference, DeciderConfig(72.0, 0.1, weights={"pairs": 0.0}), read)
    assert muted.pairs is None
    assert muted.extras == ()
    state = muted.decider.start()
    assert muted.take(state, np.zeros(0), START, 1.0, 64) is state


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 3))
def test_a_pane_s_rows_are_those_that_its_sample_would_keep(whole: Whole, seed: int, most: int, panes: int) -> None:
    rng = np.random.default_rng(seed)
    values = values_of(60, seed)
    times = np.sort(START + rng.integers(0, panes * HOUR_MS, 60))
    rows = rows_of(values, times)
    at = (times - START) // HOUR_MS
    table = whole.pairs
    assert table is not None
    order = rng.permutation(60)
    scored = table.scorer.matrix({f"f{i}": values[order, i] for i in range(3)}, 60)
    places = np.array([rows[i].place for i in order])
    found = PairCourse.of(table, scored, at[order] - (panes > 2), places, panes=panes - (panes > 2), most=most)
    for pane in range(panes - (panes > 2)):
        kept = bottom_k([row for row, own in zip(rows, at, strict=True) if own == pane + (panes > 2)], most)
        assert found.rows(pane) == len(kept)
        assert found.growth(pane).tobytes() == table.growth(*table.scorer.of_rows(kept)).tobytes()


def test_many_rows_of_a_wide_pane_are_the_sum_of_their_parts(whole: Whole) -> None:
    table, n = whole.pairs, MOST_ROWS * 2 + 7
    assert table is not None
    scored = table.scorer.matrix({f"f{i}": values_of(n, 5)[:, i] for i in range(3)}, n)
    zeros = np.zeros(n, np.int64)
    found = PairCourse.of(table, scored, zeros, np.arange(n), panes=1, most=n)
    assert found.growth(0) == pytest.approx(table.growth(*scored))
    assert {e.column: e.effect for e in found.effects(0, 1)} == pytest.approx({e.column: e.effect for e in table.effects_of(*scored, 1.0)})


def test_the_false_alarms_of_pairs_are_in_the_realised_rate(whole: Whole) -> None:
    """Null data of another relation than the reference's: no column can tell, so what is counted is the pairs'."""
    plan = Plan(HOUR_MS, START, N // AN_HOUR, 600, 1)

    def run(r: float, *, pairs: bool) -> NullRun:
        return null_run(whole, [course(whole, values_of(N, 3, r), plan, pairs=pairs)], plan, seed=1)

    assert run(0.6, pairs=False).false_episodes == 0
    told = run(0.6, pairs=True)
    assert told.false_episodes > told.allowed
    assert not told.kept
    assert run(0.0, pairs=True).kept


def test_what_is_visible_of_a_pair_alarms_within_its_time_and_half_of_it_does_not(whole: Whole) -> None:
    """The closed form against the decider, which reads rows tilted to that effect."""
    table = whole.pairs
    assert table is not None
    told = pairs_preview(whole, rows_of(values_of(N, 0), TIMES)[::3], float(AN_HOUR))
    assert told is not None
    assert (told.watched, told.blind) == (3, 0)
    assert told.weight == pytest.approx(1 / 4)
    assert told.tolerance == sorted(table.tolerance)[1]
    up = told.visible["day"].up
    assert up is not None
    assert told.tolerance < up < (told.visible["hour"].up or np.inf)
    assert told.visible["day"].up_share is None
    left, right = told.pair.split(" x ")

    def hours(effect: float) -> int:
        live = values_of(200 * AN_HOUR, 9)
        i, j = (int(name[1:]) for name in (left, right))
        live[:, j] = effect * live[:, i] + np.sqrt(1 - effect**2) * live[:, j]
        seen = course(whole, live, Plan(HOUR_MS, START, 200, 200, 1), pairs=True)
        assert seen.pairs is not None
        state = whole.decider.start()
        for hour in range(200):
            end = START + (hour + 1) * HOUR_MS
            state = whole.decider.step(state, "features", seen.counts[[hour], :].toarray()[0], end, 1.0)
            state = whole.take(state, seen.pairs.growth(hour), end, 1.0, AN_HOUR)
            verdict = whole.verdict(state)
            if verdict.crossed:
                assert verdict.carriers[0].column == told.pair
                return hour + 1
        return 200

    assert hours(up) == pytest.approx(24, abs=12)
    assert hours(told.tolerance / 2) == 200


def test_a_sample_s_rows_are_bounded_by_the_settings_and_by_what_pairs_look_at() -> None:
    assert most_rows(ModelSettings(sample_rows_per_pane=10)) == 10
    assert most_rows(ModelSettings(sample_rows_per_pane=100_000)) == MOST_ROWS


def test_nothing_but_this_module_builds_a_decider() -> None:
    """What replays or explains one that lacks an extra speaks of other weights than a worker's."""
    package = Path(driftline.detectors.__file__).parents[1]
    built = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "Decider(" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Decider"
    }
    assert built == {"detectors/whole.py"}
