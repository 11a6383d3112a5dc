"""What a label says of a prediction: the columns of outcomes, for each task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import cast

import msgspec
import numpy as np

from driftline.contracts.reference import Task
from driftline.detectors.values import binary_label, canonical_text, finite_number

#: Probabilities are clipped to [P_LEAST, 1 - P_LEAST] before a logarithm is taken: one sure mistake costs 13.8, not infinity.
P_LEAST = 1e-6
THRESHOLD = 0.5

Cell = float | str | tuple[float, int] | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A prediction with its label."""

    event_id: str
    model: str
    version: str
    event_time: int
    prediction: float | str | bool | None
    score: float | None
    label: float | str | bool
    label_time: int
    #: What is kept of the features: the slices that it counts in are told from them.
    features: Mapping[str, float | int | str | bool | None] = {}


def outcome_columns(task: Task, predictions: Sequence[object], scores: Sequence[object], labels: Sequence[object]) -> dict[str, list[object]]:
    """Return the columns of outcomes, one value a row, None where it is undefined.

    Binary classification: ``loss`` (log-loss), ``brier``, ``error`` ('0' or '1' at a score of .5), ``label``, ``score_by_label`` (pairs).
    Multiclass: ``error``, ``label``. Regression: ``loss`` (squared error), ``error`` (prediction - label), ``absolute_error``, ``label``.

    >>> outcome_columns("classification", [None], [0.8], [1])["error"]
    ['0']
    """
    if task == "classification" and (plain := _plain_binary(scores, labels)) is not None:
        return plain
    row = {"classification": _binary, "multiclass": _multiclass, "regression": _regression}[task]
    rows = [row(p, s, y) for p, s, y in zip(predictions, scores, labels, strict=True)]
    return {name: [r[i] for r in rows] for i, name in enumerate(COLUMNS[task])}


#: The names of the outcome columns, in the order of the layout.
COLUMNS: dict[Task, tuple[str, ...]] = {
    "classification": ("loss", "brier", "error", "label", "score_by_label"),
    "multiclass": ("error", "label"),
    "regression": ("loss", "error", "absolute_error", "label"),
}


_SAMPLED = "sampled:"


def sampled_at(share: float) -> str:
    """Return the quality count of outcomes that come of a sample of the predictions.

    >>> sampled_at(0.25)
    'sampled:0.25'
    """
    return f"{_SAMPLED}{share!r}"


def sampled_share(n: int, quality: Mapping[str, int]) -> float:
    """Return of which share of the predictions ``n`` outcomes come: 1 where none was left out. Each stands for 1 / its own share.

    >>> sampled_share(30, {"sampled:0.25": 10})
    0.5
    """
    shares = {float(name.removeprefix(_SAMPLED)): count for name, count in quality.items() if name.startswith(_SAMPLED)}
    stood_for = n - sum(shares.values()) + sum(count / share for share, count in shares.items())
    return n / stood_for if shares and n > 0 and stood_for > 0 else 1.0


_known_truth = lru_cache(maxsize=1024)(binary_label)


def _truth(label: object) -> int | None:
    """Return ``binary_label``'s answer, from memory where it can be remembered."""
    try:
        return _known_truth(label)
    except TypeError:  # a list or the like, which no set can hold
        return binary_label(label)


def _binary(prediction: object, score: object, label: object) -> tuple[Cell, ...]:
    truth = _truth(label)
    p = score if type(score) is float and score - score == 0.0 else finite_number(score)
    if truth is None:
        return (None, None, None, None, None)
    if p is None or not 0.0 <= p <= 1.0:
        said = binary_label(prediction)
        return (None, None, None if said is None else str(int(said != truth)), str(truth), None)
    clipped = min(max(p, P_LEAST), 1.0 - P_LEAST)
    loss = -math.log(clipped if truth else 1.0 - clipped)
    return (loss, (p - truth) ** 2, str(int((p >= THRESHOLD) != bool(truth))), str(truth), (p, truth))


def _plain_binary(scores: Sequence[object], labels: Sequence[object]) -> dict[str, list[object]] | None:
    """Return what ``_binary`` says of each row, to the last bit and at a third of the cost; None unless all have a probability and a label."""
    if set(map(type, scores)) != {float} or not set(map(type, labels)) <= {bool, int, float} or not set(labels) <= {0, 1}:
        return None
    sure = cast("Sequence[float]", scores)
    if not all(0.0 <= p <= 1.0 for p in sure):  # a NaN is not
        return None
    truths = [int(label) for label in cast("Sequence[float]", labels)]
    clipped = np.clip(sure, P_LEAST, 1.0 - P_LEAST).tolist()
    return {
        "loss": [-math.log(p if y else 1.0 - p) for p, y in zip(clipped, truths, strict=True)],  # not NumPy's: its last bit may differ
        "brier": [(p - y) ** 2 for p, y in zip(sure, truths, strict=True)],
        "error": ["01"[(p >= THRESHOLD) != y] for p, y in zip(sure, truths, strict=True)],
        "label": ["01"[y] for y in truths],
        "score_by_label": list(zip(sure, truths, strict=True)),
    }


def _multiclass(prediction: object, _: object, label: object) -> tuple[Cell, ...]:
    said, truth = canonical_text(prediction), canonical_text(label)
    return (None if said is None or truth is None else str(int(said != truth)), truth)


def _regression(prediction: object, _: object, label: object) -> tuple[Cell, ...]:
    said, truth = finite_number(prediction), finite_number(label)
    if said is None or truth is None:
        return (None, None, None, truth)
    error = said - truth
    square = error * error if abs(error) < 1e150 else math.inf  # the square of more is no float
    return (square, error, abs(error), truth)
