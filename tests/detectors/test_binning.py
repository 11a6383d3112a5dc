from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.detectors.strategies import categorical_columns, finite, hostile, numeric_columns

from driftline.contracts.reference import CategoricalColumn, GridColumn, NumericColumn
from driftline.detectors.binning import Z2_SCALE, Z_MOST, Z_SCALE, CategorySlots, fixed_point, numbers_of, slots_of
from driftline.detectors.values import MISSING, binary_label, canonical_text, finite_number

UNIT = NumericColumn(name="x", role="feature", edges=(0.0, 1.0, 2.0), center=1.0, scale=0.5, counts=(1,) * 8)


def _numeric_slot(column: NumericColumn, value: object) -> int:
    """The contract's words, one value at a time."""
    bins = len(column.edges)
    if value is None or value is MISSING:
        return bins + 1
    if not isinstance(value, int | float):
        return bins + 4
    if isinstance(value, float) and math.isnan(value):
        return bins + 2
    number = finite_number(value)
    if number is None:
        return bins + 3
    if bins and number == column.edges[-1]:
        return bins - 1
    return bisect_right(column.edges, number)


def _categorical_slot(column: CategoricalColumn, value: object) -> int:
    other, unseen, null, wrong = range(len(column.values), len(column.values) + 4)
    if value is None or value is MISSING:
        return null
    text = canonical_text(value)
    if text is None:
        return wrong
    if text in column.values:
        return column.values.index(text)
    return other if text in column.other_values else unseen


@given(numeric_columns(), st.lists(hostile, max_size=20))
@example(UNIT, [2.0, True, None, MISSING, float("nan"), float("-inf"), 10**400, "1", [], {}])
@example(UNIT, [1.0, None])
def test_every_value_lands_in_the_one_numeric_slot_that_the_contract_names(column: NumericColumn, values: list[object]) -> None:
    assert slots_of(column, values).tolist() == [_numeric_slot(column, value) for value in values]
    assert all(0 <= slot < column.slots for slot in slots_of(column, values))


@given(categorical_columns(), st.lists(hostile, max_size=20))
@example(CategoricalColumn(name="c", role="feature", values=("1", "a"), other_values=("0",), counts=(1,) * 6), [True, 1, 1.0, "1", -0.0, [1]])
def test_every_value_lands_in_the_one_categorical_slot_that_the_contract_names(column: CategoricalColumn, values: list[object]) -> None:
    assert slots_of(column, values).tolist() == [_categorical_slot(column, value) for value in values]


@given(categorical_columns(), st.lists(hostile, max_size=20))
def test_what_was_binned_before_does_not_change_where_a_category_goes(column: CategoricalColumn, values: list[object]) -> None:
    kept = CategorySlots(column)
    first = kept.slots(values).tolist()
    assert kept.slots(values).tolist() == first
    assert kept.slots(list(reversed(values))).tolist() == first[::-1]


def test_a_category_column_does_not_remember_what_strangers_send() -> None:
    kept = CategorySlots(CategoricalColumn(name="c", role="feature", values=("a",), counts=(1,) * 5))
    kept.slots([f"id-{i}" for i in range(20_000)])
    kept.slots([i + 0.5 for i in range(20_000)])
    assert len(kept._lookup) < 5_000


@given(st.lists(st.floats(-10, 10), min_size=1), st.lists(st.floats(-10, 10), min_size=2, max_size=9, unique_by=lambda x: x + 0.0))
def test_bins_hold_what_numpy_histogram_counts(values: list[float], edges: list[float]) -> None:
    edges = sorted(edges)
    column = NumericColumn(name="x", role="feature", edges=tuple(edges), center=0.0, scale=1.0, counts=())
    counts = np.bincount(slots_of(column, values), minlength=column.slots)
    assert counts[1 : len(edges)].tolist() == np.histogram(values, edges)[0].tolist()
    assert counts[0] == sum(v < edges[0] for v in values)
    assert counts[len(edges)] == sum(v > edges[-1] for v in values)


