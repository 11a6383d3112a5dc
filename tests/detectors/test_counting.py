from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.detectors.strategies import Row, references, rows, sealed

from driftline.contracts.reference import CategoricalColumn, NumericColumn, Reference
from driftline.detectors.binning import numbers_of
from driftline.detectors.counting import Table
from driftline.detectors.layout import Layout, layout_of
from driftline.detectors.rows import Coded, Held, Numbers, listed, taken

TINY = sealed([NumericColumn(name="x", role="feature", edges=(0.0, 1.0), center=0.0, scale=1.0, counts=(1,) * 7)])


def _values(layout: Layout, block: Sequence[Row]) -> dict[str, Held]:
    columns: dict[str, list[object]] = {"x": [r.x for r in block], "c": [r.c for r in block]}
    columns |= {"prediction": [r.prediction for r in block], "score": [r.score for r in block]}
    return {c.name: columns.get(c.name, [None] * len(block)) for c in layout.columns}


def _agree(table: Table) -> None:
    """What is counted at once is what is counted row by row."""
    slots, numbers = table.slots()
    counts, sums = table.counts()
    assert counts.tolist() == np.bincount(slots[slots >= 0], minlength=table.layout.slots).tolist()
    assert sums.tolist() == numbers.sum(axis=1).tolist()


@given(references(), st.lists(rows, min_size=1, max_size=30))
@example(TINY, [])
def test_rows_are_counted_at_once_as_they_are_one_by_one(reference: Reference, block: list[Row]) -> None:
    layout = layout_of(reference, "features")
    _agree(Table.of(layout, _values(layout, block), len(block)))


@given(references(), st.lists(rows, min_size=1, max_size=30), st.data())
def test_the_form_of_a_column_changes_nothing(reference: Reference, block: list[Row], data: st.DataObject) -> None:
    layout = layout_of(reference, "features")
    plain = _values(layout, block)
    order = np.array(data.draw(st.permutations(range(len(block)))), np.int64)
    back = np.argsort(order)
    held: dict[str, Held] = {}
    for name, values in plain.items():
        shuffled = Coded([listed(values)[i] for i in order.tolist()], back)
        numeric = isinstance(layout.column(name), NumericColumn)
        held[name] = Numbers(*numbers_of(values)) if numeric and data.draw(st.booleans()) else shuffled
    one, other = Table.of(layout, plain, len(block)), Table.of(layout, held, len(block))
    _agree(other)
    for a, b in zip([*one.slots(), *one.counts()], [*other.slots(), *other.counts()], strict=True):
        assert a.tolist() == b.tolist()
    part = np.array(data.draw(st.lists(st.integers(0, len(block) - 1), max_size=9)), np.int64)
    assert [a.tolist() for a in one.take(part).counts()] == [b.tolist() for b in other.take(part).counts()]


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_sums_of_many_rows_are_exact_however_large(scale: float) -> None:
    column = NumericColumn(name="x", role="feature", edges=(0.0, 1.0), center=0.0, scale=scale, counts=(1,) * 7)
    layout = layout_of(sealed([column]), "features")
    numbers = np.random.default_rng(1).normal(size=20_000)
    numbers[::7] = np.nan
    _agree(Table.of(layout, {"x": numbers}, len(numbers)))


def test_numbers_in_a_column_of_categories_are_the_categories_of_their_texts() -> None:
    layout = layout_of(sealed([CategoricalColumn(name="c", role="feature", values=("1", "2.5"), counts=(1,) * 6)]), "features")
    values = [1.0, 2.5, None, 7.0, float("nan"), float("inf")]
    held = Numbers(*numbers_of(values))
    one, other = (Table.of(layout, {"c": column}, len(values)).counts()[0].tolist() for column in (values, held))
    assert one == other == [1, 1, 0, 1, 1, 2]


def test_rows_taken_of_a_column_are_those_of_its_list() -> None:
    index = np.array([2, 0], np.int64)
    columns: list[Held] = [
        [1.0, None, 3.0],
        Numbers(np.array([1.0, 0.0, 3.0]), np.array([0, 1, 0], np.int8)),
        Coded([3.0, 1.0, None], np.array([1, 2, 0])),
    ]
    for column in columns:
        assert listed(column) == [1.0, None, 3.0]
        assert [column[i] for i in range(3)] == [1.0, None, 3.0]
        assert listed(taken(column, index)) == [3.0, 1.0]
