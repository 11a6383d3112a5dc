"""How a challenger comes to be. A trainer is any class with ``train``; the settings name it by dotted path, a topic
never does.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from driftline.contracts.errors import DriftlineError, SettingsError
from driftline.contracts.reference import Task
from driftline.retrain.matrix import Matrix

#: What a setting may name.
ACCEPTED = "package.module:Class, a class with train(champion, rows)"


class TrainerError(DriftlineError):
    """A challenger could not be trained: the run fails, the champion stays."""


@dataclass(frozen=True)
class TrainingSet:
    """Ripe outcomes in order of event time. ``X`` (n, features) holds floats, texts and None; ``y`` (n) the champion's
    own classes, or floats; ``times`` (n) epoch milliseconds; ``until`` is the event time at which the training rows end
    and the trial's begin.
    """

    model: str
    task: Task
    columns: tuple[str, ...]
    X: Matrix
    y: npt.NDArray[Any]
    times: npt.NDArray[np.int64]
    until: int


@runtime_checkable
class Trainer(Protocol):
    """Returns a fitted estimator that takes ``rows.X``. Must not change ``champion``; the same rows have to give the
    same challenger.
    """

    def train(self, champion: Any, rows: TrainingSet) -> Any:
        """Return the challenger."""
        ...


class SklearnTrainer:
    """The default: the champion's own recipe, fitted afresh to what has happened since."""

    def train(self, champion: Any, rows: TrainingSet) -> Any:
        """Return an unfitted clone of the champion, fitted to the rows.

        Raises:
            TrainerError: fewer than two classes in the rows, or the recipe refuses them.
        """
        return fitted(recipe(champion), rows)


def recipe(champion: Any) -> Any:
    """Return an unfitted clone whose randomness is seeded, so that anyone can train the same challenger again."""
    from sklearn.base import clone

    challenger = clone(champion)
    seeds = {k: 0 for k, v in challenger.get_params().items() if k.rpartition("__")[2] == "random_state" and v is None}
    return challenger.set_params(**seeds)


def fitted(estimator: Any, rows: TrainingSet, **fit_parameters: Any) -> Any:
    """Return the estimator, fitted to the rows. Raises TrainerError with the reason in a sentence."""
    if rows.task != "regression" and len(set(rows.y.tolist())) < 2:
        raise TrainerError(f"all {len(rows.y)} training rows have the same label")
    try:
        return estimator.fit(rows.X, rows.y, **fit_parameters)
    except Exception as error:  # a recipe may fail in any way: the run says so and the champion stays
        raise TrainerError(f"the recipe can't be fitted to {len(rows.y)} rows: {type(error).__name__}: {error}") from error


def load_trainer(path: str) -> Trainer:
    """Return the trainer that a setting names as ``package.module:Class``.

    >>> type(load_trainer("driftline.retrain.trainers:SklearnTrainer")).__name__
    'SklearnTrainer'
    """
    module, _, name = path.partition(":")
    if not module or not name.isidentifier():
        raise SettingsError("trainer", path, ACCEPTED)
    try:
        trainer = getattr(importlib.import_module(module), name)()
    except Exception as error:
        raise SettingsError("trainer", path, f"{ACCEPTED} ({type(error).__name__}: {error})") from error
    if not isinstance(trainer, Trainer):
        raise SettingsError("trainer", path, ACCEPTED)
    return trainer
