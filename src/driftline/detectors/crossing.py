"""Counting slices: tables from a row's slice and its slot in the whole column to its slot in the slice's. Integers only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.reference import NumericColumn, where_of
from driftline.detectors.binning import Floats, Ints
from driftline.detectors.layout import Layout
from driftline.detectors.rows import Held
from driftline.detectors.slicing import codes_of, group_of

Codes = Mapping[str, Ints]


@dataclass(frozen=True)
class Cross:
    """One column in the slices of one feature. ``table`` has the layout's slot for each (slice, slot of the whole column), -1 for none; ``sums`` the
    place among the numeric columns of each slice, -1 for none.
    """

    feature: str
    whole: int
    table: Ints
    sums: Ints | None

    def slots(self, codes: Codes, slots: Ints) -> Ints:
        """Return the layout's slot of each row, -1 for none, given its slot in the whole column (-1 for none)."""
        found: Ints = self.table[codes[self.feature], slots]
        return found

    def scatter(self, codes: Codes, first: Ints, second: Ints, into: Ints) -> None:
        """Put the fixed-point numbers of the whole column where each row's slice has its own; ``into`` has the shape (2 x numeric columns, rows)."""
        if self.sums is not None:
            places = self.sums[codes[self.feature]]
            rows = np.flatnonzero(places >= 0)
            into[2 * places[rows], rows], into[2 * places[rows] + 1, rows] = first[rows], second[rows]

    def add(self, codes: Codes, first: Floats, second: Floats, into: Ints) -> None:
        """Add the sums over each slice's rows; ``into`` has the shape (numeric columns, 2)."""
        if self.sums is not None:
            k, held = len(self.sums), self.sums >= 0
            for part, numbers in enumerate((first, second)):
                into[self.sums[held], part] += np.bincount(codes[self.feature], numbers, minlength=k)[held].astype(np.int64)


def crosses_of(layout: Layout) -> tuple[Cross, ...]:
    """Return how each column that has slices is counted in them."""
    found: dict[tuple[str, str], Cross] = {}
    places = {column.name: i for i, column in enumerate(layout.columns[: layout.whole])}
    for column in layout.columns[layout.whole :]:
        where = where_of(column)
        if where is None:
            continue
        key = (where.column, where.feature)
        if key not in found:
            whole = layout.columns[places[where.column]]
            # One slice more for the rows that are in none, one slot more for those whose slot is -1.
            many = len(layout.slicers[where.feature]) + 2
            sums = np.full(many, -1, np.int64) if isinstance(whole, NumericColumn) else None
            found[key] = Cross(where.feature, places[where.column], np.full((many, whole.slots + 1), -1, np.int64), sums)
        cross = found[key]
        whole = layout.columns[cross.whole]
        cross.table[where.number - 1, :-1] = group_of(whole, column) + layout.offsets[column.name]
        if cross.sums is not None:
            cross.sums[where.number - 1] = layout.numeric.index(column.name)
    return tuple(found.values())


def codes_in(layout: Layout, slicing: Mapping[str, Held], n: int) -> dict[str, Ints]:
    """Return the slice of each row for each feature that tells slices apart; rows without the feature are in none."""
    return {
        feature: codes_of(values, slicing[feature]) if feature in slicing else np.full(n, len(values) + 1, np.int64)
        for feature, values in layout.slicers.items()
    }


def count_crossed(slots: list[NDArray[np.int64]], total: int) -> Ints:
    """Return how many rows there are in each of the layout's ``total`` slots; -1 is none."""
    return np.bincount(np.concatenate(slots) + 1, minlength=total + 1)[1:]
