"""Intervals of the distances over groups (``contingency``), each a sum over groups or the square root of one.

What a sum has too much by chance (its bias) is exact without any difference (``nulls``). With one it goes like the second derivatives of its
parts: their ratio to those without is applied to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driftline.detectors import contingency
from driftline.detectors.moments import Floats
from driftline.detectors.nulls import Chances, chances
from driftline.detectors.uncertainty import Interval, Null, delta_variance, of_fold, of_sum

# Of an empty group's share half a row is known (as PSI has it): what divides by it stays finite.
_HALF = 0.5
# The mean of the root of n Poisson rows: sqrt(n) (1 - 1 / (8 n) (1 + 7 / (16 n))).
_ROOT, _FEW = 7 / 16, 3.0


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs of counts over the same groups: shares ``p`` and ``q`` (pairs, groups), smoothed ones, rows ``m`` and ``n`` (pairs, 1)."""

    m: Floats
    n: Floats
    p: Floats
    q: Floats
    smooth_p: Floats
    smooth_q: Floats
    there: Floats

    @classmethod
    def of(cls, reference: Floats, live: Floats) -> _Pairs:
        m, n = (np.maximum(side.sum(axis=-1, keepdims=True), 1.0) for side in (reference, live))
        p, q = ((side + _HALF) / (rows + _HALF * side.shape[-1]) for side, rows in ((reference, m), (live, n)))
        return cls(m, n, reference / m, live / n, p, q, (reference + live > 0).astype(np.float64))

    def variance(self, by_p: Floats, by_q: Floats, *, smoothed: bool = False) -> Floats:
        """Return the delta method's variance of a function of the shares with these derivatives: the influence functions' over the rows."""
        p, q = (self.smooth_p, self.smooth_q) if smoothed else (self.p, self.q)
        return delta_variance((p, by_p, self.m), (q, by_q, self.n))

    def excess(self, by_p: Floats, by_q: Floats, alike_p: Floats | float, alike_q: Floats | float) -> Floats:
        """Return how much greater the bias is than without a difference: of p times the second derivatives by p, and q by q, ``alike`` there."""
        here, there = ((self.there * (of_p / self.m + of_q / self.n)).sum(axis=-1) for of_p, of_q in ((by_p, by_q), (alike_p, alike_q)))
        return np.asarray(here / np.maximum(there, 1e-300))


def grouped_intervals(reference: Floats, live: Floats) -> dict[str, Interval]:
    """Return all distances of pairs of counts (pairs, groups) with their intervals.

    >>> told = grouped_intervals(np.array([[5000.0, 5000.0]]), np.array([[600.0, 400.0]]))["total_variation"]
    >>> round(float(told.value[0]), 3), bool(told.low[0] < 0.1 < told.high[0]), bool(told.chance[0] < 0.05)
    (0.1, True, True)
    """
    # What has no rows has no distance, and no numbers that warn on the way to it.
    known = (reference.sum(axis=-1) > 0) & (live.sum(axis=-1) > 0)
    reference, live = (np.where(known[:, None], side, 1.0) for side in (reference, live))
    pairs, chance = _Pairs.of(reference, live), chances(reference, live)
    sums = [_psi, _jensen_shannon, _hellinger, _cramers_v]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        null, bias, smooth = zip(*(of(pairs, chance) for of in sums), strict=True)
    value = np.stack([contingency.DISTANCES[name](reference, live) for name in _SUMS])
    value[1:] **= 2
    together = Null(*(np.stack(part) for part in zip(*null, strict=True)))
    found = of_sum(np.maximum(value, 0.0), together, np.stack(bias), np.stack(smooth))
    told = {name: Interval(*(part[i] if name == "psi" else np.sqrt(part[i]) for part in found)) for i, name in enumerate(_SUMS)}
    rows = (pairs.m + pairs.n)[:, 0]
    told["chi_square"] = Interval(*(part[-1] * rows for part in found))
    told["total_variation"] = _total_variation(reference, live, pairs, chance)
    return {name: Interval(*(np.where(known, part, np.nan) for part in own)) for name, own in told.items()}


_SUMS = ("psi", "jensen_shannon", "hellinger", "cramers_v")
_Told = tuple[Null, Floats, Floats]


