from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.detectors.strategies import categorical_columns, hostile, numeric_columns, sealed
from tests.reports.world import reference_of, samples

from driftline.contracts.summaries import SampleRow
from driftline.detectors.sample import kept_features
from driftline.reports.rows import GIVEN, MISSING, MOST_COLUMNS, MOST_NEW_VALUES, MOST_VALUES, OTHER, ReportColumn, shown, table_of


def _columns(before: dict[str, list[object]], now: dict[str, list[object]], *first: str) -> dict[str, ReportColumn]:
    table = table_of(reference_of("m", before), first, samples(before, 0), samples(now, 0))
    return {column.name: column for column in table.columns}


def _row(x: object, c: object) -> SampleRow:
    return SampleRow(0, "a", 0, "1", kept_features({"x": x, "c": c}, {}))


@given(numeric_columns(), categorical_columns(), st.lists(st.tuples(hostile, hostile), max_size=8), st.lists(st.tuples(hostile, hostile), max_size=8))
def test_whatever_was_sampled_becomes_numbers_or_short_texts(
    x: object, c: object, one: list[tuple[object, object]], two: list[tuple[object, object]]
) -> None:
    reference = sealed([x, c])  # type: ignore[list-item]
    table = table_of(reference, (), [_row(*values) for values in one], [_row(*values) for values in two])
    assert len({column.name for column in table.columns}) == len(table.columns)
    for column in table.columns:
        for values, rows in ((column.reference, one), (column.current, two)):
            assert len(values) == len(rows)
            if column.kind == "numeric":
                assert isinstance(values, np.ndarray)
                assert values.dtype == np.float64
                assert not np.isinf(values).any() or not np.isfinite(reference.columns[0].scale * 1000)  # type: ignore[union-attr]
                assert not np.isnan(values).all()
            else:
                assert all(type(value) is str and "<" not in value and len(value) <= 81 for value in values)


def test_a_numeric_column_holds_the_numbers_of_the_rows_and_gaps_for_the_rest() -> None:
    before: dict[str, list[object]] = {"x": [1.0, 2.0, 3.0, None]}
    rows = samples({"x": [4.0, "far", True, None]}, 0)
    found = {column.name: column for column in table_of(reference_of("m", before), (), samples(before, 0), rows).columns}
    expected = {4.0: 4.0, "far": np.nan, True: 1.0, None: np.nan}
    np.testing.assert_array_equal(found["x"].current, [expected[row.features["x"]] for row in rows])
    assert found["x" + GIVEN].current == [{4.0: "yes", "far": "no", True: "yes", None: "no"}[row.features["x"]] for row in rows]


def test_a_column_without_gaps_has_no_second_one() -> None:
    assert "x" + GIVEN not in _columns({"x": [1.0, 2.0]}, {"x": [3.0, 4.0]})


def test_a_feature_that_stopped_coming_is_left_out_and_its_absence_is_shown() -> None:
    before: dict[str, list[object]] = {"x": [1.0, 2.0, 3.0], "y": [1.0, 2.0, 3.0]}
    table = table_of(reference_of("m", before), (), samples(before, 0), samples({"y": [1.0, 2.0, 3.0]}, 0))
    assert "x" in table.left_out
    found = {column.name: column for column in table.columns}
    assert "x" not in found
    assert set(found["x" + GIVEN].reference) == {"yes"}
    assert set(found["x" + GIVEN].current) == {"no"}


def test_a_number_far_out_is_pulled_in_to_a_thousand_scales() -> None:
    before: dict[str, list[object]] = {"x": [float(i) for i in range(100)]}
    reference = reference_of("m", before)
    column = next(c for c in reference.columns if c.name == "x")
    found = {c.name: c for c in table_of(reference, (), samples(before, 0), samples({"x": [1e300] * 3}, 0)).columns}
    assert found["x"].current.tolist() == [column.center + 1000 * column.scale] * 3  # type: ignore[union-attr]


def test_of_a_category_the_frequent_values_and_the_frequent_new_ones_are_told_apart() -> None:
    before: dict[str, list[object]] = {"c": [f"v{i // 3}" for i in range(300)]}
    now: dict[str, list[object]] = {"c": [f"new{i // 2}" for i in range(100)] + [None]}
    found = _columns(before, now)["c"]
    assert set(found.current) - {OTHER, MISSING} <= {f"new{i}" for i in range(50)}
    assert len(set(found.current) - {OTHER, MISSING}) == MOST_NEW_VALUES
    assert len(set(found.reference) - {OTHER}) == MOST_VALUES
    assert MISSING in found.current


def test_the_columns_of_the_episode_come_first_then_the_important_ones_and_what_is_too_much_is_named() -> None:
    before: dict[str, list[object]] = {f"f{i:03d}": [1.0, 2.0] for i in range(MOST_COLUMNS + 10)}
    table = table_of(reference_of("m", before), ["f065", "f003"], samples(before, 0), samples(before, 0))
    assert [column.name for column in table.columns[:3]] == ["f065", "f003", "f000"]
    assert len(table.columns) == MOST_COLUMNS
    assert len(table.left_out) == 11  # ten features, and the prediction


def test_two_names_that_look_alike_stay_two_columns() -> None:
    before: dict[str, list[object]] = {"a\x00": [1.0, 2.0], "a\x01": [3.0, 4.0]}
    assert len([name for name in _columns(before, before) if name.startswith("a")]) == 2


def test_what_is_shown_holds_no_tag_and_no_control_character() -> None:
    assert shown("</script><b>") == "‹/script›‹b›"
    assert shown("a\x00\u2028b") == "a\ufffd\ufffdb"
    assert len(shown("x" * 10_000)) == 81
