"""Rows of a sample as matrices that a classifier and principal components can take, whatever the values are.

Everything goes by the slots of the reference's columns, so that a NaN, a text in a column of numbers or a value nobody has seen is a slot like any.
Values beyond the reference's range are in its outer bin, values that it does not tell apart are one: the reference's own sampled rows have next to
none of these by construction, and would be told from other rows of the same kind by that alone. Single columns' terms see both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from driftline.contracts.reference import CategoricalColumn, Column, GridColumn, NumericColumn, Reference, where_of
from driftline.contracts.summaries import SampleRow
from driftline.detectors.binning import slots_of
from driftline.detectors.moments import Floats
from driftline.detectors.multivariate.scores import Scorer
from driftline.detectors.sampled import sampled_columns

#: Of more columns, those of the greatest importance, then the first ones: the cost of a window has an end.
MOST_COLUMNS = 64


class Matrices(NamedTuple):
    """Rows by column: ``codes`` are ranks of bins and places of categories, NaN where there is no value; ``scores`` those of ``Scorer``."""

    codes: Floats
    scores: Floats

    def take(self, rows: Sequence[int] | np.ndarray) -> Matrices:
        """Return some of the rows."""
        return Matrices(self.codes[rows], self.scores[rows])


@dataclass(frozen=True, eq=False)
class Coder:
    """The columns that are looked at together. ``scored`` has the place among them of each column that has a score."""

    columns: tuple[Column, ...]
    scorer: Scorer
    scored: tuple[int, ...]

    @classmethod
    def of(cls, reference: Reference, rows: Sequence[SampleRow], kept: frozenset[str] | None = None) -> Coder:
        """Return the coder of a reference whose sampled rows are ``rows``: of the features in ``kept`` (None: all), prediction and score, as far as
        the rows have values of them.
        """
        asked = [c for c in reference.columns if isinstance(c, NumericColumn | CategoricalColumn) and where_of(c) is None]
        asked = [c for c in asked if c.role != "feature" or kept is None or c.feature in kept]
        values = sampled_columns(rows, asked)
        asked = [c for c in asked if np.isfinite(_codes(c, slots_of(c, values[c.name]))).any()]
        ranked = sorted(asked, key=lambda column: -reference.importance.get(column.name, 0.0))
        chosen = {column.name for column in ranked[:MOST_COLUMNS]}
        columns = tuple(column for column in asked if column.name in chosen)
        scorer = Scorer.of(msgspec.structs.replace(reference, columns=columns))
        place = {column.name: i for i, column in enumerate(columns)}
        return cls(columns, scorer, tuple(place[column.name] for column in scorer.columns))

    def of_rows(self, rows: Sequence[SampleRow]) -> Matrices:
        """Return the rows as matrices."""
        values = sampled_columns(rows, self.columns)
        codes = np.full((len(rows), len(self.columns)), np.nan)
        for i, column in enumerate(self.columns):
            codes[:, i] = _codes(column, slots_of(column, values[column.name]))
        return Matrices(codes, self.scorer.matrix(values, len(rows))[0])


def _codes(column: Column, slots: np.ndarray) -> Floats:
    if isinstance(column, NumericColumn):
        bins = len(column.edges) - 1
        return np.where(slots <= bins + 1, np.clip(slots, 1, max(bins, 1)), np.nan)
    if isinstance(column, GridColumn):
        return np.full(len(slots), np.nan)
    known = len(column.values)
    return np.where(slots < known + 2, np.minimum(slots, known), np.nan)
