"""Held of a layout's columns to slots, row by row, or at once to how many rows there are in each slot. Integers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.reference import NumericColumn
from driftline.detectors.binning import CategorySlots, Floats, GridCells, Ints, Kinds, NumericBins, binners, numbers_of, scaled, standardised
from driftline.detectors.crossing import Codes, Cross, codes_in, count_crossed, crosses_of
from driftline.detectors.layout import Layout
from driftline.detectors.rows import Held, taken

# Layouts whose bins are kept ready.
_READY = 256
# Rows counted at once. The sums of so many are exact in floats (65,536 * 1000^2 * 2^16 < 2^53), and what is worked on stays near the processor.
_AT_ONCE = 4_096


def binned(layout: Layout, values: Mapping[str, Held], n: int, slicing: Mapping[str, Held] | None = None) -> tuple[Ints, Ints]:
    """Return slots of the layout, shape (columns, n), -1 for none, and the fixed-point numbers, shape (2 x numeric columns, n).

    After the whole columns there is one row of slots for each column that is ``crossed`` with the slices of a feature, whose values ``slicing`` has.
    """
    return Table.of(layout, values, n, slicing).slots()


@dataclass(frozen=True)
class Table:
    """Rows ready to be counted: the numeric columns' numbers and kinds, shape (columns, rows), and the other columns as they came.

    ``kinds`` is None where all numbers are fine. ``codes`` are the rows' slices by feature.
    """

    layout: Layout
    n: int
    numbers: Floats
    kinds: Kinds | None
    others: Sequence[Held]
    codes: Mapping[str, Ints]

    @classmethod
    def of(cls, layout: Layout, values: Mapping[str, Held], n: int, slicing: Mapping[str, Held] | None = None) -> Table:
        """Return the ``n`` values of each whole column of the layout, and of each feature that tells slices apart."""
        own = _ready(layout)
        numbers = np.empty((len(own.centers), n), np.float64)
        kinds = np.empty((len(own.centers), n), np.int8)
        for i, (j, _) in enumerate(own.numeric):
            numbers[i], kinds[i] = numbers_of(values[layout.columns[j].name])
        others = [values[layout.columns[j].name] for j, _ in own.others]
        return cls(layout, n, numbers, kinds if kinds.any() else None, others, codes_in(layout, slicing or {}, n) if layout.slicers else {})

    def take(self, index: Ints) -> Table:
        """Return the rows at the given places."""
        kinds = self.kinds[:, index] if self.kinds is not None else None
        codes = {feature: found[index] for feature, found in self.codes.items()}
        return Table(self.layout, len(index), self.numbers[:, index], kinds, [taken(values, index) for values in self.others], codes)

    def slots(self) -> tuple[Ints, Ints]:
        """Return what ``binned`` does."""
        own = _ready(self.layout)
        kinds = np.zeros(self.numbers.shape, np.int8) if self.kinds is None else self.kinds
        slots = np.empty((self.layout.whole + len(own.crosses), self.n), np.int64)
        for i, (j, bins) in enumerate(own.numeric):
            slots[j] = bins.slots(self.numbers[i], kinds[i]) + own.offsets[j]
        for values, (j, binner) in zip(self.others, own.others, strict=True):
            found = binner.slots(values)
            slots[j] = np.where(found < 0, -1, found + own.offsets[j])
        sums = np.zeros((2 * len(self.layout.numeric), self.n), np.int64)
        whole = sums[: 2 * len(own.centers)]
        whole[0::2], whole[1::2] = standardised(self.numbers, kinds, own.centers, own.scales)
        for lane, cross in enumerate(own.crosses, self.layout.whole):
            at = slots[cross.whole]
            slots[lane] = cross.slots(self.codes, np.where(at < 0, -1, at - own.offsets[cross.whole]))
            number = own.among_numbers.get(cross.whole)
            if number is not None:
                cross.scatter(self.codes, whole[2 * number], whole[2 * number + 1], sums)
        return slots, sums

    def counts(self) -> tuple[Ints, Ints]:
        """Return how many rows there are in each slot of the layout, and the sums of the fixed-point numbers, shape (2 x numeric columns,)."""
        own = _ready(self.layout)
        counts = np.zeros(self.layout.slots, np.int64)
        sums = np.zeros((len(self.layout.numeric), 2), np.int64)
        crossed: list[Ints] = []
        for start in range(0, self.n if len(own.centers) else 0, _AT_ONCE):
            numbers = self.numbers[:, start : start + _AT_ONCE]
            kinds = self.kinds[:, start : start + _AT_ONCE] if self.kinds is not None else None
            first, second = scaled(numbers, kinds, own.centers, own.scales)
            sums[: len(own.centers), 0] += first.sum(axis=1).astype(np.int64)
            sums[: len(own.centers), 1] += second.sum(axis=1).astype(np.int64)
            _count_numbers(own, counts, numbers, kinds)
            if own.crosses:
                codes = {feature: found[start : start + _AT_ONCE] for feature, found in self.codes.items()}
                crossed += _cross_numbers(own, codes, (numbers, kinds), (first, second), sums)
        for values, (j, binner) in zip(self.others, own.others, strict=True):
            end = own.offsets[j] + self.layout.columns[j].slots
            counts[own.offsets[j] : end] += binner.counts(values, self.layout.columns[j].slots)
            mine = [cross for cross in own.crosses if cross.whole == j]
            if mine:
                found = binner.slots(values)
                crossed += [cross.slots(self.codes, found) for cross in mine]
        if crossed:
            counts += count_crossed(crossed, self.layout.slots)
        return counts, sums.ravel()


@dataclass(frozen=True)
class _Ready:
    """What bins a layout's whole columns: their places in it, and the centers and scales of the numeric ones; and how they are counted in slices."""

    numeric: tuple[tuple[int, NumericBins], ...]
    others: tuple[tuple[int, CategorySlots | GridCells], ...]
    offsets: tuple[int, ...]
    centers: NDArray[np.float64]
    scales: NDArray[np.float64]
    crosses: tuple[Cross, ...]
    #: Place of a column in the layout to its place among the numeric ones.
    among_numbers: Mapping[int, int]


