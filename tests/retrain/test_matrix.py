from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from driftline.retrain.matrix import rows_to_matrix

JUNK: list[object] = [None, True, 0, -1, 10**400, 2.5, float("nan"), float("-inf"), "", "5", "UA", [], [1], {"a": 1}]
HOSTILE = st.sampled_from(JUNK) | st.floats() | st.integers() | st.text(max_size=3)


@given(st.lists(st.fixed_dictionaries({}, optional={"n": HOSTILE, "c": HOSTILE}), max_size=5))
def test_whatever_an_event_holds_a_model_sees_finite_numbers_texts_and_none(rows: list[dict[str, object]]) -> None:
    matrix = rows_to_matrix(rows, {"c": True, "n": False})
    assert matrix.shape == (len(rows), 2)
    assert all(value is None or type(value) is str for value in matrix[:, 0])
    assert all(value is None or (type(value) is float and math.isfinite(value)) for value in matrix[:, 1])


def test_columns_stand_in_the_models_order_not_the_events() -> None:
    assert rows_to_matrix([{"a": 1, "b": 2}], {"b": False, "a": False}).tolist() == [[2.0, 1.0]]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 10**400, "5", [5], {"five": 5}, None])
def test_junk_is_no_number(value: object) -> None:
    assert rows_to_matrix([{"x": value}], {"x": False}).tolist() == [[None]]


def test_one_class_has_one_text_however_it_was_written() -> None:
    rows = [{"x": value} for value in (1, 1.0, True, "1", np.int64(1), np.float64(1), np.bool_(True))]
    assert set(rows_to_matrix(rows, {"x": True})[:, 0]) == {"1"}
    assert set(rows_to_matrix([rows[0], *rows[4:]], {"x": False})[:, 0]) == {1.0}


def test_a_scikit_learn_pipeline_takes_missing_values_and_unseen_categories() -> None:
    columns = {"carrier": True, "hour": False}
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-1)
    model = make_pipeline(
        ColumnTransformer([("carrier", encoder, [0])], remainder="passthrough"),
        HistGradientBoostingClassifier(max_iter=5),
    )
    rows = [{"carrier": "UA" if i % 3 else None, "hour": i % 24 if i % 5 else None} for i in range(200)]
    model.fit(rows_to_matrix(rows, columns), [i % 2 for i in range(200)])
    scores = model.predict_proba(rows_to_matrix([{"carrier": "ZZ"}, {}, {"hour": "late"}], columns))[:, 1]
    assert np.isfinite(scores).all()
