"""Distances between two rows of counts over the same few groups, many pairs at once: along the last axis.

The rows need not sum to 1; a row without counts has no distance (NaN).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import chdtrc

from driftline.detectors.moments import Floats

__all__ = ["chi_square", "cramers_v", "hellinger", "jensen_shannon", "pearson", "psi", "total_variation"]


def psi(reference: Floats, live: Floats) -> Floats:
    """Return the population stability index, shares smoothed by half a row.

    >>> round(float(psi(np.array([500.0, 500.0]), np.array([300.0, 700.0]))), 3)
    0.169
    """
    p, q = ((side + 0.5) / (side.sum(axis=-1, keepdims=True) + 0.5 * side.shape[-1]) for side in (reference, live))
    return _where_both(reference, live, np.sum((q - p) * np.log(q / p), axis=-1))


def jensen_shannon(reference: Floats, live: Floats) -> Floats:
    """Return the Jensen-Shannon distance: the square root of the divergence to base 2, from 0 to 1."""
    p, q = _shares(reference), _shares(live)
    middle = (p + q) / 2
    divergence = (_kullback(p, middle) + _kullback(q, middle)) / 2
    return _where_both(reference, live, np.sqrt(np.maximum(divergence, 0.0)))


def hellinger(reference: Floats, live: Floats) -> Floats:
    """Return the Hellinger distance, from 0 to 1.

    >>> float(hellinger(np.array([1.0, 0.0]), np.array([0.0, 5.0])))
    1.0
    """
    overlap = np.sum(np.sqrt(_shares(reference) * _shares(live)), axis=-1)
    return _where_both(reference, live, np.sqrt(np.maximum(1 - overlap, 0.0)))


def total_variation(reference: Floats, live: Floats) -> Floats:
    """Return half the sum of the absolute differences of the shares, from 0 to 1: the greatest by which the probability of any event differs.

    >>> float(total_variation(np.array([2.0, 2.0]), np.array([1.0, 3.0])))
    0.25
    """
    return _where_both(reference, live, np.abs(_shares(reference) - _shares(live)).sum(axis=-1) / 2)


def chi_square(reference: Floats, live: Floats) -> tuple[Floats, Floats]:
    """Return Pearson's statistic of the 2 x groups table and its p-value (groups that neither row has are left out).

    The p-value takes rows as independent; under autocorrelation it is too small, which is why it describes and does not decide.

    >>> statistic, p = chi_square(np.array([500.0, 500.0]), np.array([300.0, 700.0]))
    >>> round(float(statistic), 2), bool(p < 1e-15)
    (83.33, True)
    """
    statistic = pearson(reference, live)
    freedom = np.maximum((reference + live > 0).sum(axis=-1) - 1, 0)
    p = np.where(freedom > 0, chdtrc(np.maximum(freedom, 1), np.nan_to_num(statistic)), 1.0)
    return statistic, _where_both(reference, live, p)


def pearson(reference: Floats, live: Floats) -> Floats:
    """Return Pearson's statistic of the 2 x groups table (1900): of windows without drift about the number of groups less one, whatever n is.

    For two rows of m and n counts it is m n times the sum over groups of (p - q)^2 / (r + l): no expected counts need be made.
    """
    total = reference + live
    m, n = reference.sum(axis=-1), live.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = (reference / m[..., None] - live / n[..., None]) ** 2 / total
    return _where_both(reference, live, m * n * np.sum(np.where(total > 0, gap, 0.0), axis=-1))


def cramers_v(reference: Floats, live: Floats) -> Floats:
    """Return Cramer's V of the 2 x groups table (1946): the effect size of ``chi_square``, from 0 to 1 whatever n is."""
    statistic = pearson(reference, live)
    return np.asarray(np.sqrt(np.maximum(statistic, 0.0) / np.maximum(reference.sum(axis=-1) + live.sum(axis=-1), 1.0)))


#: All of them by the names that findings have.
DISTANCES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "psi": psi,
    "jensen_shannon": jensen_shannon,
    "hellinger": hellinger,
    "total_variation": total_variation,
    "chi_square": pearson,
    "cramers_v": cramers_v,
}


def _shares(counts: Floats) -> Floats:
    shares: Floats = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-300)
    return shares


def _kullback(p: Floats, q: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log2(p / q), 0.0)
    return np.asarray(terms.sum(axis=-1))


def _where_both(reference: Floats, live: Floats, value: Floats) -> Floats:
    both = (reference.sum(axis=-1) > 0) & (live.sum(axis=-1) > 0)
    return np.where(both, value, np.nan)