@lru_cache(maxsize=_READY)
def _ready(layout: Layout) -> _Ready:
    whole = layout.columns[: layout.whole]
    bins = tuple(enumerate(binners(whole)))
    numeric = [c for c in whole if isinstance(c, NumericColumn)]
    return _Ready(
        tuple((j, own) for j, own in bins if isinstance(own, NumericBins)),
        tuple((j, own) for j, own in bins if not isinstance(own, NumericBins)),
        tuple(layout.offsets[c.name] for c in whole),
        np.array([c.center for c in numeric], np.float64),
        np.array([c.scale for c in numeric], np.float64),
        crosses_of(layout),
        {j: i for i, j in enumerate(j for j, column in enumerate(whole) if isinstance(column, NumericColumn))},
    )


def _cross_numbers(own: _Ready, codes: Codes, read: tuple[Floats, Kinds | None], fixed: tuple[Floats, Floats], sums: Ints) -> list[Ints]:
    """Add the sums of the slices, and return the slots of their rows. Each crossed column's slots are looked up once, however many slices it has."""
    (numbers, kinds), (first, second) = read, fixed
    nothing = np.zeros(numbers.shape[1], np.int8)
    slots: dict[int, Ints] = {}
    found = []
    for cross in own.crosses:
        i = own.among_numbers.get(cross.whole)
        if i is None:
            continue
        if i not in slots:
            slots[i] = own.numeric[i][1].slots(numbers[i], nothing if kinds is None else kinds[i])
        found.append(cross.slots(codes, slots[i]))
        cross.add(codes, first[i], second[i], sums)
    return found


def _count_numbers(own: _Ready, counts: Ints, numbers: Floats, kinds: Kinds | None) -> None:
    """Add the numbers' slots. To look the edges up among sorted numbers is cheaper than to look each number up among the edges."""
    ordered = np.sort(numbers, axis=1)
    for i, (j, bins) in enumerate(own.numeric):
        at = own.offsets[j]
        if kinds is not None and kinds[i].any():
            bins.count(counts[at:], np.sort(numbers[i][kinds[i] == 0]), kinds[i])
        else:
            bins.count(counts[at:], ordered[i])
