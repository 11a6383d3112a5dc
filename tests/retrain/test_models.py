from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, mean_absolute_error, roc_auc_score, root_mean_squared_error

from driftline.retrain.importance import importance_of
from driftline.retrain.models import Answers, answers, losses, metrics, targets

Floats = npt.NDArray[np.float64]


class Fixed:
    """Answers what it is told."""

    def __init__(self, probabilities: object, classes: tuple[object, ...]) -> None:
        self.probabilities = np.asarray(probabilities, dtype=float)
        self.classes_ = np.array(classes)

    def predict_proba(self, X: object) -> Floats:
        return self.probabilities

    def predict(self, X: object) -> Floats:
        return self.probabilities


scored = st.lists(st.tuples(st.floats(0.001, 0.999), st.booleans()), min_size=4, max_size=60)


@given(scored)
def test_binary_figures_are_scikit_learns(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = np.array([s for s, _ in pairs]), [y for _, y in pairs]
    said = answers(Fixed(np.c_[1 - scores, scores], (0, 1)), "classification", np.empty((len(pairs), 1), dtype=object))
    figures = metrics("classification", said, labels)
    assert figures["log_loss"] == pytest.approx(log_loss(labels, scores, labels=[False, True]))
    assert figures["brier"] == pytest.approx(brier_score_loss(np.array(labels, dtype=int), scores))
    if len(set(labels)) == 2:
        assert figures["auc"] == pytest.approx(roc_auc_score(labels, scores))
    else:
        assert "auc" not in figures


def test_several_classes_cost_the_log_of_the_one_that_came() -> None:
    chances = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    said = answers(Fixed(chances, ("a", "b", "c")), "multiclass", np.empty((2, 1), dtype=object))
    assert said.predictions == ["b", "a"]
    assert said.scores is None
    np.testing.assert_allclose(losses("multiclass", said, ["c", "a"]), -np.log([0.3, 0.6]))


def test_a_class_the_model_never_met_costs_the_most_and_stays_finite() -> None:
    said = Answers(["a", "a"], np.array([[1.0, 0.0], [1.0, 0.0]]), ("a", "b"))
    np.testing.assert_allclose(losses("multiclass", said, ["z", "b"]), [-np.log(1e-6)] * 2)


def test_regression_figures_are_scikit_learns() -> None:
    wanted, said = [1.0, 2.0, 4.0], answers(Fixed([1.5, 2.0, 1.0], ()), "regression", np.empty((3, 1), dtype=object))
    figures = metrics("regression", said, wanted)
    assert figures["rmse"] == pytest.approx(root_mean_squared_error(wanted, [1.5, 2.0, 1.0]))
    assert figures["mae"] == pytest.approx(mean_absolute_error(wanted, [1.5, 2.0, 1.0]))


def test_a_model_that_answers_nan_is_not_fit_for_use() -> None:
    with pytest.raises(ValueError, match="NaN"):
        answers(Fixed([float("nan")], ()), "regression", np.empty((1, 1), dtype=object))


def test_labels_are_matched_to_the_models_own_classes_however_written() -> None:
    values, usable = targets("classification", ["no", "yes"], ["yes", "no", "maybe", 1])
    assert values[usable].tolist() == ["yes", "no"]
    numbers, usable = targets("regression", [], [1, "2", float("nan"), True])
    assert numbers[usable].tolist() == [1.0, 1.0]


def test_importance_names_the_feature_that_the_model_leans_on() -> None:
    class OnlyTheFirst:
        classes_ = np.array([0, 1])

        def predict_proba(self, X: Floats) -> Floats:
            p = 1 / (1 + np.exp(-X[:, 0].astype(float)))
            both: Floats = np.c_[1 - p, p]
            return both

    random = np.random.default_rng(0)
    X = random.normal(size=(500, 3)).astype(object)
    labels = [int(value > 0) for value in X[:, 0]]
    assert importance_of(OnlyTheFirst(), "classification", ("a", "b", "c"), X, labels) == {"a": 1.0, "b": 0.0, "c": 0.0}
    assert importance_of(OnlyTheFirst(), "classification", ("a",), X[:0, :1], []) == {"a": 0.0}
