"""Rules on chunks: Evidently's default and NannyML's. Each is a statistic for each column and a limit, so that tuning is exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.detection.streams import Floats, Run
from benchmarks.detection.watching import Alarm, Until, Watcher
from driftline.detectors import chunk_rules

#: What a rule makes of a run: the statistic of chunks of live rows, shape (chunks, columns).
Statistic = Callable[[Run], Floats]
EVIDENTLY_ROWS, NANNYML_ROWS = 1000, 500


def evidently(run: Run) -> Floats:
    """Evidently's default on chunks of 1,000 rows."""
    return _each(run, EVIDENTLY_ROWS, lambda reference, category: chunk_rules.evidently(reference, category=category))


def nannyml(run: Run) -> Floats:
    """NannyML's rule on chunks of 500 rows."""
    return _each(run, NANNYML_ROWS, lambda reference, category: chunk_rules.nannyml(_chunks(reference, NANNYML_ROWS), category=category))


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
    Watcher("evidently", partial(watch, evidently, EVIDENTLY_ROWS), chunk_rules.EVIDENTLY_LIMIT),
    Watcher("nannyml", partial(watch, nannyml, NANNYML_ROWS), chunk_rules.NANNYML_LIMIT),
)
STATISTICS: dict[str, Statistic] = {"evidently": evidently, "nannyml": nannyml}


def _each(run: Run, size: int, rule: Callable[[Floats, bool], Callable[[Floats], float]]) -> Floats:
    parts = []
    for i in range(run.live.shape[1]):
        statistic = rule(run.reference[:, i], run.group == "errors" or i in run.categories)
        parts.append([statistic(chunk) for chunk in _chunks(run.live[:, i], size)])
    return np.array(parts).T


def _chunks(rows: Floats, size: int) -> list[Floats]:
    return [rows[k : k + size] for k in range(0, len(rows) - size + 1, size)]
