"""Intervals of a loss that respect time: neighbouring predictions share their weather, so blocks of time are what varies independently."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from scipy.stats import t as student

from driftline.contracts.findings import Performance

#: Fewer blocks say nothing about how blocks vary.
LEAST_BLOCKS = 3
#: Two ends, each passed with this probability at the most.
_CONFIDENCE = 0.95
#: Metrics that are means over rows (``rmse`` of squares).
_MEANS = ("log_loss", "brier", "accuracy", "mae", "rmse")


def over_blocks(total: Performance, blocks: Sequence[Performance]) -> Performance:
    """Return the performance with intervals of its means at least as wide as its blocks vary.

    A mean over blocks of different size is a ratio; its standard error is the ratio estimator's (Cochran, Sampling Techniques, 1977, 6.4), its
    interval Student's with one degree of freedom less than there are blocks, 95 % at each end.

    >>> day = lambda loss: Performance(n=100, metrics={"log_loss": loss})
    >>> told = over_blocks(Performance(n=300, metrics={"log_loss": 0.5}), [day(0.4), day(0.5), day(0.6)])
    >>> round(told.low["log_loss"], 3), round(told.high["log_loss"], 3)
    (0.331, 0.669)
    """
    low, high = dict(total.low), dict(total.high)
    for name in _MEANS:
        told = [(block.n, block.metrics[name]) for block in blocks if block.n > 0 and name in block.metrics]
        if name not in total.metrics or len(told) < LEAST_BLOCKS:
            continue
        below, above = _interval(told, squared=name == "rmse")
        low[name] = min(below, low.get(name, below))
        high[name] = max(above, high.get(name, above))
    return msgspec.structs.replace(total, low=low, high=high)


def _interval(blocks: Sequence[tuple[int, float]], *, squared: bool) -> tuple[float, float]:
    n = np.array([rows for rows, _ in blocks], np.float64)
    value = np.array([mean for _, mean in blocks], np.float64)
    value = value**2 if squared else value
    mean = float((n * value).sum() / n.sum())
    k = len(blocks)
    error = math.sqrt(float(((n * (value - mean)) ** 2).sum()) * k / (k - 1)) / float(n.sum())
    reach = float(student.ppf(_CONFIDENCE, k - 1)) * error
    ends = (mean - reach, mean + reach)
    return (math.sqrt(max(ends[0], 0.0)), math.sqrt(ends[1])) if squared else ends
