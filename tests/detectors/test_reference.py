from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    roc_auc_score,
)
from tests.detectors.made import START

from driftline.contracts.reference import (
    CategoricalColumn,
    GridColumn,
    NumericColumn,
    Reference,
    Task,
    decode_reference,
    encode_reference,
)
from driftline.contracts.times import HOUR_MS
from driftline.detectors.columns import edges_of
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.describe import column_findings
from driftline.detectors.kinds import kind_of
from driftline.detectors.layout import layout_of, reference_counts
from driftline.detectors.reference import build_reference


def _build(features: dict[str, Any], task: Task = "classification", **kwargs: Any) -> Reference:
    n = len(next(iter(features.values())))
    given_times = kwargs.pop("times", np.arange(n) * 60_000 + START)
    return build_reference(
        model="m",
        version="1",
        task=task,
        effective_from=START,
        origin="built",
        times=given_times,
        features=features,
        **kwargs,
    )


def _column(reference: Reference, name: str) -> Any:
    return next(c for c in (*reference.columns, *reference.outcomes) if c.name == name)


def test_numeric_bins_hold_equal_shares_and_every_row_is_counted() -> None:
    x = np.random.default_rng(0).lognormal(size=6400)
    column = _column(_build({"x": x}), "x")
    assert len(column.edges) == 65
    assert sum(column.counts) == 6400
    assert column.counts[0] == column.counts[65] == 0
    assert all(90 <= count <= 110 for count in column.counts[1:65])
    assert column.edges[0] == x.min()
    assert column.edges[-1] == x.max()


def test_a_value_of_half_the_rows_has_a_bin_of_its_own() -> None:
    rng = np.random.default_rng(1)
    x = np.where(rng.random(5000) < 0.5, 0.0, rng.exponential(size=5000))
    column = _column(_build({"x": x}), "x")
    zero = column.edges.index(0.0)
    assert column.edges[zero + 1] == np.nextafter(0, 1)
    assert column.counts[zero + 1] == int((x == 0).sum())


def test_few_values_have_a_bin_each() -> None:
    x = np.random.default_rng(2).integers(0, 7, 1000)
    column = _column(_build({"x": x.tolist()}), "x")
    assert column.counts[1:8] == tuple(np.bincount(x).tolist())


@given(st.lists(st.floats(-1.6e308, 1.6e308), min_size=1, max_size=300), st.integers(2, 64))
def test_edges_are_finite_and_strictly_increase_whatever_the_values(values: list[float], bins: int) -> None:
    edges = np.array(edges_of(np.array(values), bins))
    assert np.all(np.isfinite(edges))
    assert np.all(np.diff(edges) > 0)
    assert edges[0] <= min(values)
    assert edges[-1] >= max(values)
    assert 2 <= len(edges) <= 2 * bins + 2


