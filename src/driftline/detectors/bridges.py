"""Intervals of the distances over bins (``binned``): Kolmogorov-Smirnov and Wasserstein.

While both sides have one distribution, the gap of their distribution functions is a Brownian bridge times sqrt(1/m + 1/n) (Doob, 1949):
Kolmogorov-Smirnov is its greatest height at the bins' edges, Wasserstein its area (del Barrio, Gine and Matran, 1999). How the edges lie matters
(atoms: a boolean column has one edge), so there is no one table for both. A bridge over its sd is a stationary Ornstein-Uhlenbeck process in the
log odds (Anderson and Darling, 1952): ``PATHS`` of these are drawn once, for all columns and all windows, and looked up at each column's edges.

With a difference: the delta method's variance at the edge where the gap is greatest (Raghavachari, 1973), and of the area with the sign of the
gap at each edge. While the signs may be chance's, Wasserstein takes the sign that makes most of it, the same everywhere.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from driftline.detectors import binned
from driftline.detectors.moments import Floats
from driftline.detectors.uncertainty import LEVEL, Interval, Null, delta_variance, of_fold

PATHS = 200
# Out of so many: evenly by their height, and among those of like height by their area, so that few have nearly the distributions that many have.
_DRAWN, _STRATA = 2_000, 20
_FARTHEST, _STEP = 11.0, 0.0125


def binned_intervals(reference: Floats, live: Floats, width: Floats) -> dict[str, Interval]:
    """Return Kolmogorov-Smirnov and Wasserstein of pairs of counts (pairs, places), each with its interval; ``width`` (pairs, places - 2) of bins."""
    m, n = (np.maximum(side.sum(axis=-1, keepdims=True), 1.0) for side in (reference, live))
    p, q = reference / m, live / n
    below_p, below_q = (np.cumsum(side, axis=-1)[:, :-1] for side in (p, q))
    gap = below_p - below_q
    common = np.clip((m * below_p + n * below_q) / (m + n), 0.0, 1.0)
    sd = np.sqrt(common * (1 - common) * (1 / m + 1 / n))
    # Widths may be as great as floats are: in units of the greatest nothing overflows.
    unit = np.where(np.isfinite(width).all(axis=-1, keepdims=True), np.max(width, axis=-1, keepdims=True, initial=0.0), 0.0)
    weight = np.zeros_like(gap)
    share = np.where(unit > 0, width, 0.0) / np.where(unit > 0, unit, 1.0) / 2
    weight[:, :-1] += share
    weight[:, 1:] += share
    heights = _heights(common)
    heights *= sd[..., None]
    area = np.matmul(weight[:, None, :].astype(np.float32), heights)[:, 0]
    greatest = heights.max(axis=1)

    def variance(over: Floats) -> Floats:
        influence = np.concatenate([np.cumsum(over[:, ::-1], axis=-1)[:, ::-1], np.zeros((len(over), 1))], axis=-1)
        return delta_variance((p, influence, m), (q, influence, n))

    edge = np.abs(gap).argmax(axis=-1)[:, None]
    at_p, at_q = np.take_along_axis(below_p, edge, -1), np.take_along_axis(below_q, edge, -1)
    ks = of_fold(binned.ks(reference, live), _null(greatest), np.maximum(at_p * (1 - at_p) / m + at_q * (1 - at_q) / n, 0.0)[:, 0])
    value, null = binned.wasserstein(reference, live, share * 2), _null(area)
    doubt = np.minimum(null.chance / np.maximum(value, 1e-300), 1.0) ** 2
    own = variance(weight * np.sign(gap))
    moved = of_fold(value, null, own + np.maximum(variance(weight) - own, 0.0) * doubt)
    there = (reference.sum(axis=-1) > 0) & (live.sum(axis=-1) > 0)
    known = there & np.isfinite(width).all(axis=-1)
    with np.errstate(over="ignore"):
        apart = Interval(*(np.where(known, part * unit[:, 0], np.nan) for part in moved))
    return {"ks": Interval(*(np.where(there, part, np.nan) for part in ks)), "wasserstein": apart}


def _null(drawn: npt.NDArray[np.float32]) -> Null:
    held = drawn.astype(np.float64)
    return Null(held.mean(axis=-1), held.var(axis=-1), np.quantile(held, LEVEL, axis=-1, method="hazen"))


def _heights(share: Floats) -> npt.NDArray[np.float32]:
    """Return the heights of all bridges, in sd of each, at these shares (pairs, edges): shape (pairs, edges, PATHS)."""
    inner = np.clip(share, 1e-9, 1 - 1e-9)
    odds = np.clip(np.log(inner / (1 - inner)), -_FARTHEST, _FARTHEST)
    place = np.rint((odds + _FARTHEST) / _STEP).astype(np.intp)
    return np.take(_paths(), place.ravel(), axis=0).reshape(*share.shape, PATHS)


@lru_cache(maxsize=1)
def _paths() -> npt.NDArray[np.float32]:
    """Absolute values of Ornstein-Uhlenbeck paths over the log odds, (places, PATHS)."""
    places = round(2 * _FARTHEST / _STEP) + 1
    path = np.random.default_rng(0).standard_normal((places, _DRAWN), dtype=np.float32)
    keep = np.float32(np.exp(-_STEP / 2))
    fresh = np.float32(np.sqrt(1 - np.exp(-_STEP)))
    for i in range(1, places):
        path[i] = keep * path[i - 1] + fresh * path[i]
    np.abs(path, out=path)
    across = 2 * np.cosh(np.linspace(-_FARTHEST, _FARTHEST, places, dtype=np.float32) / 2)[:, None]
    height, area = (path / across).max(axis=0), (path / across**3).sum(axis=0)
    by_height = np.argsort(height, kind="stable").reshape(_STRATA, -1)
    by_both = np.take_along_axis(by_height, np.argsort(area[by_height], axis=1, kind="stable"), axis=1)
    every = _DRAWN // PATHS
    chosen = path[:, by_both[:, every // 2 :: every].ravel()]
    # At a single edge a height is half-normal: there the few are made to have it exactly, in their order.
    rank = np.argsort(np.argsort(chosen, axis=1, kind="stable"), axis=1)
    return ndtri(0.5 + (rank + 0.5) / (2 * PATHS)).astype(np.float32)
