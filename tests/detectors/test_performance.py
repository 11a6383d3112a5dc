from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, mean_absolute_error, mean_squared_error, roc_auc_score
from tests.detectors.strategies import PANE, START, binary_outcomes, outcomes, regression_outcomes, sealed

from driftline.contracts.findings import Performance
from driftline.contracts.reference import CategoricalColumn, GridColumn, NumericColumn, Reference, Task
from driftline.detectors.binning import slots_of
from driftline.detectors.layout import layout_of
from driftline.detectors.outcomes import Outcome
from driftline.detectors.pane import Pane
from driftline.detectors.parts import outcome_parts
from driftline.detectors.performance import auc_bin_error, ece_bin_error, performance_of

Floats = npt.NDArray[np.float64]
BINARY = sealed([], binary_outcomes())
REGRESSION = sealed([], regression_outcomes(), "regression")


def _outcome(i: int, score: float | None, label: float | str, prediction: float | None = None, version: str = "1") -> Outcome:
    return Outcome(
        event_id=f"event-{i}", model="made", version=version, event_time=START, prediction=prediction, score=score, label=label, label_time=START
    )


def _pane(reference: Reference, found: list[Outcome], taken_back: list[Outcome] | None = None) -> Pane:
    pane = Pane(layout_of(reference, "outcomes"))
    for part in outcome_parts(lambda _: (reference, False), [*((None, o) for o in found), *((o, None) for o in taken_back or [])], PANE):
        pane.add(part)
    return pane


def _performance(reference: Reference, found: list[Outcome], taken_back: list[Outcome] | None = None) -> Performance:
    return performance_of(reference.task, layout_of(reference, "outcomes"), _pane(reference, found, taken_back), reference)


def _binary(scores: list[float], labels: list[int], reference: Reference = BINARY) -> Performance:
    return _performance(reference, [_outcome(i, s, y) for i, (s, y) in enumerate(zip(scores, labels, strict=True))])


scored = st.lists(st.tuples(st.floats(0.01, 0.99), st.integers(0, 1)), min_size=2, max_size=60)


@given(scored)
def test_binary_metrics_are_scikit_learns_to_the_fixed_point(found: list[tuple[float, int]]) -> None:
    scores, labels = [s for s, _ in found], [y for _, y in found]
    told = _binary(scores, labels)
    assert told.n == len(found)
    # Half a unit of the fixed point, in the scale of the column.
    assert told.metrics["log_loss"] == pytest.approx(log_loss(labels, scores, labels=[0, 1]), abs=0.5 * 2**-21)
    assert told.metrics["brier"] == pytest.approx(brier_score_loss(labels, scores), abs=0.2 * 2**-21)
    assert told.metrics["accuracy"] == accuracy_score(labels, np.array(scores) >= 0.5)


@given(scored, st.lists(st.floats(0.01, 0.99), min_size=1, max_size=12, unique=True))
def test_auc_is_scikit_learns_within_half_the_share_of_pairs_that_share_a_bin(found: list[tuple[float, int]], edges: list[float]) -> None:
    assume(0 < sum(y for _, y in found) < len(found))
    scores, labels = [s for s, _ in found], [y for _, y in found]
    reference = sealed([], binary_outcomes(tuple(sorted(edges))))
    told = _binary(scores, labels, reference)
    grid = reference.outcomes[-1]
    assert isinstance(grid, GridColumn)
    slots = slots_of(grid, list(zip(scores, labels, strict=True)))
    bound = auc_bin_error(np.bincount(slots, minlength=grid.slots))
    assert abs(told.metrics["auc"] - roc_auc_score(labels, scores)) <= bound + 1e-12
    assert told.low["auc"] <= told.metrics["auc"] <= told.high["auc"]


def test_the_bound_on_auc_is_met_where_a_bin_hides_the_whole_order() -> None:
    told = _binary([0.1, 0.2], [0, 1], sealed([], binary_outcomes((0.0, 1.0))))
    assert told.metrics["auc"] == 0.5
    assert auc_bin_error(np.array([0, 0, 1, 1, 0, 0])) == 0.5 == abs(told.metrics["auc"] - roc_auc_score([0, 1], [0.1, 0.2]))