def test_kinds_are_inferred_one_poison_string_changes_none_and_ignored_features_are_left_out() -> None:
    n = 400
    features = {
        "number": [float(i) for i in range(n)],
        "poisoned": [*range(n - 1), "drop table"],
        "flag": [i % 2 == 0 for i in range(n)],
        "text": ["a", "b"] * (n // 2),
        "mixed": [1, "x"] * (n // 2),
        "empty": [None] * n,
        "told": [1, 2] * (n // 2),
        "gone": ["a"] * n,
    }
    reference = _build(features, kinds={"told": "categorical", "gone": "ignore"})
    found = {c.name: type(c).__name__ for c in reference.columns}
    assert found == {
        "number": "NumericColumn", "poisoned": "NumericColumn", "flag": "CategoricalColumn", "text":
        "CategoricalColumn", "mixed": "CategoricalColumn", "empty": "CategoricalColumn", "told": "CategoricalColumn",
    }  # fmt: skip
    assert _column(reference, "poisoned").counts[-1] == 1  # wrong_type
    assert _column(reference, "told").values == ("1", "2")


HOSTILE = st.one_of(
    st.none(), st.booleans(), st.floats(), st.integers(), st.integers(10**300, 10**320), st.text(max_size=5),
    st.just("x" * 9999), st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
    st.sampled_from([1.7976931348623157e308, -1.7976931348623157e308, 5e-324, -0.0, float("nan"), float("inf")]),
)  # fmt: skip
TIMES = st.one_of(st.integers(START, START + 1000), st.integers(START, START + 10**12))


@given(
    st.lists(st.tuples(TIMES, HOSTILE, HOSTILE, HOSTILE, HOSTILE), min_size=1, max_size=60),
    st.sampled_from(["classification", "multiclass", "regression"]),
)
@settings(max_examples=50, deadline=None)
def test_no_row_whatever_makes_it_fail_or_give_nan(rows: list[tuple[int, Any, Any, Any, Any]], task: Task) -> None:
    times, x, prediction, score, label = zip(*rows, strict=True)
    reference = _build({"x": x}, task, times=np.array(times), predictions=prediction, scores=score, labels=label)
    assert decode_reference(encode_reference(reference)) == reference
    for column in (*reference.columns, *reference.outcomes):
        assert len(column.counts) == column.slots
        if isinstance(column, NumericColumn):
            assert np.isfinite(column.center)
            assert np.isfinite(column.scale)
            assert column.scale > 0
    assert all(np.isfinite(value) for value in reference.performance.values())
    assert all(np.isfinite(t.variance_hours) and t.variance_hours >= 0 for t in (*reference.terms, *reference.outcome_terms))
    decider = Decider(reference, DeciderConfig(720))
    state = decider.start()
    for kind in ("features", "outcomes"):
        counts = reference_counts(layout_of(reference, kind))
        state = decider.step(state, kind, counts, START, 1.0)
        for finding in column_findings(reference, decider, kind, counts, 1.0, min_n=1):
            assert all(value is None or not np.isnan(value) for value in (finding.effect, finding.effect_low))
            assert np.isfinite([part for d in finding.distances.values() for part in (d.value, d.low, d.high, d.chance)]).all()
    assert not decider.verdict(state).crossed


@pytest.mark.parametrize(
    "values",
    [
        [5] * 300,
        [None] * 300,
        ["a"] * 300,
        [True] * 300,
        [float("nan")] * 300,
        [None] * 285 + [1.0] * 15,
        [0.0],
        [1e308] * 300,
    ],
)
def test_degenerate_columns_are_quiet_on_themselves(values: list[object]) -> None:
    reference = _build({"x": values})
    decider = Decider(reference, DeciderConfig(1.0))
    state = decider.start()
    counts = reference_counts(layout_of(reference, "features"))
    for hour in range(5):
        state = decider.step(state, "features", counts, START + hour * HOUR_MS, 1.0)
    assert not decider.verdict(state).crossed
    assert all(f.state != "drift" for f in column_findings(reference, decider, "features", counts, 1.0))


def test_a_column_of_95_percent_nulls_that_fills_up_is_drift() -> None:
    rng = np.random.default_rng(3)

    def values(n: int, nulls: float) -> list[float | None]:
        return [None if rng.random() < nulls else float(rng.standard_normal()) for _ in range(n)]

    reference = _build({"x": values(8000, 0.95)})
    other = _build({"x": values(2000, 0.5)})
    column, live = reference.columns[0], other.columns[0]
    assert isinstance(column, NumericColumn)
    assert isinstance(live, NumericColumn)
    counts = np.zeros(column.slots, np.int64)
    counts[5] = sum(live.counts[:-4])
    counts[-4] = live.counts[-4]
    found = column_findings(reference, Decider(reference, DeciderConfig(720)), "features", counts, 10.0)[0]
    assert found.state == "drift"
    assert found.distances["psi"].value > 0.2


def test_ids_are_unseen_in_their_own_reference_and_therefore_no_drift_later() -> None:
    rng = np.random.default_rng(4)
    # Sessions: an id lives for ten rows in a row and never comes back.
    reference = _build({"id": [f"s{i // 10}" for i in range(5000)], "place": rng.choice(["a", "b", "c"], 5000).tolist()})
    ids = _column(reference, "id")
    assert isinstance(ids, CategoricalColumn)
    assert ids.counts[len(ids.values) + 1] > 4900
    live = [np.zeros(ids.slots, np.int64), np.array(_column(reference, "place").counts)]
    live[0][len(ids.values) + 1] = 5000
    counts = np.concatenate(live)
    decider = Decider(reference, DeciderConfig(720))
    state = decider.step(decider.start(), "features", counts, START, 1.0)
    assert not decider.verdict(state).crossed
    assert sum(_column(reference, "place").counts) == 5000
    assert _column(reference, "place").counts[4] == 0


def test_categories_are_the_most_frequent_ones_and_texts_of_any_length_are_bounded() -> None:
    rng = np.random.default_rng(5)
    values = [f"v{i}" for i in rng.zipf(1.5, 20_000) % 5000]
    values[:10] = ["x" * 100_000] * 10
    reference = _build({"c": values}, max_values=32)
    column = _column(reference, "c")
    assert len(column.values) == 32
    assert column.values[0] == "v1"
    assert len(column.other_values) <= 2000
    assert len(encode_reference(reference)) < 100_000


def test_five_hundred_features_are_built_stepped_and_bounded() -> None:
    rng = np.random.default_rng(6)
    features: dict[str, Any] = {f"f{i}": rng.standard_normal(5000) for i in range(520)}
    started = time.perf_counter()
    reference = _build(features)
    assert time.perf_counter() - started < 60
    assert len(reference.columns) == 500
    decider = Decider(reference, DeciderConfig(720))
    counts = reference_counts(layout_of(reference, "features"))
    state = decider.step(decider.start(), "features", counts, START, 1.0)
    assert not decider.verdict(state).crossed


def _scored(n: int, rng: np.random.Generator) -> tuple[Any, Any]:
    p = np.clip(rng.beta(2, 5, n), 0.001, 0.999)
    return p, (rng.random(n) < p).astype(int)


def test_binary_performance_is_that_of_scikit_learn() -> None:
    p, y = _scored(3000, np.random.default_rng(7))
    p = np.round(p, 2).clip(0.01, 0.99)  # ties
    reference = _build({"x": p}, predictions=(p >= 0.5).astype(int).tolist(), scores=p.tolist(), labels=y.tolist())
    assert reference.performance["auc"] == pytest.approx(roc_auc_score(y, p))
    assert reference.performance["log_loss"] == pytest.approx(log_loss(y, p))
    assert reference.performance["brier"] == pytest.approx(brier_score_loss(y, p))
    assert reference.performance["accuracy"] == pytest.approx(accuracy_score(y, p >= 0.5))
    assert [c.name for c in reference.outcomes] == ["loss", "brier", "error", "label", "score_by_label"]
    grid = _column(reference, "score_by_label")
    assert isinstance(grid, GridColumn)
    assert sum(grid.counts) == 3000
    assert sum(grid.counts[1::2]) == y.sum()
    assert {t.column for t in reference.outcome_terms} == {"loss", "brier", "error", "label"}
    assert [(c.name, c.role) for c in reference.columns] == [
        ("x", "feature"),
        ("prediction", "prediction"),
        ("score", "score"),
    ]


def test_regression_performance_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(8)
    truth = rng.standard_normal(500)
    said = truth + rng.standard_normal(500) * 0.3
    reference = _build({"x": said}, "regression", predictions=said, labels=truth)
    assert reference.performance["mae"] == pytest.approx(mean_absolute_error(truth, said))
    assert reference.performance["rmse"] == pytest.approx(mean_squared_error(truth, said) ** 0.5)
    assert [c.name for c in reference.outcomes] == ["loss", "error", "absolute_error", "label"]


def test_multiclass_performance_is_accuracy() -> None:
    rng = np.random.default_rng(9)
    truth, said = rng.choice(["a", "b", "c"], 300), rng.choice(["a", "b", "c"], 300)
    reference = _build({"x": np.arange(300.0)}, "multiclass", predictions=said.tolist(), labels=truth.tolist())
    assert reference.performance == {"accuracy": pytest.approx(accuracy_score(truth, said))}


def test_only_scored_and_labelled_rows_count_for_the_model_and_its_outcomes() -> None:
    p, y = _scored(1000, np.random.default_rng(10))
    scored = np.arange(1000) >= 600
    labels = [None if i % 2 else int(v) for i, v in enumerate(y)]
    reference = _build({"x": p}, scores=p.tolist(), labels=labels, scored=scored)
    assert reference.rows == 1000
    assert reference.labelled_rows == 200
    assert sum(_column(reference, "score").counts) == 400
    assert sum(_column(reference, "label").counts) == 200
    late = scored & (np.arange(1000) % 2 == 0)
    assert reference.performance["auc"] == pytest.approx(roc_auc_score(y[late], p[late]))


def test_a_feature_of_the_name_of_the_models_own_column_keeps_it() -> None:
    p, _ = _scored(300, np.random.default_rng(11))
    reference = _build({"score": np.arange(300.0)}, scores=p.tolist())
    assert [(c.name, c.role) for c in reference.columns] == [("score", "feature"), ("model.score", "score")]


def test_label_delay_and_importance() -> None:
    reference = _build({"a": [1.0, 2.0], "b": [1.0, 2.0]}, label_delays=list(range(1, 101)), importance={"a": 3.0, "b": 1.0, "c": 5.0})
    assert reference.label_delay_p95 == 96
    assert reference.importance == {"a": 0.75, "b": 0.25}
    assert _build({"a": [1.0, 2.0]}, importance={"a": 0.3}).importance == {"a": 0.3}
    assert _build({"a": [1.0, 2.0]}).label_delay_p95 is None


def test_the_same_rows_give_the_same_reference_in_any_order_of_time() -> None:
    rng = np.random.default_rng(12)
    x, c = rng.standard_normal(1000), rng.choice(["a", "b"], 1000)
    times = np.arange(1000) * 1000 + START
    order = rng.permutation(1000)
    p, y = _scored(1000, rng)
    one = _build({"x": x, "c": c.tolist()}, times=times, scores=p, labels=y)
    two = _build({"x": x[order], "c": c[order].tolist()}, times=times[order], scores=p[order], labels=y[order])
    assert one.reference_id == two.reference_id


def test_no_rows_and_ragged_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="needs rows"):
        _build({"x": []}, times=np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="3 values for 2 rows"):
        _build({"x": [1, 2, 3]}, times=np.array([START, START]))
    with pytest.raises(ValueError, match="1 values for 2 rows"):
        _build({"x": [1, 2]}, scores=[0.5])


def test_truth_values_alone_are_categories_and_numpy_numbers_are_numbers() -> None:
    assert kind_of([True, False, None]) == "boolean"
    assert kind_of(np.array([1.0, np.nan])) == "numeric"


def test_outcomes_and_performance_are_those_of_labels_that_came_in_time() -> None:
    p, y = _scored(1000, np.random.default_rng(13))
    labels = [None if i % 2 else int(v) for i, v in enumerate(y)]
    delays = np.where(np.arange(1000) % 2 == 1, 10**9, np.arange(1000))
    reference = _build({"x": p}, scores=p, labels=labels, label_delays=delays)
    assert reference.label_delay_p95 == 950
    assert reference.labelled_rows == 500
    assert sum(_column(reference, "label").counts) == 476
    in_time = np.arange(0, 952, 2)  # even rows have labels, those up to 950 within the wait
    assert reference.performance["brier"] == pytest.approx(brier_score_loss(y[in_time], p[in_time]))
