"""Other systems' rules on chunks of rows, as they are published, for comparison. Pure.

*Evidently*, default for references above 1,000 rows: Wasserstein distance over the reference's sd, of categories Jensen-Shannon distance, above .1.
*NannyML*, from its description: Jensen-Shannon distance above the mean + 3 sd of the reference's own chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import jensenshannon

Floats = npt.NDArray[np.float64]
#: What a rule makes of a chunk; NaN is a missing value.
Statistic = Callable[[Floats], float]

EVIDENTLY_LIMIT, NANNYML_LIMIT = 0.1, 3.0


def evidently(reference: Floats, *, category: bool) -> Statistic:
    """Return Evidently's statistic against reference values; of categories, their codes.

    >>> drifted = evidently(np.arange(2000.0), category=False)
    >>> round(drifted(np.arange(2000.0) + 100), 3)
    0.173
    """
    return _ShareDistance(reference) if category else _Wasserstein(reference)


def nannyml(chunks: Sequence[Floats], *, category: bool) -> Statistic:
    """Return how many sd of the reference's own ``chunks`` a chunk is above their mean."""
    reference = np.concatenate([np.zeros(0), *chunks])
    apart: Statistic = _ShareDistance(reference) if category else _BinDistance(reference)
    own = np.array([apart(chunk) for chunk in chunks] or [0.0])
    mean, sd = float(own.mean()), max(float(own.std()), 1e-9)
    return lambda chunk: (apart(chunk) - mean) / sd


class _Wasserstein:
    """SciPy's distance over the reference's sd, in a time that hardly depends on the reference's size.

    Between two values of the chunk its distribution function is flat, so the reference's crosses it once at the most.
    """

    def __init__(self, reference: Floats) -> None:
        self._x = np.sort(_known(reference))
        self._scale = float(self._x.std()) if len(self._x) else 0.0
        self._f = np.arange(1, len(self._x) + 1) / max(len(self._x), 1)
        self._area = np.concatenate([[0.0], np.cumsum(self._f[:-1] * np.diff(self._x))])

    def __call__(self, chunk: Floats) -> float:
        known = np.sort(_known(chunk))
        if not len(known) or self._scale <= 0:
            return 0.0
        low, high = min(known[0], self._x[0]), max(known[-1], self._x[-1])
        ends = np.concatenate([[low], known, [high]])
        flat = np.arange(len(known) + 1) / len(known)
        a, b = ends[:-1], ends[1:]
        rank = np.clip(np.ceil(flat * len(self._x) - 1e-9).astype(int) - 1, 0, len(self._x) - 1)
        cross = np.clip(self._x[rank], a, b)
        left = flat * (cross - a) - (self._under(cross) - self._under(a))
        right = (self._under(b) - self._under(cross)) - flat * (b - cross)
        return float(np.abs(left).sum() + np.abs(right).sum()) / self._scale

    def _under(self, at: Floats) -> Floats:
        """The area under the reference's distribution function up to a value."""
        place = np.searchsorted(self._x, at, "right") - 1
        held = np.maximum(place, 0)
        found: Floats = np.where(place < 0, 0.0, self._area[held] + self._f[held] * (at - self._x[held]))
        return found


class _ShareDistance:
    """Jensen-Shannon distance of the shares of values."""

    def __init__(self, reference: Floats) -> None:
        self._values, self._counts = np.unique(_known(reference), return_counts=True)

    def __call__(self, chunk: Floats) -> float:
        values, counts = np.unique(_known(chunk), return_counts=True)
        both = np.union1d(self._values, values)
        p, q = np.zeros(len(both)), np.zeros(len(both))
        p[np.searchsorted(both, self._values)] = self._counts
        q[np.searchsorted(both, values)] = counts
        return _jensen_shannon(p, q)


class _BinDistance:
    """Jensen-Shannon distance over the reference's bins by Doane's rule; what lies outside counts to the outermost."""

    def __init__(self, reference: Floats) -> None:
        known = _known(reference)
        self._edges = np.histogram_bin_edges(known, "doane")
        self._counts = np.histogram(known, self._edges)[0].astype(np.float64)

    def __call__(self, chunk: Floats) -> float:
        inside = np.clip(_known(chunk), self._edges[0], self._edges[-1])
        return _jensen_shannon(self._counts, np.histogram(inside, self._edges)[0].astype(np.float64))


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _jensen_shannon(p: Floats, q: Floats) -> float:
    if not p.sum() or not q.sum():
        return 0.0
    return float(jensenshannon(p / p.sum(), q / q.sum(), base=2))
