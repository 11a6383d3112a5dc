"""Slices: the same columns once more for the rows in which a feature has a value. A slice column's slot is a function of its parent's slot.

So whatever is known of columns holds for slices: they are counted in integers, merged, taken back, compared, have terms. Its bins are groups of its
parent's, about ``SLICE_BINS`` quantiles of the slice's own rows; it has the parent's center and scale. The slices of a feature, that of all other
values among them, share out the rows that have a value: what is null or no category belongs to none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import msgspec
import numpy as np
import numpy.typing as npt

from driftline.contracts.pii import rule_of
from driftline.contracts.reference import (
    CATEGORICAL_EXTRAS,
    CategoricalColumn,
    Column,
    GridColumn,
    NumericColumn,
    TermCalibration,
    Where,
)
from driftline.contracts.settings import ModelSettings
from driftline.contracts.slices import MAX_VALUE_CHARS, MOST_IMPORTANT
from driftline.detectors.binning import CategorySlots, Ints
from driftline.detectors.calendar import Calendar
from driftline.detectors.rows import Held, listed
from driftline.detectors.tempering import calibrate_shaped
from driftline.detectors.values import canonical_text

#: Bins of a slice's numeric columns, and values of its categorical ones: a slice has a part of the rows.
SLICE_BINS = 16
#: What is watched in slices beside features: the model's own columns, and of outcomes what tells how wrong it was.
OF_OUTCOMES = ("loss", "error", "absolute_error")
OTHERS = "all others"


@dataclass(frozen=True)
class Slicing:
    """Which slices to make of a reference: ``values`` by feature (or how many of the most frequent), ``crossed`` features (None: those that matter
    most). The values of ``hidden`` features are not named, and their outcomes can't be told apart: only a hash of them is kept, or nothing.
    """

    values: Mapping[str, Sequence[str] | int] = field(default_factory=dict)
    crossed: Sequence[str] | None = None
    hidden: Container[str] = ()

    @classmethod
    def of(cls, settings: ModelSettings) -> Slicing:
        """Return the slices that a model's settings name."""
        hidden = frozenset(name for name in settings.slices if rule_of(settings.pii, name) != "keep")
        return cls(settings.slices, settings.slice_features, hidden)


@dataclass(frozen=True)
class Sliced:
    """One feature's slices: its values in order, and the slice of each row (``len(values)``: another value; one more: none)."""

    feature: str
    values: tuple[str, ...]
    codes: Ints
    hidden: bool


@dataclass(frozen=True)
class Parent:
    """A column of a reference with the slot of each of its rows, and which rows these are."""

    column: Column
    slots: Ints
    rows: Ints


def sliced_by(slicing: Slicing, features: Mapping[str, Held]) -> list[Sliced]:
    """Return the slices of each feature that a reference's rows have."""
    found = []
    for feature, wanted in slicing.values.items():
        if feature in features:
            values = tuple(wanted) if not isinstance(wanted, int) else _most_frequent(features[feature], wanted)
            if values:
                found.append(Sliced(feature, values, codes_of(values, features[feature]), feature in slicing.hidden))
    return found


def crossed_by(slicing: Slicing, names: Sequence[str], importance: Mapping[str, float]) -> set[str]:
    """Return which features are watched in slices: those named, or the most important ones."""
    if slicing.crossed is not None:
        return set(slicing.crossed)
    return set(sorted(names, key=lambda name: -importance.get(name, 0.0))[:MOST_IMPORTANT])


def codes_of(values: Sequence[str], held: Held) -> Ints:
    """Return the slice of each row: the place of its value, ``len(values)`` for any other, one more for none.

    >>> codes_of(("UA", "7"), ["UA", 7, 7.0, "DL", None, [1]]).tolist()
    [0, 1, 1, 2, 3, 3]
    """
    k = len(values)
    return np.array([*range(k), k, k, k + 1, k + 1], np.int64)[_teller(tuple(values)).slots(held)]


@lru_cache(maxsize=1024)
def _teller(values: tuple[str, ...]) -> CategorySlots:
    return CategorySlots(CategoricalColumn(name="", role="feature", values=values, counts=()))


