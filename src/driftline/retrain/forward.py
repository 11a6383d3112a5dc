"""What a model would have said of rows it had not seen: fitted to the past, asked about what came next, again and again
(forward chaining).

A model's figures on its own training rows flatter it, and every later week would look like a fall in performance.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from driftline.contracts.reference import Task
from driftline.retrain.matrix import Matrix
from driftline.retrain.models import Answers, answers
from driftline.retrain.trainers import TrainingSet, fitted, recipe

CUTS = 5


def forward_answers(
    estimator: Any,
    *,
    model: str,
    task: Task,
    columns: tuple[str, ...],
    X: Matrix,
    y: npt.NDArray[Any],
    times: npt.NDArray[np.int64],
) -> tuple[Answers, npt.NDArray[np.bool_]]:
    """Return answers to all n rows, and which of them are honest: those of the later half of the time, asked of the
    recipe fitted to what came before.

    Raises:
        TrainerError: the recipe can't be fitted to the earlier half.
    """
    start, end = int(times.min()), int(times.max()) + 1
    said = answers(estimator, task, X)
    predictions, probabilities = list(said.predictions), said.probabilities.copy()
    honest = np.zeros(len(times), dtype=np.bool_)
    edges = np.linspace((start + end) // 2, end, CUTS + 1).astype(np.int64)
    for cut, until in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        past, ahead = times < cut, (times >= cut) & (times < until)
        if not ahead.any():
            continue
        training = TrainingSet(model=model, task=task, columns=columns, X=X[past], y=y[past], times=times[past], until=cut)
        step = answers(fitted(recipe(estimator), training), task, X[ahead])
        if step.classes != said.classes:
            continue  # a class had not shown itself yet
        for place, prediction in zip(np.flatnonzero(ahead).tolist(), step.predictions, strict=True):
            predictions[place] = prediction
        probabilities[ahead] = step.probabilities
        honest |= ahead
    return Answers(predictions, probabilities, said.classes), honest
