"""The slices in which a model does worst, from the counts of their outcomes alone."""

from __future__ import annotations

from driftline.contracts.findings import SlicePerformance
from driftline.contracts.reference import Task, Where, where_of
from driftline.detectors.layout import Layout
from driftline.detectors.pane import Pane
from driftline.detectors.performance import Estimate, mean_of, rooted, share_right

#: Outcomes below which a slice is not ranked: of thirty the interval of an error rate is a third wide.
MIN_ROWS = 30
#: So many are told.
MOST = 5


def weakest_slices(task: Task, layout: Layout, pane: Pane) -> list[tuple[Where, SlicePerformance]]:
    """Return the slices of a pane of outcomes in which the model surely does worst, worst first, each with its 95 % intervals.

    They are ranked by what they are at least (the end of the interval towards better), so that a small slice is not the weakest by chance alone: by
    the log-loss or root mean squared error, or by the error rate where there are no probabilities.
    """
    if pane.n < 0 or (pane.counts < 0).any():
        return []
    wheres = {(where.feature, where.number): where for column in layout.columns if (where := where_of(column)) is not None}
    found: list[tuple[float, Where, SlicePerformance]] = []
    for key, where in wheres.items():
        columns = {w.column: c.name for c in layout.columns if (w := where_of(c)) is not None and (w.feature, w.number) == key}
        told = _estimates(task, layout, pane, columns)
        worst = told.get("log_loss", told.get("rmse"))
        n = max((estimate.n for estimate in told.values()), default=0)
        if n < MIN_ROWS:
            continue
        at_least = worst.low if worst is not None else 1.0 - told["accuracy"].high
        performance = SlicePerformance(
            where=where.label,
            n=n,
            metrics={name: e.value for name, e in told.items()},
            low={name: e.low for name, e in told.items()},
            high={name: e.high for name, e in told.items()},
        )
        found.append((at_least, where, performance))
    found.sort(key=lambda one: (-one[0], one[1].feature, one[1].number))
    return [(where, performance) for _, where, performance in found[:MOST]]


def _estimates(task: Task, layout: Layout, pane: Pane, columns: dict[str, str]) -> dict[str, Estimate]:
    names = {"loss": "rmse" if task == "regression" else "log_loss", "absolute_error": "mae"}
    told = {metric: mean_of(layout, pane, columns[column]) for column, metric in names.items() if column in columns}
    if task == "regression":
        told["rmse"] = rooted(told.get("rmse"))
    elif "error" in columns:
        told["accuracy"] = share_right(layout, pane, columns["error"])
    return {metric: estimate for metric, estimate in told.items() if estimate is not None}
