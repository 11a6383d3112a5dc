"""Where each column of a reference has its slots in a summary."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.reference import Column, NumericColumn, Reference, where_of
from driftline.contracts.summaries import PaneKind

#: Layouts kept at hand; each is a few kilobytes.
_KEPT = 4096


@dataclass(frozen=True, eq=False)
class Layout:
    """The columns of a summary: ``slots`` integers in all, column ``c`` from ``offsets[c]`` on, and two fixed-point sums for each numeric column.

    Slices stand after all other columns, of which there are ``whole``; ``slicers`` are the features that tell them apart, with their values.
    """

    columns: tuple[Column, ...]
    slots: int
    offsets: dict[str, int]
    numeric: tuple[str, ...]
    whole: int
    slicers: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Layout:
        """Return the layout of columns in their order."""
        offsets: dict[str, int] = {}
        slots = 0
        for column in columns:
            offsets[column.name] = slots
            slots += column.slots
        numeric = tuple(c.name for c in columns if isinstance(c, NumericColumn))
        slices = [(column, where) for column in columns if (where := where_of(column)) is not None]
        if slices and [c.name for c, _ in slices] != [c.name for c in columns[-len(slices) :]]:
            raise ValueError("slices stand after all other columns")
        named: dict[str, dict[int, str]] = {}
        for _, where in slices:
            if where.value is not None:
                named.setdefault(where.feature, {})[where.number] = where.value
        slicers = {feature: tuple(values[number] for number in sorted(values)) for feature, values in named.items()}
        return cls(tuple(columns), slots, offsets, numeric, len(columns) - len(slices), slicers)

    def slice_of(self, name: str) -> slice:
        """Return the slots of a column."""
        column = self.column(name)
        return slice(self.offsets[name], self.offsets[name] + column.slots)

    def column(self, name: str) -> Column:
        """Return a column by its name; KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)


_layouts: OrderedDict[tuple[str, PaneKind], Layout] = OrderedDict()


def layout_of(reference: Reference, kind: PaneKind) -> Layout:
    """Return the layout of a reference's panes of a kind; the same object each time, for the reference's id is the hash of its content."""
    key = (reference.reference_id, kind)
    layout = _layouts.get(key)
    if layout is None:
        layout = _layouts[key] = Layout.of(reference.columns_of(kind))
        if len(_layouts) > _KEPT:
            _layouts.popitem(last=False)
    return layout


def reference_counts(layout: Layout) -> NDArray[np.int64]:
    """Return the reference's own counts, slot by slot."""
    return np.concatenate([np.asarray(c.counts, np.int64) for c in layout.columns]) if layout.columns else np.zeros(0, np.int64)
