from __future__ import annotations

import numpy as np
import pytest

from driftline.contracts.reference import Reference, Task
from driftline.detectors.layout import layout_of
from driftline.detectors.outcomes import Outcome
from driftline.detectors.pane import Pane
from driftline.detectors.parts import outcome_parts
from driftline.detectors.reference import build_reference
from driftline.detectors.slicing import Slicing
from driftline.detectors.weakest import MIN_ROWS, weakest_slices

START, ROWS = 1_600_000_000_000, 2_000
CARRIERS = ["UA", "AA", "DL", "WN"]


def _reference(task: Task) -> Reference:
    rng = np.random.default_rng(3)
    score = rng.random(ROWS)
    labels = (rng.random(ROWS) < score).astype(float) if task == "classification" else rng.normal(size=ROWS)
    return build_reference(
        model="m", version="1", task=task, effective_from=0, origin="built", times=START - np.arange(ROWS)[::-1] * 1_000,
        features={"carrier": rng.choice(CARRIERS, ROWS).tolist()}, predictions=labels.tolist() if task == "regression" else None,
        scores=score.tolist() if task == "classification" else None, labels=(labels + (task == "regression") * rng.normal(size=ROWS)).tolist(),
        slicing=Slicing({"carrier": ("UA", "AA", "DL")}),
    )  # fmt: skip


def _pane(reference: Reference, outcomes: list[Outcome]) -> Pane:
    pane = Pane(layout_of(reference, "outcomes"))
    for part in outcome_parts(lambda _: (reference, False), [(None, o) for o in outcomes], 60_000):
        pane.add(part)
    return pane


def _outcome(i: int, carrier: str, *, score: float | None = None, prediction: float | None = None, label: float) -> Outcome:
    return Outcome(
        event_id=str(i), model="m", version="1", event_time=START, prediction=prediction, score=score, label=label, label_time=START,
        features={"carrier": carrier},
    )  # fmt: skip


def test_a_planted_bad_slice_is_found_with_the_performance_that_its_rows_have() -> None:
    reference, rng = _reference("classification"), np.random.default_rng(4)
    found = []
    for i in range(1_200):
        carrier = CARRIERS[i % 4]
        score = float(rng.random())
        truth = rng.random() < (1 - score if carrier == "DL" else score)
        found.append(_outcome(i, carrier, score=score, label=float(truth)))
    told = weakest_slices("classification", layout_of(reference, "outcomes"), _pane(reference, found))
    worst = told[0][1]
    mine = [o for o in found if o.features["carrier"] == "DL"]
    scores, labels = np.array([o.score for o in mine], float), np.array([o.label for o in mine], float)
    losses = -np.log(np.where(labels == 1, scores, 1 - scores))
    assert (worst.where, worst.n) == ("carrier=DL", 300)
    assert worst.metrics["log_loss"] == pytest.approx(losses.mean(), rel=1e-3)
    assert worst.metrics["accuracy"] == pytest.approx(np.mean((scores >= 0.5) == (labels == 1)))
    assert worst.low["log_loss"] < worst.metrics["log_loss"] < worst.high["log_loss"]
    assert worst.high["log_loss"] - worst.low["log_loss"] == pytest.approx(2 * 1.96 * losses.std() / np.sqrt(300), rel=0.02)
    assert [where.label for where, _ in told] == [p.where for _, p in told]
    assert {p.where for _, p in told} == {"carrier=UA", "carrier=AA", "carrier=DL", "carrier: all others"}


def test_a_handful_of_rows_is_not_the_weakest_slice() -> None:
    reference, rng = _reference("regression"), np.random.default_rng(5)
    found = [
        _outcome(i, "UA" if i < MIN_ROWS - 1 else "AA", prediction=0.0, label=9.0 if i < MIN_ROWS - 1 else float(rng.normal())) for i in range(300)
    ]
    told = weakest_slices("regression", layout_of(reference, "outcomes"), _pane(reference, found))
    assert [p.where for _, p in told] == ["carrier=AA"]
    assert told[0][1].metrics.keys() == {"rmse", "mae"}
    assert not weakest_slices("regression", layout_of(reference, "outcomes"), Pane(layout_of(reference, "outcomes")))
