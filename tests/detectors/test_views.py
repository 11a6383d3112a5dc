from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detectors.strategies import START, hostile

from driftline.contracts.reference import CategoricalColumn, NumericColumn, View
from driftline.detectors.binning import numbers_of, slots_of
from driftline.detectors.rows import Coded
from driftline.detectors.values import MISSING, binary_label
from driftline.detectors.views import moment_of, viewed

VIEWS: list[View] = ["integer", "length", "age", "hour"]
moments = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | st.integers(START // 1000 - 10**8, START // 1000 + 10**8)
values = st.lists(hostile | moments, min_size=1, max_size=8)


def column(view: View) -> NumericColumn:
    return NumericColumn(name="v", role="feature", edges=(0.0, 1.0, 30.0), center=0.0, scale=1.0, counts=(), view=view)


@settings(deadline=None)
@given(values, st.sampled_from(VIEWS), st.data())
def test_a_row_is_seen_alike_whatever_stands_beside_it_and_in_whatever_form(found: list[object], view: View, data: st.DataObject) -> None:
    times = np.array(data.draw(st.lists(st.integers(START, START + 10**9), min_size=len(found), max_size=len(found))), np.int64)
    codes = np.array(data.draw(st.lists(st.integers(0, len(found) - 1), min_size=len(found), max_size=len(found))), np.int64)
    alone = [numbers_of(viewed(column(view), [found[code]], times[i : i + 1])) for i, code in enumerate(codes)]
    for form in (Coded(found, codes), [found[code] for code in codes]):
        numbers, kinds = numbers_of(viewed(column(view), form, times))
        assert np.isfinite(numbers).all()
        np.testing.assert_array_equal(numbers, np.concatenate([n for n, _ in alone]))
        np.testing.assert_array_equal(kinds, np.concatenate([k for _, k in alone]))
        slots = slots_of(column(view), viewed(column(view), form, times))
        assert ((slots >= 0) & (slots < column(view).slots)).all()


@settings(deadline=None)
@given(st.integers(100_000_000_000, 7_200_000_000_000), st.integers(-(10**6), 10**12))
def test_an_age_is_that_of_the_datetimes_in_whatever_unit(millis: int, later: int) -> None:
    stamped = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)
    at = np.array([millis + later], np.int64)
    for form in (stamped.isoformat(), stamped.isoformat().replace("+00:00", "Z"), stamped.replace(tzinfo=None).isoformat(), millis):
        age, hour = (viewed(column(view), [form], at)[0] for view in ("age", "hour"))
        assert age == pytest.approx(later / 86_400_000, abs=1e-9)
        assert hour == pytest.approx(millis / 3_600_000 % 24, abs=1e-6)
    seconds = millis // 1000
    assert [moment_of(seconds * unit) for unit in (1, 10**3, 10**6, 10**9)] == [seconds * 1000] * 4


@given(st.lists(hostile | st.sampled_from(["true", "FALSE", "0", 1.0, 0]), min_size=1, max_size=8))
def test_a_boolean_column_takes_what_says_true_or_false_and_counts_all_else_as_a_wrong_type(found: list[object]) -> None:
    made = CategoricalColumn(name="b", role="feature", values=("1", "0"), counts=(), view="boolean")
    null, wrong = 4, 5
    there = [v is not None and v is not MISSING for v in found]
    expected = [{1: 0, 0: 1, None: wrong if told else null}[binary_label(v)] for v, told in zip(found, there, strict=True)]
    assert slots_of(made, found).tolist() == expected
    assert slots_of(made, Coded(found, np.arange(len(found)))).tolist() == expected
