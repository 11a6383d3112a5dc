"""What a sum over groups shows by chance: its mean and variance while both sides have one distribution, given how many rows each group has in both.

Given these, a group's rows of the window are hypergeometric whatever the distribution is (Fisher, 1935): the mean of each group's part is exact,
also where groups have a row or none, where chi-square's approximation fails (Cochran, 1954). Parts of different groups are not independent, the
window's rows being n: their covariances are taken from the first two Hermite coefficients of each part and the correlation of the two groups'
rows (Mehler, 1866), which is exact for squares and nearly so for absolute differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from driftline.detectors.moments import Floats
from driftline.detectors.uncertainty import Null

#: Places at which a group's rows are looked at: all that there may be, or evenly over five sd to either side. The trapezoid rule needs no more.
_NODES = 17
_REACH = 5.0
# From this variance on a group's rows are as good as normal; the factorials of huge counts would cancel to noise.
_NORMAL = 400.0
_TINY = 1e-300

#: A group's part of a distance, of counts of the reference and of the window: shape (pairs, groups, nodes) in and out.
Part = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True, eq=False)
class Chances:
    """The rows of the window that each group may have: ``live`` and their probabilities ``weight`` (pairs, groups, nodes), ``reference`` the rest of
    the group's rows; ``z`` is ``live`` standardised; ``odds`` (pairs, groups) of a row to be of the group.
    """

    reference: Floats
    live: Floats
    weight: Floats
    z: Floats
    odds: Floats

    def null(self, part: Part) -> Null:
        """Return the null moments of the sum of ``part`` over the groups."""
        parts = part(self.reference, self.live)
        mean = (self.weight * parts).sum(axis=-1)
        off = parts - mean[..., None]
        weighed = self.weight * off
        variance = (weighed * off).sum(axis=-1)
        square = self.z**2 - 1
        first = (weighed * self.z).sum(axis=-1) * np.sqrt(self.odds)
        second = (weighed * square).sum(axis=-1) / np.sqrt(np.maximum((self.weight * square**2).sum(axis=-1), 1e-12)) * self.odds
        # Two groups are correlated by - sqrt(odds odds): to the first power for what is odd, to the second for what is even.
        shared = _crossed(second) - _crossed(first)
        return Null.of(mean.sum(axis=-1), np.maximum(variance.sum(axis=-1) + shared, 0.0))


def chances(reference: Floats, live: Floats) -> Chances:
    """Return what the rows of each group may be, of pairs of counts (pairs, groups)."""
    both = reference + live
    m, n = (np.broadcast_to(side.sum(axis=-1, keepdims=True), both.shape) for side in (reference, live))
    total = np.maximum(m + n, 1.0)
    mean = both * n / total
    variance = mean * (m / total) * np.maximum(total - both, 0.0) / np.maximum(total - 1, 1.0)
    sd = np.sqrt(variance)
    first = np.floor(np.maximum(np.maximum(both - m, 0.0), mean - _REACH * sd - 1))
    last = np.maximum(np.ceil(np.minimum(np.minimum(both, n), mean + _REACH * sd + 2)), first)
    step = np.maximum(np.ceil((last - first) / (_NODES - 1)), 1.0)
    at = first[..., None] + step[..., None] * np.arange(_NODES)
    inside = at <= last[..., None]
    at = np.minimum(at, last[..., None])
    z = (at - mean[..., None]) / np.maximum(sd[..., None], _TINY) * (sd > 0)[..., None]
    rest = np.maximum(both[..., None] - at, 0.0)
    ways = gammaln(at + 1) + gammaln(rest + 1) + gammaln(np.maximum(n[..., None] - at, 0.0) + 1) + gammaln(np.maximum(m[..., None] - rest, 0.0) + 1)
    log = np.where(variance[..., None] > _NORMAL, -(z**2) / 2, -ways)
    log = np.where(inside, log, -np.inf)
    weight = np.exp(log - log.max(axis=-1, keepdims=True))
    odds = both / np.maximum(total - both, 1e-12)
    return Chances(rest, at, weight / weight.sum(axis=-1, keepdims=True), z, odds)


def _crossed(by_group: Floats) -> Floats:
    """Return the sum over all pairs of different groups of the product of the two."""
    crossed: Floats = by_group.sum(axis=-1) ** 2 - (by_group**2).sum(axis=-1)
    return crossed