def _psi(of: _Pairs, chance: Chances) -> _Told:
    k, m, n = of.p.shape[-1], of.m[..., None], of.n[..., None]

    def part(c: Floats, x: Floats) -> Floats:
        p, q = (c + _HALF) / (m + _HALF * k), (x + _HALF) / (n + _HALF * k)
        return np.asarray((q - p) * np.log(q / p))

    null, p, q = chance.null(part), of.smooth_p, of.smooth_q
    by_p, by_q = np.log(p / q) + 1 - q / p, np.log(q / p) + 1 - p / q
    # Half a row to each group draws the shares to one another: a bias of its own where they differ.
    drawn = (by_p * _HALF * (1 - k * p) / of.m + by_q * _HALF * (1 - k * q) / of.n).sum(axis=-1)
    bias = np.maximum(null.mean * of.excess(1 + q / p, 1 + p / q, 2.0, 2.0) + drawn, null.mean / 4)
    return null, bias, of.variance(by_p, by_q, smoothed=True)


def _jensen_shannon(of: _Pairs, chance: Chances) -> _Told:
    m, n = of.m[..., None], of.n[..., None]

    def part(c: Floats, x: Floats) -> Floats:
        p, q = c / m, x / n
        middle = (p + q) / 2
        return np.asarray(np.where(p > 0, p * np.log2(p / middle), 0.0) + np.where(q > 0, q * np.log2(q / middle), 0.0)) / 2

    null, middle = chance.null(part), (of.p + of.q) / 2
    by_p, by_q = (np.where(side > 0, np.log2(side / middle), 0.0) / 2 for side in (of.p, of.q))
    p, q = of.smooth_p, of.smooth_q
    return null, null.mean * of.excess(q / (p + q), p / (p + q), 0.5, 0.5), of.variance(by_p, by_q)


def _hellinger(of: _Pairs, chance: Chances) -> _Told:
    m, n = of.m[..., None], of.n[..., None]
    null = chance.null(lambda c, x: np.asarray((np.sqrt(c / m) - np.sqrt(x / n)) ** 2 / 2))
    by_p, by_q = np.where(of.p > 0, -np.sqrt(of.q / of.p) / 2, 0.0), np.where(of.q > 0, -np.sqrt(of.p / of.q) / 2, 0.0)
    ratio = np.sqrt(of.smooth_q / of.smooth_p)
    # Roots of a row or two are off by more than the second derivative says: the next term of the series (Anscombe, 1948). But that nobody has what
    # many should have is no accident of sampling.
    common = (of.p * of.m + of.q * of.n) / (of.m + of.n)
    rows, expected = (of.p * of.m, of.q * of.n), (common * of.m, common * of.n)
    own_p, own_q = (1 + _ROOT / (held + _HALF) * ((held > 0) | (few < _FEW)) for held, few in zip(rows, expected, strict=True))
    alike_p, alike_q = (1 + _ROOT / (held + _HALF) for held in expected)
    return null, null.mean * of.excess(ratio * own_p, own_q / ratio, alike_p, alike_q), of.variance(by_p, by_q)


def _cramers_v(of: _Pairs, chance: Chances) -> _Told:
    m, n = of.m[..., None], of.n[..., None]
    null = chance.null(lambda c, x: m * n / (m + n) * (c / m - x / n) ** 2 / np.maximum(c + x, 1e-300))
    a, b = of.m / (of.m + of.n), of.n / (of.m + of.n)
    gap = np.where(of.there > 0, (of.p - of.q) / np.maximum(a * of.p + b * of.q, 1e-300), 0.0)
    by_p, by_q = a * b * (2 * gap - a * gap**2), a * b * (-2 * gap - b * gap**2)
    p, q = of.smooth_p, of.smooth_q
    common = (a * p + b * q) ** 3
    return null, null.mean * of.excess(p * q**2 / common, p**2 * q / common, 1.0, 1.0), of.variance(by_p, by_q, smoothed=True)


def _total_variation(reference: Floats, live: Floats, of: _Pairs, chance: Chances) -> Interval:
    m, n = of.m[..., None], of.n[..., None]
    null = chance.null(lambda c, x: np.abs(c / m - x / n) / 2)
    side = np.sign(of.p - of.q) / 2
    return of_fold(contingency.total_variation(reference, live), null, of.variance(side, -side))
