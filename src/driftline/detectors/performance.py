"""Realised performance from counts and fixed-point sums alone, with 95 % intervals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.findings import Performance
from driftline.contracts.reference import CategoricalColumn, GridColumn, NumericColumn, Reference, Task
from driftline.detectors.binning import Z2_SCALE, Z_SCALE
from driftline.detectors.layout import Layout
from driftline.detectors.outcomes import sampled_share
from driftline.detectors.pane import Pane

#: Two-sided 95 % of the normal distribution.
_Z = 1.959963984540054
#: Groups of adjoining score bins over which calibration is judged.
_GROUPS = 10

Ints = NDArray[np.int64]


class Estimate(NamedTuple):
    """A metric with its 95 % interval, over ``n`` outcomes."""

    value: float
    low: float
    high: float
    n: int = 0


def performance_of(task: Task, layout: Layout, pane: Pane, reference: Reference) -> Performance:
    """Return the metrics of the outcomes in a pane, those that are defined.

    ``log_loss``, ``brier``, ``rmse`` and ``mae`` come from fixed-point sums (error below 2^-20 of the reference's scale; what is more than 1,000
    scales away counts as 1,000), ``accuracy`` from counts. ``auc`` and ``ece`` come from scores in the reference's bins: ``auc_bin_error`` and
    ``ece_bin_error`` say how far they can be from those of the scores themselves. Intervals: normal for means, Wilson for shares, Hanley and McNeil
    (1982) for the AUC, the bin error for the ECE; they take predictions as independent. Nothing is told while a correction has overtaken what it
    corrects.
    """
    if pane.n < 0 or (pane.counts < 0).any():
        return Performance(n=max(pane.n, 0), metrics={}, reference=dict(reference.performance))
    names = {"rmse": "loss", "mae": "absolute_error"} if task == "regression" else {"log_loss": "loss", "brier": "brier"}
    metrics = {metric: mean_of(layout, pane, column) for metric, column in names.items()}
    if task == "regression":
        metrics["rmse"] = rooted(metrics["rmse"])
    else:
        metrics["accuracy"] = share_right(layout, pane, "error")
        metrics["auc"], metrics["ece"] = _auc(layout, pane), _ece(layout, pane)
    told = {name: estimate for name, estimate in metrics.items() if estimate is not None}
    return Performance(
        n=pane.n,
        metrics={name: estimate.value for name, estimate in told.items()},
        low={name: estimate.low for name, estimate in told.items()},
        high={name: estimate.high for name, estimate in told.items()},
        reference=dict(reference.performance),
        sampled=sampled_share(pane.n, pane.quality),
    )


def auc_bin_error(grid: Ints) -> float:
    """Return how far the AUC of a grid (slots of score x label) can be from that of the scores themselves.

    A pair in different bins is ordered as its scores are; one that shares a bin counts 1/2 where it should count 0, 1/2 or 1. So the difference is at
    most half the share of (positive, negative) pairs that share a bin.
    """
    negative, positive = grid[0::2].astype(np.float64), grid[1::2].astype(np.float64)
    pairs = float(negative.sum() * positive.sum())
    return float((negative * positive).sum()) / (2 * pairs) if pairs else 0.5


def ece_bin_error(column: GridColumn, grid: Ints) -> float:
    """Return how far a grid's calibration error can be from that of the scores in the same groups: each is at most half a bin from its middle."""
    n = int(grid.sum())
    lower, upper = _bounds(column)
    return float(((grid[0::2] + grid[1::2]) * (upper - lower)).sum()) / (2 * n) if n else 0.5


def _counts(layout: Layout, pane: Pane, name: str) -> Ints:
    return pane.counts[layout.slice_of(name)]


