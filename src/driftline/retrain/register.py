"""How a model's life with Driftline begins: its first champion with file, reference and the rows it was trained on,
stored and announced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from driftline.contracts.errors import DriftlineError
from driftline.contracts.findings import ModelVersion
from driftline.contracts.reference import Reference, Task
from driftline.contracts.settings import ModelSettings, Settings
from driftline.contracts.times import format_time
from driftline.retrain.artifacts import save_model
from driftline.retrain.card import ModelCard
from driftline.retrain.case import opened
from driftline.retrain.first_rows import TrainingRows, as_outcomes, backfill_outcomes, known_value, without_private
from driftline.retrain.forward import forward_answers
from driftline.retrain.importance import importance_of
from driftline.retrain.matrix import rows_to_matrix
from driftline.retrain.models import Answers, answers, classes_of, targets
from driftline.retrain.promotion import headers_of
from driftline.retrain.references import first_reference, sample_of
from driftline.store import references, versions
from driftline.store.outcome_rows import OutcomeRow
from driftline.store.transactions import writing

#: A feature is a number when this share of its values are; ``build_reference`` holds the same.
_NUMERIC_SHARE = 0.95


def register_champion(
    engine: Engine,
    settings: Settings,
    estimator: Any,
    rows: TrainingRows,
    *,
    model: str,
    task: Task,
    columns: Sequence[str],
    version: str = "1",
    held_out: npt.NDArray[np.bool_] | None = None,
    publishes_predictions: bool = True,
    backfill: bool = True,
) -> ModelVersion:
    """Register a fitted estimator as the first champion of ``model`` and return the version that waits in the outbox to
    be published.

    The estimator takes what ``rows_to_matrix`` makes of ``columns``. ``held_out`` marks the rows it was not fitted to:
    the reference's scores, losses and performance come from them; without it they come from forward chaining. With
    ``backfill`` the rows are kept as outcomes, for challengers to train on. ``publishes_predictions``: the service will
    publish the model's bare prediction beside the score.

    Raises:
        DriftlineError: the model has a champion already. ArtifactRefused: the estimator holds types that the settings
        do not trust. ValueError: no rows, or lengths that differ.
    """
    there = versions.current(engine, model)
    if there is not None:
        raise DriftlineError(f"{model} has a champion already: version {there.version}")
    own = settings.model(model)
    stored, columns_known = as_outcomes(rows, model, version), _kinds(columns, rows.features, own)
    X = rows_to_matrix([row.features for row in stored], columns_known)
    labels = [row.label for row in stored]
    times = np.array([row.event_time for row in stored], dtype=np.int64)
    y, usable = targets(task, [] if task == "regression" else estimator.classes_.tolist(), labels)
    if not usable.all():
        raise ValueError(f"{int((~usable).sum())} labels are none of the model's classes")
    if held_out is None:
        said, scored = forward_answers(estimator, model=model, task=task, columns=tuple(columns_known), X=X, y=y, times=times)
    else:
        order = np.lexsort((np.arange(len(times)), np.asarray(rows.times)))
        said, scored = answers(estimator, task, X), held_out[order]
    card = ModelCard(
        model=model,
        version=version,
        task=task,
        columns=columns_known,
        classes=classes_of(estimator, task),
        rows=int((~held_out).sum()) if held_out is not None else len(stored),
        trained_from=int(times[0]),
        trained_until=int(times[-1] if held_out is None else times[~scored].max()) + 1,
        trainer="registered",
    )
    artifact = save_model(Path(settings.artifacts), estimator, card)
    opened(settings, artifact.name, artifact.sha256)  # refuse now what nobody could open later
    weighed = np.flatnonzero(scored) if scored.any() else np.arange(len(stored))
    importance = own.importance or importance_of(estimator, task, tuple(columns_known), X[weighed], [labels[i] for i in weighed])
    reference = first_reference(
        stored,
        said,
        scored,
        own,
        model=model,
        version=version,
        task=task,
        columns=columns_known,
        importance=importance,
        publishes_predictions=publishes_predictions,
        known_delays=rows.label_times is not None,
    )
    announced = ModelVersion(
        model=model,
        sequence=1,
        status="champion",
        version=version,
        reference_id=reference.reference_id,
        effective_from=reference.effective_from,
        artifact=artifact.name,
        sha256=artifact.sha256,
        sentence=(
            f"Version {version} of {model} is registered: trained on {card.rows} rows "
            f"from {format_time(card.trained_from)} to {format_time(card.trained_until)}."
        ),
    )
    if backfill:
        backfill_outcomes(engine, stored, own)
    _store(engine, announced, reference, without_private(stored, own), said)
    return announced


def _store(engine: Engine, announced: ModelVersion, reference: Reference, rows: list[OutcomeRow], said: Answers) -> None:
    with writing(engine) as conn:
        references.put(conn, reference, sample_of(rows, said))
        if not versions.register_first(conn, announced, headers_of(announced)):
            raise DriftlineError(f"{announced.model} has a champion already")


def _kinds(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], settings: ModelSettings) -> dict[str, bool]:
    return {name: settings.features[name] == "categorical" if name in settings.features else _is_category(name, rows) for name in columns}


def _is_category(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    values = [value for value in (known_value(row.get(name)) for row in rows) if value is not None]
    numbers = sum(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return numbers < _NUMERIC_SHARE * len(values)
