"""What a fitted model says of rows, and what it costs to be wrong: one loss for each row, the same for champion and
challenger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from driftline.contracts.reference import Task
from driftline.detectors.values import canonical_text, finite_number
from driftline.retrain.matrix import Matrix

Floats = npt.NDArray[np.float64]

#: A probability is clipped to this distance from 0 and 1, here and in the monitored log-loss: one row costs at most
#: 13.8 nats.
CLIP = 1e-6


@dataclass(frozen=True)
class Answers:
    """A model's answers to n rows. ``probabilities`` (n, classes) and ``classes`` are empty for a regression,
    ``predictions`` are plain values.
    """

    predictions: Sequence[float | str]
    probabilities: Floats
    classes: tuple[str, ...]

    @property
    def scores(self) -> Floats | None:
        """The positive class's probability for each row; None where there is no such thing."""
        return self.probabilities[:, 1] if len(self.classes) == 2 else None


def classes_of(estimator: Any, task: Task) -> tuple[str, ...]:
    """Return a fitted model's classes as canonical text, in the order of its probabilities; empty for a regression."""
    return () if task == "regression" else tuple(canonical_text(c) or "" for c in estimator.classes_.tolist())


def answers(estimator: Any, task: Task, matrix: Matrix) -> Answers:
    """Return what the model says of the rows of a matrix. NaN and infinite answers raise ValueError: such a model is
    not fit for use.
    """
    if task == "regression":
        values = np.asarray(estimator.predict(matrix), dtype=np.float64)
        _finite(values)
        return Answers(values.tolist(), np.empty((len(matrix), 0)), ())
    probabilities = np.asarray(estimator.predict_proba(matrix), dtype=np.float64)
    _finite(probabilities)
    values_of = estimator.classes_.tolist()
    return Answers([values_of[i] for i in probabilities.argmax(axis=1)], probabilities, classes_of(estimator, task))


def targets(task: Task, classes: Sequence[Any], labels: Sequence[object]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return the labels as the model's own classes (regression: floats), and which of them are usable: a label of no
    known class is not.

    >>> values, usable = targets("classification", [0, 1], [True, "1", 0.0, "maybe"])
    >>> values.tolist(), usable.tolist()
    ([1, 1, 0, 0], [True, True, True, False])
    """
    if task == "regression":
        numbers = [finite_number(label) for label in labels]
        return np.array([0.0 if n is None else n for n in numbers]), np.array([n is not None for n in numbers], dtype=np.bool_)
    place_of: Mapping[str | None, int] = {canonical_text(c): i for i, c in enumerate(classes)}
    places = np.array([place_of.get(canonical_text(label), -1) for label in labels], dtype=np.intp)
    return np.asarray(classes)[np.maximum(places, 0)], places >= 0


def losses(task: Task, said: Answers, labels: Sequence[object]) -> Floats:
    """Return each row's log-loss (nats; regression: squared error). A class the model doesn't know costs the greatest
    loss.
    """
    if task == "regression":
        wanted = np.array([finite_number(label) for label in labels], dtype=np.float64)
        squared: Floats = (np.asarray(said.predictions, dtype=np.float64) - wanted) ** 2
        return squared
    places = _places(said, labels)
    chance = np.where(places >= 0, said.probabilities[np.arange(len(places)), np.maximum(places, 0)], 0.0)
    logs: Floats = -np.log(np.clip(chance, CLIP, 1 - CLIP))
    return logs


def metrics(task: Task, said: Answers, labels: Sequence[object]) -> dict[str, float]:
    """Return the mean figures a person asks for; those undefined on these rows (AUC of one class) are left out."""
    from sklearn.metrics import roc_auc_score

    if not labels:
        return {}
    loss = losses(task, said, labels)
    if task == "regression":
        error = np.sqrt(loss)
        return {"rmse": float(np.sqrt(loss.mean())), "mae": float(error.mean())}
    places = _places(said, labels)
    figures = {"log_loss": float(loss.mean()), "accuracy": float((said.probabilities.argmax(axis=1) == places).mean())}
    scores = said.scores
    if scores is not None:
        figures["brier"] = float(((scores - (places == 1)) ** 2).mean())
        if len(np.unique(places)) == 2:
            figures["auc"] = float(roc_auc_score(places == 1, scores))
    return figures


def loss_name(task: Task) -> str:
    """Return the name of the loss that a trial compares."""
    return "squared_error" if task == "regression" else "log_loss"


def _places(said: Answers, labels: Sequence[object]) -> npt.NDArray[np.intp]:
    place_of: Mapping[str | None, int] = {c: i for i, c in enumerate(said.classes)}
    return np.array([place_of.get(canonical_text(label), -1) for label in labels], dtype=np.intp)


def _finite(values: Floats) -> None:
    if not np.isfinite(values).all():
        raise ValueError("the model answers with NaN or infinity")
