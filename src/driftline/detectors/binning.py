"""Held to slots, and to fixed-point numbers whose sums do not depend on the order. Every hostile value lands in exactly one slot."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.reference import CategoricalColumn, Column, GridColumn, NumericColumn
from driftline.detectors.rows import Coded, Held, Numbers, Values
from driftline.detectors.values import MISSING, binary_label, canonical_text, finite_number

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Kinds = NDArray[np.int8]

#: z is clipped here before it is squared and summed. With the scales below an int64 holds the sums of 10^8 rows: 10^8 * 1000^2 * 2^16 < 2^63.
Z_MOST = 1000.0
Z_SCALE = 1 << 20
Z2_SCALE = 1 << 16

_FINE, _NULL, _NAN, _INFINITE, _WRONG = range(5)
NULL, WRONG_TYPE = _NULL, _WRONG

#: What stands for each kind where a value is asked for; what is of a wrong type is no category either.
_STANDS: tuple[object, ...] = (0.0, None, math.nan, math.inf, ())

#: Numbers in a categorical column whose slot is remembered; of more, the text is made anew each time.
_MEMO = 4096
_EXACT = float(1 << 53)


def slots_of(column: Column, values: Held) -> Ints:
    """Return the slot within the column of each value; -1 where a grid has no cell for it.

    A grid's values are pairs ``(score, label)``.
    """
    if isinstance(column, NumericColumn):
        return NumericBins(column).slots(*numbers_of(values))
    return CategorySlots(column).slots(values) if isinstance(column, CategoricalColumn) else GridCells(column).slots(values)


def numbers_of(values: Held) -> tuple[Floats, Kinds]:
    """Return the values as floats (0 where there is none) and what each is: 0 fine, 1 null, 2 NaN, 3 infinite, 4 of a wrong type."""
    if isinstance(values, Numbers):
        return values.values, np.zeros(len(values), np.int8) if values.kinds is None else values.kinds
    if isinstance(values, Coded):
        numbers, kind = numbers_of(values.values)
        return numbers[values.codes], kind[values.codes]
    numbers, kind = _read(values)
    fine = np.isfinite(numbers)
    if not fine.all():
        # Where the kind is told already, the number stands for nothing.
        kind = np.where(fine | (kind != _FINE), kind, np.where(np.isnan(numbers), _NAN, _INFINITE)).astype(np.int8)
        numbers = np.where(fine, numbers, 0.0)
    return numbers, kind


def fixed_point(column: NumericColumn, values: Held) -> tuple[Ints, Ints]:
    """Return for each row round(z * 2^20) and round(z^2 * 2^16), z = (x - center) / scale clipped to +-1000; 0 where there is no number."""
    numbers, kind = numbers_of(values)
    first, second = standardised(numbers[None], kind[None], np.array([column.center]), np.array([column.scale]))
    return first[0], second[0]


def standardised(numbers: Floats, kinds: Kinds, centers: Floats, scales: Floats) -> tuple[Ints, Ints]:
    """Return what ``fixed_point`` does for many columns at once; ``numbers`` and ``kinds`` have the shape (columns, rows)."""
    first, second = scaled(numbers, kinds if kinds.any() else None, centers, scales)
    return first.astype(np.int64), second.astype(np.int64)


def scaled(numbers: Floats, kinds: Kinds | None, centers: Floats, scales: Floats) -> tuple[Floats, Floats]:
    """Return what ``standardised`` does, still as floats (exact integers all the same); ``kinds`` is None where all numbers are fine."""
    with np.errstate(over="ignore"):
        z = numbers - centers[:, None]
        z /= scales[:, None]
    np.clip(z, -Z_MOST, Z_MOST, out=z)
    if kinds is not None:
        z[kinds != _FINE] = 0.0
    square = z * z
    square *= Z2_SCALE
    z *= Z_SCALE
    return np.rint(z, out=z), np.rint(square, out=square)


class NumericBins:
    """The bins of a numeric column, made ready for many rows."""

    def __init__(self, column: NumericColumn) -> None:
        self._edges = np.asarray(column.edges, np.float64)
        self._above = len(self._edges)
        if self._above:
            self._edges[-1] = math.nextafter(column.edges[-1], math.inf)  # the last bin is closed

    def slots(self, numbers: Floats, kind: Kinds) -> Ints:
        """Return the slots of what ``numbers_of`` told."""
        slots = self._edges.searchsorted(numbers, side="right")
        return np.where(kind == _FINE, slots, self._above + kind) if kind.any() else slots

    def count(self, counts: Ints, ordered: Floats, kind: Kinds | None = None) -> None:
        """Add to the column's ``counts`` the slots of fine numbers in ascending order, and of what ``kind`` tells to be none."""
        below = ordered.searchsorted(self._edges)
        counts[: self._above] += below
        counts[1 : self._above] -= below[:-1]
        counts[self._above] += len(ordered) - (below[-1] if self._above else 0)
        if kind is not None:
            told = np.bincount(kind, minlength=_WRONG + 1)
            counts[self._above + _NULL : self._above + _WRONG + 1] += told[_NULL:]


