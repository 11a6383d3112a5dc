from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss
from tests.detectors.strategies import hostile

from driftline.contracts.reference import Task
from driftline.detectors.outcomes import COLUMNS, outcome_columns
from driftline.detectors.values import binary_label, canonical_text

TASKS: tuple[Task, ...] = ("classification", "multiclass", "regression")


def test_columns_of_binary_outcomes_average_to_scikit_learns_metrics() -> None:
    rng = np.random.default_rng(1)
    scores = np.clip(rng.beta(2, 3, 2_000), 1e-6, 1 - 1e-6)
    labels = (rng.random(2_000) < scores).astype(int)
    columns = outcome_columns("classification", [None] * 2_000, scores.tolist(), labels.tolist())
    assert np.mean(np.array(columns["loss"], float)) == pytest.approx(log_loss(labels, scores), rel=1e-12)
    assert np.mean(np.array(columns["brier"], float)) == pytest.approx(brier_score_loss(labels, scores), rel=1e-12)
    assert columns["error"].count("0") / 2_000 == accuracy_score(labels, scores >= 0.5)


@pytest.mark.parametrize("task", TASKS)
@given(hostile, hostile, hostile)
def test_no_hostile_outcome_fails_and_each_has_all_columns(task: Task, prediction: object, score: object, label: object) -> None:
    columns = outcome_columns(task, [prediction], [score], [label])
    assert tuple(columns) == COLUMNS[task]
    assert all(len(values) == 1 for values in columns.values())
    for value in (columns[name][0] for name in columns if name in ("loss", "brier", "absolute_error")):
        assert value is None or (isinstance(value, float) and value >= 0)


@given(
    st.lists(
        st.tuples(st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.5, 5e-7, 1 - 1e-9]), st.sampled_from([0, 1, True, False, 0.0, 1.0])), min_size=1
    ),
    st.tuples(hostile, hostile),
)
def test_what_is_said_of_an_outcome_does_not_depend_on_those_beside_it(plain: list[tuple[float, float]], odd: tuple[object, object]) -> None:
    """Plain rows have a faster way: the same to the last bit, or a crash that cuts batches elsewhere would change the sums."""
    scores, labels = [score for score, _ in plain], [label for _, label in plain]
    alone = outcome_columns("classification", [None] * len(plain), scores, labels)
    beside = outcome_columns("classification", [None] * (len(plain) + 2), [*scores, odd[0], None], [*labels, odd[1], None])
    assert {name: values[:-2] for name, values in beside.items()} == alone
    assert [type(cell) for values in beside.values() for cell in values[:-2]] == [type(cell) for values in alone.values() for cell in values]


def test_one_sure_mistake_costs_what_the_clip_says_and_not_infinity() -> None:
    assert outcome_columns("classification", [None], [0.0], [1])["loss"] == [pytest.approx(-math.log(1e-6))]


@pytest.mark.parametrize("score", [None, float("nan"), 1.7, -0.1, "0.9"])
def test_without_a_probability_the_prediction_itself_is_judged(score: object) -> None:
    columns = outcome_columns("classification", [1.0, 0.0, True, "1", None], [score] * 5, [1] * 5)
    assert columns["error"] == ["0", "1", "0", "0", None]
    assert columns["loss"] == columns["brier"] == columns["score_by_label"] == [None] * 5


def test_classes_are_compared_by_their_canonical_text() -> None:
    columns = outcome_columns("multiclass", ["UA", 1.0, 2, True, None], [None] * 5, ["UA", 1, "2", "x", "x"])
    assert columns["error"] == ["0", "0", "0", "1", None]
    assert columns["label"] == ["UA", "1", "2", "x", "x"]


def test_the_square_of_a_monstrous_error_is_infinite_and_nothing_fails() -> None:
    columns = outcome_columns("regression", [1e308, 3.0], [None] * 2, [-1e308, 1.0])
    assert columns["loss"] == [math.inf, 4.0]
    assert columns["error"] == [math.inf, 2.0]
    assert columns["absolute_error"] == [math.inf, 2.0]


@given(hostile)
def test_a_label_is_one_nought_or_neither_and_numbers_agree_with_their_text(value: object) -> None:
    assert binary_label(value) in (0, 1, None)
    if isinstance(value, int | float):
        assert binary_label(value) == binary_label(canonical_text(value))


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_a_category_is_the_same_as_text_integer_or_float(number: int) -> None:
    assert canonical_text(number) == canonical_text(float(number)) == canonical_text(str(number)) == str(number)
