"""A reference for a model that nobody registered: built from its own first rows. Pure."""

from __future__ import annotations

import numpy as np

from driftline.contracts.paths import parents_of
from driftline.contracts.pii import rule_of
from driftline.contracts.reference import ANY_VERSION, Reference, Task
from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import SampleRow
from driftline.detectors.calendar import calendar_of
from driftline.detectors.reference import build_reference
from driftline.detectors.slicing import Slicing


def learned_reference(model: str, settings: ModelSettings, rows: list[SampleRow], effective_from: int) -> tuple[Reference, list[SampleRow]]:
    """Return the reference and the rows it was made of: the first ``learning_rows`` by (event time, place), whatever the order of arrival.

    It serves every version that has none of its own. Outcomes have no part in it: labels of rows this young are mostly still to come.
    """
    kept = sorted(rows, key=lambda row: (row.event_time, row.place, row.event_id))[: settings.learning_rows]
    # What samples hold of a hashed feature is not what live events bring: such a feature can't be learned from them.
    known = dict.fromkeys(name for row in kept for name in sorted(row.features))
    # An object that was null now and then is no feature beside those that lie in it.
    objects = {name for name in parents_of(known) if name in known and all(row.features.get(name) is None for row in kept)}
    names = [name for name in known if name not in objects and rule_of(settings.pii, name) == "keep"][: settings.max_features]
    reference = build_reference(
        model=model,
        version=ANY_VERSION,
        task=settings.task or _task(kept),
        effective_from=effective_from,
        origin="learned",
        times=np.array([row.event_time for row in kept], np.int64),
        features={name: [row.features.get(name) for row in kept] for name in names},
        kinds=settings.features,
        predictions=[row.prediction for row in kept],
        scores=[row.score for row in kept],
        importance=settings.importance,
        max_values=settings.max_values,
        max_features=settings.max_features,
        slicing=Slicing.of(settings),
        calendar=calendar_of(settings),
        all_events=True,
    )
    return reference, kept


def _task(rows: list[SampleRow]) -> Task:
    if any(row.score is not None for row in rows):
        return "classification"
    return "multiclass" if any(isinstance(row.prediction, str | bool) for row in rows) else "regression"