class _Lookup(dict[object, int]):
    """Value to slot; what is asked for the first time is worked out, and numbers are remembered, for a truth value equals its number."""

    def __init__(self, column: CategoricalColumn) -> None:
        k = len(column.values)
        self._other, self._unseen, null, self._wrong = range(k, k + 4)
        self._boolean = column.view == "boolean"
        super().__init__({None: null, MISSING: null})
        self.update(dict.fromkeys(column.other_values, self._other))
        self.update((value, slot) for slot, value in enumerate(column.values))

    def __missing__(self, value: object) -> int:
        if self._boolean:
            return self._truth(value)
        if isinstance(value, str):
            return self._unseen
        text = canonical_text(value)
        slot = self._wrong if text is None else self.get(text, self._unseen)
        if isinstance(value, int | float) and abs(value) < _EXACT and len(self) < _MEMO:
            self[value] = slot
        return slot

    def _truth(self, value: object) -> int:
        """Return the slot of what says true or false, in whatever form."""
        label = binary_label(value)
        slot = self._wrong if label is None else self.get(str(label), self._unseen)
        if label is not None and len(self) < _MEMO:
            self[value] = slot
        return slot

    def of(self, value: object) -> int:
        """Return the slot of a value that may not be hashable."""
        return self[value] if isinstance(value, str | int | float) or value is None or value is MISSING else self._wrong


class CategorySlots:
    """The values of a categorical column, made ready for many rows."""

    def __init__(self, column: CategoricalColumn) -> None:
        self._lookup = _Lookup(column)

    def slots(self, values: Held) -> Ints:
        """Return the slot of each value."""
        if isinstance(values, Coded):
            return self.slots(values.values)[values.codes]
        listed = _listed(values)
        try:
            return np.fromiter(map(self._lookup.__getitem__, listed), np.int64, len(listed))
        except TypeError:  # a list or an object among them
            return np.fromiter(map(self._lookup.of, listed), np.int64, len(listed))

    def counts(self, values: Held, slots: int) -> Ints:
        """Return how many values there are in each of the column's slots."""
        if isinstance(values, Coded):
            known = self.slots(values.values)
            counts = np.zeros(slots, np.int64)
            np.add.at(counts, known, np.bincount(values.codes, minlength=len(known)))
            return counts
        return np.bincount(self.slots(values), minlength=slots)


def _listed(values: Sequence[object] | NDArray[np.float64] | Numbers) -> Sequence[object]:
    if isinstance(values, np.ndarray):
        return list(values.tolist())
    if not isinstance(values, Numbers):
        return values
    if values.kinds is None:
        return list(values.values.tolist())
    return [_STANDS[kind] if kind else number for number, kind in zip(values.values.tolist(), values.kinds.tolist(), strict=True)]


class GridCells:
    """The cells of score by label, made ready for many rows."""

    def __init__(self, column: GridColumn) -> None:
        self._bins = NumericBins(NumericColumn(name=column.name, role=column.role, edges=column.edges, center=0.0, scale=1.0, counts=()))

    def slots(self, pairs: Held) -> Ints:
        """Return the cell of each pair ``(score, label)``, -1 where either says nothing."""
        found = [pairs[i] for i in range(len(pairs))]
        told = found if _plain_pairs(found) else [_pair(pair) for pair in found]
        scores = np.array([score for score, _ in told], np.float64)
        labels = np.array([label for _, label in told], np.int64)
        return np.where(labels < 0, -1, 2 * self._bins.slots(scores, np.zeros(len(scores), np.int8)) + labels)

    def counts(self, pairs: Held, slots: int) -> Ints:
        """Return how many pairs there are in each cell."""
        found = self.slots(pairs)
        return np.bincount(found[found >= 0], minlength=slots)


def _read(values: Values) -> tuple[Floats, Kinds]:
    """Return numbers and kinds, NaN and infinities not yet told apart."""
    if isinstance(values, np.ndarray):
        return values.astype(np.float64, copy=False), np.zeros(len(values), np.int8)
    try:
        # Takes whatever is a number and nothing else, unlike NumPy, which reads "12" and None as numbers.
        numbers = np.asarray(array("d", cast("Sequence[float]", values)))
        return numbers, np.zeros(len(values), np.int8)
    except (TypeError, OverflowError):
        pass
    if set(map(type, values)) <= {float, type(None)}:
        numbers = np.array(values, np.float64)  # None as NaN
        kind = np.zeros(len(values), np.int8)
        kind[[i for i in np.flatnonzero(np.isnan(numbers)).tolist() if values[i] is None]] = _NULL
        return numbers, kind
    told = [_number(value) for value in values]
    return np.array([number for number, _ in told], np.float64), np.array([what for _, what in told], np.int8)


def _number(value: object) -> tuple[float, int]:
    if value is None or value is MISSING:
        return 0.0, _NULL
    if isinstance(value, int | float):
        try:
            return float(value), _FINE
        except OverflowError:
            return 0.0, _INFINITE
    return 0.0, _WRONG


def _plain_pairs(pairs: Sequence[object]) -> TypeGuard[list[tuple[float, int]]]:
    """Whether all are a finite number and 0 or 1: as what makes them says them, as a rule."""
    if set(map(type, pairs)) != {tuple}:
        return False
    scores, labels = zip(*cast("Sequence[tuple[float, int]]", pairs), strict=True)
    return set(map(type, scores)) == {float} and set(map(type, labels)) == {int} and set(labels) <= {0, 1} and all(map(math.isfinite, scores))


def _pair(pair: object) -> tuple[float, int]:
    score, label = pair if isinstance(pair, tuple) else (None, None)
    number, truth = finite_number(score), binary_label(label)
    return (0.0, -1) if number is None or truth is None else (number, truth)


def binners(columns: Sequence[Column]) -> tuple[NumericBins | CategorySlots | GridCells, ...]:
    """Return what bins each column."""
    return tuple(map(_binner, columns))


def _binner(column: Column) -> NumericBins | CategorySlots | GridCells:
    if isinstance(column, NumericColumn):
        return NumericBins(column)
    return CategorySlots(column) if isinstance(column, CategoricalColumn) else GridCells(column)