def test_auc_over_64_quantile_bins_is_close_to_the_raw_one() -> None:
    rng = np.random.default_rng(3)
    scores = rng.beta(1, 4, 20_000)
    labels = (rng.random(20_000) < scores).astype(int)
    grid = GridColumn(name="g", role="outcome", edges=tuple(np.quantile(scores, np.linspace(0, 1, 65)).tolist()), counts=())
    reference = sealed([], [grid.__class__(name="score_by_label", role="outcome", edges=grid.edges, counts=(0,) * grid.slots)])
    told = _binary(scores.tolist(), labels.tolist(), reference)
    assert told.metrics["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=0.002)
    assert auc_bin_error(_pane(reference, [_outcome(i, s, int(y)) for i, (s, y) in enumerate(zip(scores, labels, strict=True))]).counts) < 0.01


def test_calibration_error_is_the_raw_one_of_the_same_groups_within_half_the_mean_bin_width() -> None:
    rng = np.random.default_rng(5)
    scores = rng.random(5_000)
    labels = (rng.random(5_000) < scores**2).astype(int)
    edges = tuple(i / 20 for i in range(21))
    told = _binary(scores.tolist(), labels.tolist(), sealed([], binary_outcomes(edges)))
    grid = GridColumn(name="g", role="outcome", edges=edges, counts=())
    slots = slots_of(grid, list(zip(scores.tolist(), labels.tolist(), strict=True)))
    rows = np.bincount(slots // 2, minlength=22)
    groups = np.minimum((np.cumsum(rows) - rows / 2) * 10 // 5_000, 9).astype(int)[slots // 2]
    raw = sum(abs((labels - scores)[groups == g].sum()) for g in range(10)) / 5_000
    bound = ece_bin_error(grid, np.bincount(slots, minlength=grid.slots))
    assert bound == pytest.approx(0.025)
    assert abs(told.metrics["ece"] - raw) <= bound
    assert told.low["ece"] <= raw <= told.high["ece"]
    assert raw == pytest.approx(1 / 6, abs=0.02)  # the mean of p - p^2


@given(st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20)), min_size=1, max_size=60))
def test_regression_metrics_are_scikit_learns_to_the_fixed_point(found: list[tuple[float, float]]) -> None:
    said, truth = [p for p, _ in found], [y for _, y in found]
    assume(max(abs(p - y) for p, y in found) ** 2 < 999)
    told = _performance(REGRESSION, [_outcome(i, None, y, p) for i, (p, y) in enumerate(found)])
    assert told.metrics["mae"] == pytest.approx(mean_absolute_error(truth, said), abs=2**-21)
    assert told.metrics["rmse"] ** 2 == pytest.approx(mean_squared_error(truth, said), abs=2**-21)
    assert told.low["rmse"] <= told.metrics["rmse"] <= told.high["rmse"]


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_interval_of_accuracy_is_wilsons(right: int, wrong: int) -> None:
    assume(right + wrong > 0)
    told = _binary([0.9] * (right + wrong), [1] * right + [0] * wrong)
    wilson = binomtest(right, right + wrong).proportion_ci(method="wilson")
    assert told.metrics["accuracy"] == right / (right + wrong)
    assert told.low["accuracy"] == pytest.approx(wilson.low, abs=1e-12)
    assert told.high["accuracy"] == pytest.approx(wilson.high, abs=1e-12)


def test_intervals_of_means_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    hits = {"log_loss": 0, "brier": 0, "auc": 0}
    scores_of_all = rng.beta(2, 2, 400_000)
    labels_of_all = (rng.random(400_000) < scores_of_all).astype(int)
    truth = {
        "log_loss": log_loss(labels_of_all, scores_of_all), "brier": brier_score_loss(labels_of_all, scores_of_all),
        "auc": roc_auc_score(labels_of_all, scores_of_all),
    }  # fmt: skip
    reference = sealed([], binary_outcomes(tuple(i / 100 for i in range(101))))
    for i in range(200):
        part = slice(300 * i, 300 * (i + 1))
        told = _binary(scores_of_all[part].tolist(), labels_of_all[part].tolist(), reference)
        for name in hits:
            hits[name] += told.low[name] <= truth[name] <= told.high[name]
    # 95 % of 200 within four standard errors.
    assert all(178 <= count <= 200 for count in hits.values()), hits


@pytest.mark.parametrize(("known", "accuracy"), [(("0",), 0.75), (("1",), 0.75), (("0", "1"), 0.75)])
def test_accuracy_is_right_where_the_reference_knew_only_right_or_only_wrong_answers(known: tuple[str, ...], accuracy: float) -> None:
    column = CategoricalColumn(name="error", role="outcome", values=known, counts=(1,) * (len(known) + 4))
    assert _binary([0.9, 0.8, 0.7, 0.6], [1, 1, 1, 0], sealed([], [column])).metrics == {"accuracy": accuracy}


@pytest.mark.parametrize("task", ["classification", "multiclass", "regression"])
def test_metrics_without_their_columns_or_without_rows_are_left_out(task: Task) -> None:
    label = NumericColumn(name="label", role="outcome", edges=(0.0, 1.0), center=0.0, scale=1.0, counts=(1,) * 7)
    bare = sealed([], [label], task)
    assert _performance(bare, [_outcome(1, 0.5, 1, 1.0)]).metrics == {}
    whole = sealed([], regression_outcomes() if task == "regression" else binary_outcomes(), task)
    assert _performance(whole, []).metrics == {}
    assert _performance(whole, []).n == 0


def test_metrics_that_need_both_labels_are_left_out_with_one() -> None:
    assert "auc" not in _binary([0.5, 0.6], [1, 1]).metrics


def test_a_correction_that_has_overtaken_what_it_corrects_tells_nothing_yet() -> None:
    told = _performance(BINARY, [_outcome(i, 0.9, 1) for i in range(3)], [_outcome(9, 0.9, 0)])
    assert (told.n, told.metrics) == (2, {})


@pytest.mark.parametrize("reference", [BINARY, REGRESSION])
@given(st.lists(outcomes, max_size=8), st.lists(outcomes, max_size=4))
def test_whatever_the_outcomes_were_metrics_are_finite_and_in_their_ranges(reference: Reference, found: list[Outcome], gone: list[Outcome]) -> None:
    told = _performance(reference, found, gone)
    assert told.metrics.keys() == told.low.keys() == told.high.keys()
    for name, value in told.metrics.items():
        assert np.isfinite([value, told.low[name], told.high[name]]).all()
        assert told.low[name] <= value <= told.high[name]
        assert value >= -1e-6
        assert name not in ("accuracy", "auc", "ece", "brier") or value <= 1 + 1e-6


def test_a_label_that_nobody_can_read_is_seen_as_missing_and_judged_nowhere() -> None:
    pane = _pane(BINARY, [_outcome(1, 0.9, "maybe")])
    layout = layout_of(BINARY, "outcomes")
    assert pane.n == 1
    assert pane.counts[layout.slice_of("score_by_label")].sum() == 0
    assert _performance(BINARY, [_outcome(1, 0.9, "maybe")]).metrics == {}
