"""What a run knows before it trains: the champion as it is served, its reference, and the ripe outcomes since."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from driftline.contracts.findings import RetrainTrigger
from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings, Settings
from driftline.retrain.artifacts import LoadedModel, load_model
from driftline.retrain.dataset import Outcomes, gather, spans_of
from driftline.retrain.matrix import Matrix, rows_to_matrix
from driftline.retrain.models import targets
from driftline.retrain.trainers import TrainerError
from driftline.store import references
from driftline.store.outcome_rows import OutcomeRow
from driftline.store.versions import Champion


@dataclass(frozen=True)
class Case:
    """What a run knows once its outcomes are gathered."""

    settings: Settings
    trigger: RetrainTrigger
    model_settings: ModelSettings
    reference: Reference
    champion: LoadedModel
    outcomes: Outcomes
    train: Matrix
    held_out: Matrix

    @property
    def labels(self) -> list[object]:
        """What really happened to the rows held out."""
        return [row.label for row in self.outcomes.held_out]


def gathered(engine: Engine, settings: Settings, trigger: RetrainTrigger, champion: Champion) -> Case:
    """Return the case of a trigger. Labels that are none of the model's classes are left out.

    Raises:
        ArtifactRefused: the champion's file.
        TrainerError: no file, no reference, or outcomes without what the model takes.
    """
    if champion.artifact is None or champion.sha256 is None:
        raise TrainerError(f"version {champion.version} was registered without a model file: there is no recipe to train by")
    loaded = opened(settings, champion.artifact, champion.sha256)
    reference = references.get(engine, champion.reference_id)
    if reference is None:
        raise TrainerError(f"the champion's reference {champion.reference_id} is not in the store")
    model_settings = settings.model(trigger.model)
    spans = spans_of(trigger, model_settings, reference, loaded.card.trained_until)
    found = gather(engine, trigger.model, spans, settings.retrain.max_rows)
    outcomes = Outcomes(spans, _usable(loaded, found.train), _usable(loaded, found.held_out))
    kept = {name for row in outcomes.train for name in row.features}
    absent = [name for name in loaded.card.columns if name not in kept]
    if outcomes.train and absent:
        raise TrainerError(f"the outcomes do not keep what the model takes ({', '.join(absent)}): see pii in the settings")
    columns = loaded.card.columns
    train, held_out = (rows_to_matrix([row.features for row in rows], columns) for rows in (outcomes.train, outcomes.held_out))
    return Case(settings, trigger, model_settings, reference, loaded, outcomes, train, held_out)


def _usable(model: LoadedModel, rows: list[OutcomeRow]) -> list[OutcomeRow]:
    classes = [] if model.card.task == "regression" else model.estimator.classes_.tolist()
    _, usable = targets(model.card.task, classes, [row.label for row in rows])
    return [row for row, good in zip(rows, usable.tolist(), strict=True) if good]


def opened(settings: Settings, name: str, sha256: str) -> LoadedModel:
    """Return a model file under the limits that the settings set. Raises ArtifactRefused."""
    limits = settings.retrain
    return load_model(
        Path(settings.artifacts),
        name,
        sha256,
        trusted=limits.trusted_types,
        max_bytes=limits.max_artifact_mb << 20,
    )