@given(numeric_columns(), st.lists(st.floats(), max_size=20))
def test_an_array_is_binned_as_the_list_of_its_values(column: NumericColumn, values: list[float]) -> None:
    array = np.array(values, np.float64)
    assert slots_of(column, array).tolist() == slots_of(column, values).tolist()
    assert [part.tolist() for part in fixed_point(column, array)] == [part.tolist() for part in fixed_point(column, values)]


@given(categorical_columns(), st.lists(st.floats(), max_size=20))
def test_an_array_of_numbers_in_a_category_is_binned_as_the_list_of_its_values(column: CategoricalColumn, values: list[float]) -> None:
    assert slots_of(column, np.array(values, np.float64)).tolist() == slots_of(column, values).tolist()


@given(numeric_columns(), st.lists(hostile, max_size=20))
def test_fixed_point_is_what_each_row_alone_gives_and_never_beyond_the_clip(column: NumericColumn, values: list[object]) -> None:
    first, second = fixed_point(column, values)
    alone = [fixed_point(column, [value]) for value in values]
    assert first.tolist() == [int(a[0]) for a, _ in alone]
    assert second.tolist() == [int(b[0]) for _, b in alone]
    assert all(abs(z) <= Z_MOST * Z_SCALE for z in first.tolist())
    assert all(0 <= square <= Z_MOST**2 * Z2_SCALE for square in second.tolist())


@given(st.lists(st.floats(-1e6, 1e6), max_size=20))
def test_fixed_point_rounds_the_clipped_standard_score(values: list[float]) -> None:
    first, second = fixed_point(UNIT, values)
    z = [min(max((value - 1.0) / 0.5, -1000.0), 1000.0) for value in values]
    assert first.tolist() == [round(one * 2**20) for one in z]
    assert second.tolist() == [round(one * one * 2**16) for one in z]


def test_sums_of_a_hundred_million_rows_at_the_clip_fit_an_int64() -> None:
    rows = 10**8
    assert rows * int(Z_MOST) * Z_SCALE < 2**63
    assert rows * int(Z_MOST) ** 2 * Z2_SCALE < 2**63
    assert [int(part[0]) for part in fixed_point(UNIT, [1e308])] == [int(Z_MOST) * Z_SCALE, int(Z_MOST) ** 2 * Z2_SCALE]


@pytest.mark.parametrize("value", [None, MISSING, float("nan"), float("inf"), "1", [1], {}, 10**400])
def test_what_is_no_finite_number_adds_nothing_to_the_sums(value: object) -> None:
    assert [part.tolist() for part in fixed_point(UNIT, [value, 1.5])] == [[0, 2**20], [0, 2**16]]


@given(st.lists(hostile, max_size=20))
def test_numbers_are_always_finite_and_kinds_tell_what_the_rest_was(values: list[object]) -> None:
    numbers, kinds = numbers_of(values)
    assert np.isfinite(numbers).all()
    assert [kind == 0 for kind in kinds] == [finite_number(value) is not None for value in values]


_pairs = st.tuples(st.one_of(st.floats(), finite, hostile), st.one_of(st.sampled_from([0, 1, True, "1", "no", None]), hostile))


@given(st.lists(st.one_of(_pairs, st.none()), max_size=20), st.lists(finite, max_size=6, unique_by=lambda x: x + 0.0))
def test_a_grid_cell_is_the_bin_of_the_score_and_the_label_and_none_without_either(pairs: list[object], edges: Sequence[float]) -> None:
    edges = tuple(sorted(edges))
    grid = GridColumn(name="g", role="outcome", edges=edges, counts=())
    column = NumericColumn(name="g", role="outcome", edges=edges, center=0.0, scale=1.0, counts=())
    for pair, slot in zip(pairs, slots_of(grid, pairs).tolist(), strict=True):
        score, label = pair if isinstance(pair, tuple) else (None, None)
        number, truth = finite_number(score), binary_label(label)
        if number is None or truth is None:
            assert slot == -1
        else:
            assert slot == 2 * _numeric_slot(column, number) + truth
            assert slot < grid.slots
