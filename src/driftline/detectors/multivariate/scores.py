"""Rows of a sample as numbers: one score a column, mean 0 and variance 1 under the reference, bounded, 0 where there is no value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftline.contracts.reference import CategoricalColumn, Column, NumericColumn, Reference, where_of
from driftline.contracts.summaries import SampleRow
from driftline.detectors.binning import slots_of
from driftline.detectors.moments import Floats, moments_of
from driftline.detectors.rows import Held
from driftline.detectors.sampled import sampled_columns

#: Pairs grow with the square of the columns: of more columns, those of the greatest importance, then the first ones.
MOST_COLUMNS = 32
#: A value rarer than this has a score so far from 0 that products of it say next to nothing.
_RAREST = 0.05

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Scorer:
    """The columns that have a score, with the score of each of their slots and which slots are values."""

    columns: tuple[Column, ...]
    scores: tuple[Floats, ...]
    present: tuple[Mask, ...]

    @classmethod
    def of(cls, reference: Reference) -> Scorer:
        """Return the scorer of a reference: numbers by the mid-rank of their bin, two-valued categories by the rarer value."""
        ranked = sorted(reference.columns, key=lambda column: -reference.importance.get(column.name, 0.0))
        chosen = {column.name for column in [column for column in ranked if _score(column) is not None][:MOST_COLUMNS]}
        columns = tuple(column for column in reference.columns if column.name in chosen)
        said = [score for column in columns if (score := _score(column)) is not None]
        return cls(columns, tuple(score for score, _ in said), tuple(present for _, present in said))

    def matrix(self, values: Mapping[str, Held], n: int) -> tuple[Floats, Mask]:
        """Return the scores of ``n`` rows, whose values are given by column, and where there is one; both of the shape (rows, columns)."""
        score, there = np.zeros((n, len(self.columns))), np.zeros((n, len(self.columns)), np.bool_)
        for i, column in enumerate(self.columns):
            slots = slots_of(column, values[column.name])
            score[:, i], there[:, i] = self.scores[i][slots], self.present[i][slots]
        return score, there

    def of_rows(self, rows: Sequence[SampleRow]) -> tuple[Floats, Mask]:
        """Return ``matrix`` of the rows of a sample."""
        return self.matrix(sampled_columns(rows, self.columns), len(rows))


def _score(column: Column) -> tuple[Floats, Mask] | None:
    if where_of(column) is not None:  # a slice: its whole column is here already
        return None
    moments = moments_of(column)
    if isinstance(column, NumericColumn):
        if moments.terms[:1] != ("location",):  # constant: nothing to relate to
            return None
        return moments.phi[0], moments.base[0] > 0
    if not isinstance(column, CategoricalColumn) or len(column.values) != 2:
        return None
    phi, present = moments.phi[0], moments.base[0] > 0
    share = 1 / (1 + float(phi.max(initial=0)) ** 2)
    return (phi, present) if _RAREST <= share <= 1 - _RAREST else None
