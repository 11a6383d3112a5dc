"""Distances between two distributions of numbers over the same bins, many pairs at once: along the last axis.

The first and last place hold what lies outside the bins, counted as if it lay at their ends. Rows need not sum to 1; one without counts has no
distance (NaN).
"""

from __future__ import annotations

import numpy as np

from driftline.detectors.moments import Floats


def ks(reference: Floats, live: Floats) -> Floats:
    """Return the Kolmogorov-Smirnov distance at the bins' edges: never above that of the values themselves.

    >>> float(ks(np.array([0.0, 5, 5, 0]), np.array([0.0, 0, 3, 0])))
    0.5
    """
    return np.asarray(np.max(np.abs(_gap(reference, live)), axis=-1))


def wasserstein(reference: Floats, live: Floats, width: Floats) -> Floats:
    """Return the Wasserstein-1 distance, the rows of each bin spread evenly over it; ``width`` of each bin (places less 2) in any unit.

    >>> float(wasserstein(np.array([0.0, 4, 0, 0]), np.array([0.0, 0, 8, 0]), np.array([1.0, 1.0])))
    1.0
    """
    gap = _gap(reference, live)[..., :-1]
    left, right = gap[..., :-1], gap[..., 1:]
    # The difference of the distribution functions is linear within a bin; where it changes sign the two triangles add up.
    size = np.abs(left) + np.abs(right)
    crossing = (left**2 + right**2) / np.maximum(2 * size, 1e-300)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.sum(width * np.where(left * right < 0, crossing, size / 2), axis=-1))


def _gap(reference: Floats, live: Floats) -> Floats:
    """Return the difference of the distribution functions at the upper end of each place."""
    with np.errstate(divide="ignore", invalid="ignore"):
        p, q = (np.cumsum(side / side.sum(axis=-1, keepdims=True), axis=-1) for side in (reference, live))
    return np.asarray(p - q)
