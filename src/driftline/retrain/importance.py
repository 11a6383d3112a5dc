"""How much a model leans on each feature: the loss it gains when that feature alone is shuffled (Breiman, Random
Forests, 2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from driftline.contracts.reference import Task
from driftline.retrain.matrix import Matrix
from driftline.retrain.models import answers, losses

_ROWS = 2_000
_REPEATS = 3


def importance_of(estimator: Any, task: Task, columns: Sequence[str], matrix: Matrix, labels: Sequence[object]) -> dict[str, float]:
    """Return each feature's share of the importance, summing to 1; all 0 where shuffling costs nothing.

    At most 2,000 rows, evenly spaced, are shuffled with a fixed seed: the same model and rows give the same shares.
    """
    if not len(matrix):
        return dict.fromkeys(columns, 0.0)
    chosen = np.unique(np.linspace(0, len(matrix) - 1, min(_ROWS, len(matrix))).astype(np.intp))
    rows, known = matrix[chosen], [labels[i] for i in chosen]
    base = losses(task, answers(estimator, task, rows), known).mean()
    random = np.random.default_rng(0)
    gains = np.zeros(len(columns))
    for place in range(len(columns)):
        for _ in range(_REPEATS):
            shuffled = rows.copy()
            shuffled[:, place] = rows[random.permutation(len(rows)), place]
            gains[place] += losses(task, answers(estimator, task, shuffled), known).mean() - base
    gains = np.maximum(gains, 0)
    total = gains.sum()
    return {name: float(gain / total) if total > 0 else 0.0 for name, gain in zip(columns, gains, strict=True)}
