"""PCA reconstruction error: do a window's rows still lie in the few directions in which the reference's rows lay?

Components are fitted to one half of the reference's rows, as many as explain 80 % of its variance (never all of them); the mean squared distance of
the window's rows from what they make of them is compared with that of the reference's other half, which no fit has seen. Columns are standardised
ranks of bins (bounded: no outlier makes the error), two-valued categories by their score, others one-hot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftline.contracts.findings import Distance
from driftline.detectors.moments import Floats
from driftline.detectors.multivariate.matrix import Matrices

EXPLAINED = 0.8
#: A category with more values that are not rare has no one-hot columns for the later ones.
_MOST_VALUES = 16
#: A value rarer than this is too far from 0, once standardised, where it does occur.
_RAREST = 0.05
_Z = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of a reference's rows. ``basis`` has the shape (components, columns), ``held`` the errors of rows that no fit has seen."""

    mean: Floats
    sd: Floats
    values: tuple[tuple[int, float], ...]
    basis: Floats
    held: Floats

    @classmethod
    def of(cls, reference: Matrices, scored: Sequence[int]) -> Components | None:
        """Return the components of rows in the order of a hash of their ids; None where fewer than two columns vary, or all error is rounding."""
        from sklearn.decomposition import PCA
        from threadpoolctl import threadpool_limits

        fitted, other = reference.take(np.arange(0, len(reference.codes), 2)), reference.take(np.arange(1, len(reference.codes), 2))
        values = _values(fitted.codes, scored)
        plain = _design(fitted, values)
        mean, sd = plain.mean(axis=0), plain.std(axis=0)
        if (sd > _LEAST_SD).sum() < 2:
            return None
        with threadpool_limits(1):
            pca = PCA(svd_solver="full").fit(_standardised(plain, mean, sd))
        count = int(np.searchsorted(np.cumsum(pca.explained_variance_ratio_), EXPLAINED)) + 1
        basis = pca.components_[: min(count, int((sd > _LEAST_SD).sum()) - 1)]
        held = _errors(_standardised(_design(other, values), mean, sd), basis)
        return cls(mean, sd, values, basis, held) if held.mean() > _LEAST_ERROR else None

    def ratio(self, window: Matrices) -> Distance:
        """Return the mean error of a window's rows as a multiple of the held-out half's, with its 95 % interval (normal, of the logarithm), and how
        far from 1 chance takes it in 95 of 100 such windows.
        """
        errors = _errors(_standardised(_design(window, self.values), self.mean, self.sd), self.basis)
        mean, usual = max(float(errors.mean()), _LEAST_ERROR), float(self.held.mean())
        own, theirs = float(errors.var(ddof=1)) / mean**2 / len(errors), float(self.held.var(ddof=1)) / usual**2
        ratio, half = float(np.log(mean / usual)), _Z * float(np.sqrt(own + theirs / len(self.held)))
        chance = _Z * float(np.sqrt(theirs / len(errors) + theirs / len(self.held)))
        # exp(20) is beyond any ratio of bounded columns.
        value, low, high, most = (float(np.exp(min(x, 20.0))) for x in (ratio, ratio - half, ratio + half, chance))
        return Distance(value=value, low=low, high=high, chance=most)


_LEAST_SD, _LEAST_ERROR = 1e-6, 1e-9


def _values(codes: Floats, scored: Sequence[int]) -> tuple[tuple[int, float], ...]:
    """Return column and code of each value that gets a column of its own."""
    found = []
    for column in sorted(set(range(codes.shape[1])) - set(scored)):
        shares = [(value, float((codes[:, column] == value).mean())) for value in range(_MOST_VALUES)]
        found += [(column, float(value)) for value, share in shares if _RAREST <= share <= 1 - _RAREST]
    return tuple(found)


def _design(rows: Matrices, values: tuple[tuple[int, float], ...]) -> Floats:
    return np.column_stack([rows.scores, *((rows.codes[:, column] == value).astype(np.float64) for column, value in values)])


def _standardised(plain: Floats, mean: Floats, sd: Floats) -> Floats:
    varies = sd > _LEAST_SD
    return np.where(varies, (plain - mean) / np.where(varies, sd, 1.0), 0.0)


def _errors(design: Floats, basis: Floats) -> Floats:
    left = design - (design @ basis.T) @ basis
    errors: Floats = (left**2).mean(axis=1)
    return errors
