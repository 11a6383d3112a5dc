"""The reference a turn brings with it: what the new champion was trained on, or the drift that the old one was found to
bear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Engine

from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import NumericColumn, Reference, Task
from driftline.contracts.settings import FeatureKind, ModelSettings, WorkerSettings
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import parse_duration
from driftline.detectors.calendar import calendar_of
from driftline.detectors.kinds import kinds_in
from driftline.detectors.reference import build_reference
from driftline.detectors.slicing import Slicing
from driftline.detectors.values import canonical_text, finite_number
from driftline.retrain.matrix import Columns
from driftline.retrain.models import Answers
from driftline.store import detection
from driftline.store.outcome_rows import OutcomeRow

#: Rows of a reference that are kept as they are, for reports.
SAMPLE_ROWS = 2_000


@dataclass(frozen=True)
class Evidence:
    """Rows behind a reference: ``scored`` marks those whose ``said`` (a model's answers) and labels count, because the
    model was not fitted to them.
    """

    rows: Sequence[OutcomeRow]
    scored: npt.NDArray[np.bool_]
    said: Answers


def turned_reference(
    old: Reference,
    settings: ModelSettings,
    evidence: Evidence,
    *,
    version: str,
    origin: Literal["challenger", "accepted"],
    effective_from: int,
    importance: Mapping[str, float],
    own_predictions: bool,
) -> Reference:
    """Return the reference for ``version`` from recent outcomes. Kinds of features stay as ``old`` has them, so that
    findings stay comparable.

    Without ``own_predictions`` the service decides by a rule of its own (a threshold, say) and the prediction column is
    left out: a reference of the model's bare predictions would look like drift from the first hour on.
    """
    rows, said = evidence.rows, evidence.said
    names = sorted({name for row in rows for name in row.features})
    return build_reference(
        model=old.model,
        version=version,
        task=old.task,
        effective_from=effective_from,
        origin=origin,
        times=np.array([row.event_time for row in rows], dtype=np.int64),
        features={name: [row.features.get(name) for row in rows] for name in names},
        kinds={**kinds_in(old), **settings.features},
        predictions=_predictions(old, said) if own_predictions else None,
        scores=None if said.scores is None else said.scores.tolist(),
        labels=[row.label for row in rows],
        scored=evidence.scored,
        label_delays=[row.label_time - row.event_time for row in rows],
        importance=dict(importance),
        max_values=settings.max_values,
        max_features=settings.max_features,
        slicing=Slicing.of(settings),
        calendar=calendar_of(settings),
        all_events=settings.reference_rows == "all" and settings.outcome_sample == 1,
    )


def first_reference(
    rows: Sequence[OutcomeRow],
    said: Answers,
    scored: npt.NDArray[np.bool_],
    settings: ModelSettings,
    *,
    model: str,
    version: str,
    task: Task,
    columns: Columns,
    importance: Mapping[str, float],
    publishes_predictions: bool,
    known_delays: bool,
) -> Reference:
    """Return the reference of a model's first champion; it holds from the end of its rows, and before it for want of
    another.
    """
    names = sorted({name for row in rows for name in row.features})
    kinds: dict[str, FeatureKind] = {name: "categorical" if categorical else "numeric" for name, categorical in columns.items()}
    return build_reference(
        model=model,
        version=version,
        task=task,
        effective_from=rows[-1].event_time + 1,
        origin="built",
        times=np.array([row.event_time for row in rows], dtype=np.int64),
        features={name: [row.features.get(name) for row in rows] for name in names},
        kinds={**kinds, **settings.features},
        predictions=list(said.predictions) if publishes_predictions else None,
        scores=None if said.scores is None else said.scores.tolist(),
        labels=[row.label for row in rows],
        scored=scored,
        label_delays=[row.label_time - row.event_time for row in rows] if known_delays else None,
        importance=dict(importance),
        max_values=settings.max_values,
        max_features=settings.max_features,
        slicing=Slicing.of(settings),
        calendar=calendar_of(settings),
        all_events=settings.reference_rows == "all" and settings.outcome_sample == 1,
    )


def sample_of(rows: Sequence[OutcomeRow], said: Answers) -> list[SampleRow]:
    """Return the rows with the smallest hashes, with the model's answers: which are kept depends on their ids alone."""
    places = [sample_hash(row.event_id) for row in rows]
    chosen = sorted(range(len(rows)), key=lambda i: (places[i], rows[i].event_id))[:SAMPLE_ROWS]
    scores = said.scores
    return [
        SampleRow(
            place=places[i],
            event_id=rows[i].event_id,
            event_time=rows[i].event_time,
            version=rows[i].version,
            features=dict(rows[i].features),
            prediction=said.predictions[i],
            score=None if scores is None else float(scores[i]),
        )
        for i in chosen
    ]


def effective_after(target: Engine | Connection, at: int, settings: ModelSettings, worker: WorkerSettings) -> int:
    """Return the pane boundary from which a new reference may hold: after every event that any step has met, and those
    it meets meanwhile.

    Summaries already made keep the reference they were made against. An event far ahead of its time moves nothing: what
    counts is the watermark, the lateness it stays behind by, and the skew that is allowed.
    """
    ahead = parse_duration(settings.allowed_lateness) + parse_duration(worker.allowed_skew)
    newest = max([at, *(min(source.newest, source.watermark + ahead) for source in detection.all_sources(target))])
    pane = parse_duration(settings.pane)
    return (newest + parse_duration(worker.version_wait)) // pane * pane + pane


def _predictions(old: Reference, said: Answers) -> list[float | str | None] | None:
    column = next((c for c in old.columns if c.role == "prediction"), None)
    if column is None:
        return None
    read: Callable[[object], float | str | None] = finite_number if isinstance(column, NumericColumn) else canonical_text
    return [read(value) for value in said.predictions]
