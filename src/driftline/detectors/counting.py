"""Held of a layout's columns to slots, row by row, or at once to how many rows there are in each slot. Integers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.reference import NumericColumn
from driftline.detectors.binning import CategorySlots, Floats, GridCells, Ints, Kinds, NumericBins, binners, numbers_of, scaled, standardised
from driftline.detectors.layout import Layout
from driftline.detectors.rows import Held, taken

# Layouts whose bins are kept ready.
_READY = 256
# Rows counted at once. The sums of so many are exact in floats (65,536 * 1000^2 * 2^16 < 2^53), and what is worked on stays near the processor.
_AT_ONCE = 4_096


def binned(layout: Layout, values: Mapping[str, Held], n: int) -> tuple[Ints, Ints]:
    """Return slots of the layout, shape (columns, n), -1 for none, and the fixed-point numbers, shape (2 x numeric columns, n)."""
    return Table.of(layout, values, n).slots()


@dataclass(frozen=True)
class Table:
    """Rows ready to be counted: the numeric columns' numbers and kinds, shape (columns, rows), and the other columns as they came.

    ``kinds`` is None where all numbers are fine.
    """

    layout: Layout
    n: int
    numbers: Floats
    kinds: Kinds | None
    others: Sequence[Held]

    @classmethod
    def of(cls, layout: Layout, values: Mapping[str, Held], n: int) -> Table:
        """Return the ``n`` values of each column of the layout."""
        own = _ready(layout)
        numbers = np.empty((len(own.centers), n), np.float64)
        kinds = np.empty((len(own.centers), n), np.int8)
        for i, name in enumerate(layout.numeric):
            numbers[i], kinds[i] = numbers_of(values[name])
        return cls(layout, n, numbers, kinds if kinds.any() else None, [values[layout.columns[j].name] for j, _ in own.others])

    def take(self, index: Ints) -> Table:
        """Return the rows at the given places."""
        kinds = self.kinds[:, index] if self.kinds is not None else None
        return Table(self.layout, len(index), self.numbers[:, index], kinds, [taken(values, index) for values in self.others])

    def slots(self) -> tuple[Ints, Ints]:
        """Return what ``binned`` does."""
        own = _ready(self.layout)
        kinds = np.zeros(self.numbers.shape, np.int8) if self.kinds is None else self.kinds
        slots = np.empty((len(self.layout.columns), self.n), np.int64)
        for i, (j, bins) in enumerate(own.numeric):
            slots[j] = bins.slots(self.numbers[i], kinds[i]) + own.offsets[j]
        for values, (j, binner) in zip(self.others, own.others, strict=True):
            found = binner.slots(values)
            slots[j] = np.where(found < 0, -1, found + own.offsets[j])
        sums = np.empty((2 * len(own.centers), self.n), np.int64)
        sums[0::2], sums[1::2] = standardised(self.numbers, kinds, own.centers, own.scales)
        return slots, sums

    def counts(self) -> tuple[Ints, Ints]:
        """Return how many rows there are in each slot of the layout, and the sums of the fixed-point numbers, shape (2 x numeric columns,)."""
        own = _ready(self.layout)
        counts = np.zeros(self.layout.slots, np.int64)
        sums = np.zeros((len(own.centers), 2), np.int64)
        for start in range(0, self.n if len(own.centers) else 0, _AT_ONCE):
            numbers = self.numbers[:, start : start + _AT_ONCE]
            kinds = self.kinds[:, start : start + _AT_ONCE] if self.kinds is not None else None
            first, second = scaled(numbers, kinds, own.centers, own.scales)
            sums[:, 0] += first.sum(axis=1).astype(np.int64)
            sums[:, 1] += second.sum(axis=1).astype(np.int64)
            _count_numbers(own, counts, numbers, kinds)
        for values, (j, binner) in zip(self.others, own.others, strict=True):
            end = own.offsets[j] + self.layout.columns[j].slots
            counts[own.offsets[j] : end] += binner.counts(values, self.layout.columns[j].slots)
        return counts, sums.ravel()


@dataclass(frozen=True)
class _Ready:
    """What bins a layout's columns: their places in it, and the centers and scales of the numeric ones."""

    numeric: tuple[tuple[int, NumericBins], ...]
    others: tuple[tuple[int, CategorySlots | GridCells], ...]
    offsets: tuple[int, ...]
    centers: NDArray[np.float64]
    scales: NDArray[np.float64]


@lru_cache(maxsize=_READY)
def _ready(layout: Layout) -> _Ready:
    bins = tuple(enumerate(binners(layout.columns)))
    numeric = [c for c in layout.columns if isinstance(c, NumericColumn)]
    return _Ready(
        tuple((j, own) for j, own in bins if isinstance(own, NumericBins)),
        tuple((j, own) for j, own in bins if not isinstance(own, NumericBins)),
        tuple(layout.offsets[c.name] for c in layout.columns),
        np.array([c.center for c in numeric], np.float64),
        np.array([c.scale for c in numeric], np.float64),
    )


def _count_numbers(own: _Ready, counts: Ints, numbers: Floats, kinds: Kinds | None) -> None:
    """Add the numbers' slots. To look the edges up among sorted numbers is cheaper than to look each number up among the edges."""
    ordered = np.sort(numbers, axis=1)
    for i, (j, bins) in enumerate(own.numeric):
        at = own.offsets[j]
        if kinds is not None and kinds[i].any():
            bins.count(counts[at:], np.sort(numbers[i][kinds[i] == 0]), kinds[i])
        else:
            bins.count(counts[at:], ordered[i])
