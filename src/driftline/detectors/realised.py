"""Realised metrics from outcome columns, row by row and exact: what a reference remembers of its performance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from driftline.contracts.reference import Task
from driftline.detectors.moments import Floats


def metrics_of(task: Task, columns: Mapping[str, Sequence[object]]) -> dict[str, float]:
    """Return the metrics that ``outcome_columns`` allow; one that is undefined (no rows, one class only, overflow) is
    missing.

    >>> metrics_of("regression", {"loss": [0.0, 4.0], "absolute_error": [0.0, 2.0]})
    {'mae': 1.0, 'rmse': 1.4142135623730951}
    """
    means = {name: _mean(values) for name, values in columns.items() if name in ("loss", "brier", "absolute_error")}
    metrics: dict[str, float | None] = {}
    if task == "regression":
        square = means.get("loss")
        metrics = {"mae": means.get("absolute_error"), "rmse": None if square is None else float(np.sqrt(square))}
    else:
        wrong = _mean([None if value is None else float(str(value)) for value in columns.get("error", ())])
        pairs = [pair for pair in columns.get("score_by_label", ()) if isinstance(pair, tuple)]
        metrics = {
            "log_loss": means.get("loss"),
            "brier": means.get("brier"),
            "accuracy": None if wrong is None else 1 - wrong,
            "auc": auc(np.array([p for p, _ in pairs]), np.array([y for _, y in pairs], np.float64)),
        }
    return {name: value for name, value in metrics.items() if value is not None}


def auc(scores: Floats, labels: Floats) -> float | None:
    """Return the area under the ROC curve by ranks, ties counting half (Mann and Whitney, 1947); None with one class
    only.

    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0.0, 1.0, 1.0]))
    0.75
    """
    ones = float(labels.sum())
    zeros = len(labels) - ones
    if not ones or not zeros:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[labels == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _mean(values: Sequence[object]) -> float | None:
    # Sorted, for sums of floats depend on their order and the reference's id on them.
    numbers = np.sort(np.array([value for value in values if isinstance(value, float)], np.float64))
    with np.errstate(over="ignore"):
        mean = float(numbers.mean()) if len(numbers) else np.inf
    return mean if np.isfinite(mean) else None
