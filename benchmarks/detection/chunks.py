"""Rules on chunks: Evidently's default and NannyML's. Each is a statistic for each column and a limit, so that tuning is exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.spatial.distance import jensenshannon

from benchmarks.detection.streams import Floats, Run
from benchmarks.detection.watching import Alarm, Until, Watcher

#: What a rule makes of a run: the statistic of chunks of live rows, shape (chunks, columns).
Statistic = Callable[[Run], Floats]
EVIDENTLY_ROWS, NANNYML_ROWS = 1000, 500


def evidently(run: Run) -> Floats:
    """Evidently's default above 1,000 reference rows, on chunks of 1,000: Wasserstein distance over the reference's sd; Jensen-Shannon of categories.

    The limit published is .1 for both.
    """
    return _each(run, EVIDENTLY_ROWS, lambda reference, category: _ShareDistance(reference) if category else _Wasserstein(reference))


def nannyml(run: Run) -> Floats:
    """NannyML's rule, from its description: chunks of 500, Jensen-Shannon distance, in sd above the mean of the reference's own chunks.

    The limit published is 3.
    """

    def rule(reference: Floats, category: bool) -> Callable[[Floats], float]:  # noqa: FBT001 - one caller
        apart = _ShareDistance(reference) if category else _BinDistance(reference)
        own = np.array([apart(chunk) for chunk in _chunks(reference, NANNYML_ROWS)] or [0.0])
        mean, sd = float(own.mean()), max(float(own.std()), 1e-9)
        return lambda chunk: (apart(chunk) - mean) / sd

    return _each(run, NANNYML_ROWS, rule)


def watch(statistic: Statistic, size: int, run: Run, limit: float, until: Until) -> list[Alarm]:
    """Return the chunks in which a column is above the limit, greatest first."""
    found = []
    for place, of in enumerate(statistic(run)):
        above = [i for i in np.argsort(-of).tolist() if of[i] > limit]
        if above:
            found.append(Alarm((place + 1) * size, tuple(f"f{i}" for i in above)))
            if until is not None and (place + 1) * size > until:
                break
    return found


CHUNKED = (
    Watcher("evidently", partial(watch, evidently, EVIDENTLY_ROWS), 0.1),
    Watcher("nannyml", partial(watch, nannyml, NANNYML_ROWS), 3.0),
)
STATISTICS: dict[str, Statistic] = {"evidently": evidently, "nannyml": nannyml}


def _each(run: Run, size: int, rule: Callable[[Floats, bool], Callable[[Floats], float]]) -> Floats:
    parts = []
    for i in range(run.live.shape[1]):
        statistic = rule(run.reference[:, i], run.errors or i in run.categories)
        parts.append([statistic(chunk) for chunk in _chunks(run.live[:, i], size)])
    return np.array(parts).T


def _chunks(rows: Floats, size: int) -> list[Floats]:
    return [rows[k : k + size] for k in range(0, len(rows) - size + 1, size)]


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


class _Wasserstein:
    """SciPy's distance over the reference's sd, in a time that hardly depends on the reference's size.

    Between two values of the chunk its distribution function is flat, so the reference's crosses it once at the most.
    """

    def __init__(self, reference: Floats) -> None:
        self._x = np.sort(_known(reference))
        self._scale = float(self._x.std())
        self._f = np.arange(1, len(self._x) + 1) / len(self._x)
        self._area = np.concatenate([[0.0], np.cumsum(self._f[:-1] * np.diff(self._x))])

    def __call__(self, chunk: Floats) -> float:
        known = np.sort(_known(chunk))
        if not len(known) or self._scale <= 0:
            return 0.0
        low, high = min(known[0], self._x[0]), max(known[-1], self._x[-1])
        ends = np.concatenate([[low], known, [high]])
        flat = np.arange(len(known) + 1) / len(known)
        a, b = ends[:-1], ends[1:]
        cross = np.clip(self._x[np.clip(np.ceil(flat * len(self._x) - 1e-9).astype(int) - 1, 0, len(self._x) - 1)], a, b)
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


def _jensen_shannon(p: Floats, q: Floats) -> float:
    if not p.sum() or not q.sum():
        return 0.0
    return float(jensenshannon(p / p.sum(), q / q.sum(), base=2))
