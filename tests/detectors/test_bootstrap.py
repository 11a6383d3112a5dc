from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.detectors.made import START, autoregressive

from driftline.contracts.reference import where_of
from driftline.contracts.settings import ModelSettings
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.detectors.bootstrap import MOST_PANES, course_of, independent_course, plan_of, stationary
from driftline.detectors.layout import layout_of
from driftline.detectors.reference import build_reference
from driftline.detectors.slicing import Slicing


@given(periods=st.integers(1, 30), period=st.integers(1, 24), length=st.integers(0, 400), block=st.floats(0.1, 50), seed=st.integers(0, 99))
def test_what_is_drawn_keeps_its_phase_and_follows_itself_within_blocks(periods: int, period: int, length: int, block: float, seed: int) -> None:
    places = periods * period
    drawn = stationary(places, length, block, np.random.default_rng(seed), period=period)

    assert drawn.shape == (length,)
    assert ((drawn >= 0) & (drawn < places)).all()
    assert (drawn % period == np.arange(length) % period).all()
    if block <= 1 and periods > 1:
        return
    jumps = (np.diff(drawn) % places != 1 % places).sum()
    assert jumps <= max(length, 1) / max(block, 1) + 5 * np.sqrt(max(length, 1)) + 1


def test_every_place_is_drawn_as_often_as_any_other() -> None:
    counts = np.bincount(stationary(48, 200_000, 6.0, np.random.default_rng(3), period=24), minlength=48)

    assert np.abs(counts / counts.mean() - 1).max() < 0.06


@given(days=st.floats(0, 400), pane=st.integers(1_000, 2 * DAY_MS), hours=st.floats(0, 1e6))
def test_a_plan_stays_within_the_reference_and_in_step_with_its_days(days: float, pane: int, hours: float) -> None:
    since = START + 12_345
    plan = plan_of(since, since + round(days * DAY_MS), pane, hours)
    if plan is None:
        return
    assert since <= plan.start
    assert plan.start + plan.series * plan.pane_ms <= since + days * DAY_MS + 1
    assert plan.pane_ms >= pane
    assert 1 <= plan.panes <= MOST_PANES
    assert plan.series % plan.period == 0
    if plan.period > 1:
        assert plan.period * plan.pane_ms in (DAY_MS, 7 * DAY_MS)


def test_a_course_holds_each_row_once_and_columns_without_values_hold_nothing() -> None:
    n = 5_000
    times = START + np.arange(n, dtype=np.int64) * 60_000
    values = autoregressive(n, 2, 0.5, np.random.default_rng(1))
    reference = build_reference(
        model="m", version="1", task="regression", effective_from=0, origin="built", times=times, features={"a": values[:, 0], "b": values[:, 1]}
    )
    plan = plan_of(int(times[0]), int(times[-1]), HOUR_MS, 100.0)
    assert plan is not None

    course = course_of(reference, "features", {"b": values[:, 1]}, times, plan)
    held = np.asarray(course.counts.sum(axis=0)).ravel()
    layout = layout_of(reference, "features")
    inside = (times >= plan.start) & (times < plan.start + plan.series * plan.pane_ms)

    assert held[layout.slice_of("a")].sum() == 0
    assert held[layout.slice_of("b")].sum() == inside.sum() == course.rows
    assert course.counts.shape == (plan.series, layout.slots)
    edges = np.asarray(reference.columns[1].edges)  # type: ignore[union-attr]  # numbers
    assert held[layout.slice_of("b")][1 : len(edges)].tolist() == np.histogram(values[inside, 1], edges)[0].tolist()


def test_independent_rows_have_the_reference_s_shares() -> None:
    n = 4_000
    times = START + np.arange(n, dtype=np.int64) * 60_000
    values = np.random.default_rng(2).standard_normal(n)
    reference = build_reference(model="m", version="1", task="regression", effective_from=0, origin="built", times=times, features={"a": values})

    course = independent_course(reference, "features", 50.0, np.random.default_rng(4), panes=2_000)
    held = np.asarray(course.counts.sum(axis=0)).ravel()

    assert course.rows == held.sum() == pytest.approx(100_000, rel=0.02)
    assert np.abs(held / held.sum() - np.asarray(reference.columns[0].counts) / n).max() < 0.003


def test_a_slice_holds_the_rows_of_its_value_and_nothing_where_that_is_not_known() -> None:
    n = 6_000
    times = START + np.arange(n, dtype=np.int64) * 60_000
    rng = np.random.default_rng(5)
    kinds = rng.choice(["a", "b"], n, p=[0.7, 0.3]).tolist()
    features = {"x": rng.standard_normal(n), "kind": kinds}
    reference = build_reference(
        model="m", version="1", task="regression", effective_from=0, origin="built", times=times, features=features,
        slicing=Slicing.of(ModelSettings(slices={"kind": 2})),
    )  # fmt: skip
    plan = plan_of(int(times[0]), int(times[-1]), HOUR_MS, 100.0)
    assert plan is not None
    sliced = [c.name for c in reference.columns if (where := where_of(c)) is not None and where.column == "x" and where.value == "b"]
    layout = layout_of(reference, "features")

    with_kind, without = (course_of(reference, "features", features, times, plan, slicing=told) for told in (features, {}))

    inside = (times >= plan.start) & (times < plan.start + plan.series * plan.pane_ms)
    assert np.asarray(with_kind.counts.sum(axis=0)).ravel()[layout.slice_of(sliced[0])].sum() == (np.array(kinds)[inside] == "b").sum()
    assert np.asarray(without.counts.sum(axis=0)).ravel()[layout.slice_of(sliced[0])].sum() == 0