def mean_of(layout: Layout, pane: Pane, name: str) -> Estimate | None:
    """Return the mean of a numeric column of outcomes."""
    column = layout.column(name) if name in layout.offsets else None
    if not isinstance(column, NumericColumn):
        return None
    n = int(_counts(layout, pane, name)[: len(column.edges) + 1].sum())
    if n == 0:
        return None
    i = layout.numeric.index(name)
    mean = float(pane.sums[2 * i]) / Z_SCALE / n
    if column.center + column.scale * mean < -column.scale / Z_SCALE:  # no loss is below 0: a correction has overtaken what it corrects
        return None
    square = float(pane.sums[2 * i + 1]) / Z2_SCALE / n
    reach = _Z * math.sqrt(max(square - mean * mean, 0.0) / n)
    value, low, high = (column.center + column.scale * z for z in (mean, mean - reach, mean + reach))
    return Estimate(value, low, high, n)


def rooted(mean: Estimate | None) -> Estimate | None:
    """Return the root of a mean of squares."""
    if mean is None:
        return None
    value, low, high = (math.sqrt(max(part, 0.0)) for part in mean[:3])
    return Estimate(value, low, high, mean.n)


def share_right(layout: Layout, pane: Pane, name: str) -> Estimate | None:
    """Return the share of right answers from a column of errors, '0' and '1'."""
    column = layout.column(name) if name in layout.offsets else None
    if not isinstance(column, CategoricalColumn):
        return None
    slots = _counts(layout, pane, name)
    known, others = len(column.values), slots[len(column.values) : len(column.values) + 2]
    right = int(slots[column.values.index("0")]) if "0" in column.values else 0
    if "0" not in column.values:  # a reference without a single right answer knows no '0': it is then among the unseen
        right = int(others.sum()) if "1" in column.values else 0
    n = int(slots[:known].sum() + others.sum())
    if n == 0:
        return None
    share, z2 = right / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # Rounding may put an end of the interval a unit in the last place on the wrong side of a share of 0 or 1.
    return Estimate(share, min(max(middle - reach, 0.0), share), max(min(middle + reach, 1.0), share), n)


def _auc(layout: Layout, pane: Pane) -> Estimate | None:
    if "score_by_label" not in layout.offsets:
        return None
    grid = _counts(layout, pane, "score_by_label").astype(np.float64)
    negative, positive = grid[0::2], grid[1::2]
    lows, highs = float(negative.sum()), float(positive.sum())
    if lows == 0 or highs == 0:
        return None
    below = np.concatenate(([0.0], np.cumsum(negative)[:-1]))
    auc = float((positive * (below + negative / 2)).sum()) / (lows * highs)
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = (auc * (1 - auc) + (highs - 1) * (q1 - auc * auc) + (lows - 1) * (q2 - auc * auc)) / (lows * highs)
    reach = _Z * math.sqrt(max(variance, 0.0))
    return Estimate(auc, max(auc - reach, 0.0), min(auc + reach, 1.0))


def _ece(layout: Layout, pane: Pane) -> Estimate | None:
    """Expected calibration error over groups of adjoining bins that hold about as many rows each, a score taken as the middle of its bin."""
    column = layout.column("score_by_label") if "score_by_label" in layout.offsets else None
    if not isinstance(column, GridColumn):
        return None
    grid = _counts(layout, pane, column.name)
    positive, rows = grid[1::2], grid[0::2] + grid[1::2]
    n = int(rows.sum())
    if n == 0:
        return None
    lower, upper = _bounds(column)
    groups = np.minimum((np.cumsum(rows) - rows / 2) * _GROUPS // n, _GROUPS - 1).astype(np.int64)
    gaps = np.bincount(groups, weights=positive - rows * (lower + upper) / 2, minlength=_GROUPS)
    ece, error = float(np.abs(gaps).sum()) / n, ece_bin_error(column, grid)
    return Estimate(ece, max(ece - error, 0.0), min(ece + error, 1.0))


def _bounds(column: GridColumn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper end of each score bin; probabilities end at 0 and 1."""
    edges = np.asarray(column.edges, np.float64)
    first, last = (min(0.0, float(edges[0])), max(1.0, float(edges[-1]))) if len(edges) else (0.0, 1.0)
    return np.concatenate(([first], edges)), np.concatenate((edges, [last]))
