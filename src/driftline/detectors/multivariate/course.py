"""What samples would have kept of rows that went by, pane by pane, for the pairs of columns. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftline.detectors.moments import Floats
from driftline.detectors.multivariate.pairs import MOST_ROWS, PairEffect, PairTable
from driftline.detectors.multivariate.scores import Mask

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PairCourse:
    """Scored rows of each pane, at most ``most``, in the order of their places; those of pane p from ``first[p]`` up to ``first[p + 1]``."""

    table: PairTable
    score: Floats
    there: Mask
    first: Ints
    most: int

    @classmethod
    def of(cls, table: PairTable, scored: tuple[Floats, Mask], pane: Ints, places: Ints, *, panes: int, most: int) -> PairCourse:
        """Return the course of rows with their scores, the pane of each (those outside of 0 to ``panes`` are left out) and their places by hash."""
        order = np.lexsort((places, pane))
        order = order[(pane[order] >= 0) & (pane[order] < panes)]
        first = np.searchsorted(pane[order], np.arange(panes + 1))
        kept = order[np.arange(len(order)) - first[pane[order]] < most]
        score, there = scored
        return cls(table, score[kept], there[kept], np.searchsorted(pane[kept], np.arange(panes + 1)).astype(np.int64), most)

    def rows(self, pane: int) -> int:
        """Return how many rows a pane has."""
        return int(self.first[pane + 1] - self.first[pane])

    def growth(self, pane: int) -> Floats:
        """Return what the bets gain by a pane (``PairTable.growth``), some rows at a time."""
        last = int(self.first[pane + 1])
        cuts = range(int(self.first[pane]), last, MOST_ROWS)
        parts = [self.table.growth(self.score[at : min(at + MOST_ROWS, last)], self.there[at : min(at + MOST_ROWS, last)]) for at in cuts]
        return np.sum(parts, axis=0) if parts else np.zeros(self.table.theta.shape)

    def effects(self, since: int, until: int) -> list[PairEffect]:
        """Return how far each pair has moved over the panes from ``since`` up to ``until``, which take an hour each."""
        own = slice(int(self.first[since]), int(self.first[until]))
        hours = int((np.diff(self.first[since : until + 1]) > 0).sum())
        return self.table.effects_of(self.score[own], self.there[own], float(hours)) if hours else []