def slice_columns(
    sliced: Sliced, parents: Sequence[Parent], times: Ints, taken: set[str], calendar: Calendar = "none"
) -> list[tuple[Column, tuple[TermCalibration, ...]]]:
    """Return the columns of every slice for each parent, with what they say about their own wandering; their names join those ``taken``."""
    made: list[tuple[Column, tuple[TermCalibration, ...]]] = []
    for parent in parents:
        codes = sliced.codes[parent.rows]
        for number in range(len(sliced.values) + 1):
            inside = codes == number
            slots = parent.slots[inside]
            counts = np.bincount(slots[slots >= 0], minlength=parent.column.slots)
            bare = _coarse(parent.column, counts)
            own = group_of(parent.column, bare)
            where = _where(sliced, number, parent.column.name)
            name = f"{parent.column.name} @ {where.label}"
            while name in taken:
                name += "'"
            taken.add(name)
            totals = tuple(np.bincount(own, counts, minlength=bare.slots).astype(np.int64).tolist())
            column = msgspec.structs.replace(bare, name=name, role="slice", counts=totals, where=where)
            made.append((column, calibrate_shaped(column, own[slots], times[parent.rows][inside], calendar)))
    return made


def group_of(parent: Column, child: Column) -> Ints:
    """Return for each slot of a column the slot of its slice."""
    if isinstance(parent, NumericColumn) and isinstance(child, NumericColumn):
        edges, own = np.asarray(parent.edges), np.asarray(child.edges)
        last, above = len(parent.edges), len(child.edges)
        bins = np.searchsorted(own, edges[:-1], side="right")
        return np.concatenate([[0], bins, [above], above + 1 + np.arange(parent.slots - last - 1)]).astype(np.int64)
    if isinstance(parent, CategoricalColumn) and isinstance(child, CategoricalColumn):
        k = len(child.values)
        places = {value: i for i, value in enumerate(child.values)}
        return np.array([*(places.get(value, k) for value in parent.values), *range(k, k + len(CATEGORICAL_EXTRAS))], np.int64)
    raise TypeError(f"{child.name} is no slice of {parent.name}")


def _where(sliced: Sliced, number: int, parent: str) -> Where:
    others = number == len(sliced.values)
    value = None if others else sliced.values[number]
    shown = value if value is not None and not sliced.hidden and value.isprintable() and len(value) <= MAX_VALUE_CHARS else f"#{number + 1}"
    label = f"{sliced.feature}: {OTHERS}" if others else f"{sliced.feature}={shown}"
    return Where(column=parent, feature=sliced.feature, value=value, number=number + 1, label=label)


def _most_frequent(held: Held, most: int) -> tuple[str, ...]:
    tally = Counter(text for text in map(canonical_text, listed(held)) if text is not None and len(text) <= MAX_VALUE_CHARS)
    return tuple(sorted(tally, key=lambda text: (-tally[text], text))[:most])


def _coarse(parent: Column, counts: npt.NDArray[np.int64]) -> NumericColumn | CategoricalColumn:
    """Return the parent's column with no more bins or values than a slice is told by, so that its own rows are shared out evenly."""
    if isinstance(parent, GridColumn):
        raise TypeError(f"{parent.name} has no slices")
    if isinstance(parent, CategoricalColumn):
        kept = sorted(range(len(parent.values)), key=lambda i: (-counts[i], i))[:SLICE_BINS]
        return msgspec.structs.replace(parent, values=tuple(parent.values[i] for i in sorted(kept)), other_values=())
    bins = counts[1 : len(parent.edges)].astype(np.float64)
    if len(bins) <= SLICE_BINS:
        return parent
    # By the middle of each bin's ranks, as the distances' groups are; an empty slice has as many of the parent's bins in each of its own.
    weight = bins if bins.sum() else np.ones_like(bins)
    middle = (np.cumsum(weight) - weight / 2) / weight.sum()
    tenth = np.minimum((middle * SLICE_BINS).astype(np.int64), SLICE_BINS - 1)
    cuts = np.flatnonzero(np.diff(tenth)) + 1
    edges = np.asarray(parent.edges)[[0, *cuts, len(bins)]]
    return msgspec.structs.replace(parent, edges=tuple(edges.tolist()))
