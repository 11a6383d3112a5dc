"""The rows that a model's first champion was trained on, as if its events had come through the join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from driftline.contracts.ids import stable_id
from driftline.contracts.pii import rule_of
from driftline.contracts.settings import ModelSettings
from driftline.detectors.values import finite_number
from driftline.retrain.matrix import plain
from driftline.store import join
from driftline.store.join import JoinChange
from driftline.store.outcome_rows import LabelRow, OutcomeRow, PredictionRow

_CHUNK = 5_000


@dataclass(frozen=True)
class TrainingRows:
    """The rows a first champion was trained on, n of each, in any order: what the model saw, when, and what really
    happened.

    ``times`` and ``label_times`` in epoch milliseconds; without the latter the label delay is unknown. Ids, where the
    services have them, keep a row from being counted twice should its event be replayed.
    """

    features: Sequence[Mapping[str, Any]]
    labels: Sequence[float | str | bool]
    times: Sequence[int] | npt.NDArray[np.int64]
    label_times: Sequence[int] | npt.NDArray[np.int64] | None = None
    event_ids: Sequence[str] | None = None


def as_outcomes(rows: TrainingRows, model: str, version: str) -> list[OutcomeRow]:
    """Return the rows in order of time, as the join would have kept them; without a prediction, for none was served."""
    n = len(rows.features)
    if n == 0 or any(len(part) != n for part in (rows.labels, rows.times, rows.label_times, rows.event_ids) if part is not None):
        raise ValueError("a champion is registered with at least one row, and as many labels, times and ids as rows")
    known = rows.times if rows.label_times is None else rows.label_times
    order = np.lexsort((np.arange(n), np.asarray(rows.times))).tolist()
    return [
        OutcomeRow(
            model=model,
            event_id=rows.event_ids[i] if rows.event_ids is not None else stable_id("training", model, version, i),
            version=version,
            event_time=int(rows.times[i]),
            prediction=None,
            score=None,
            features={name: known_value(value) for name, value in rows.features[i].items()},
            label=_label(rows.labels[i]),
            label_time=int(known[i]),
        )
        for i in order
    ]


def backfill_outcomes(engine: Engine, rows: list[OutcomeRow], settings: ModelSettings) -> None:
    """Keep the rows as outcomes. Merging is idempotent, and a crash is gone on from where the cursor stands."""
    source = f"registered:{rows[0].model}"
    done = join.cursor(engine, source, 0)
    for start in range(done or 0, len(rows), _CHUNK):
        chunk = without_private(rows[start : start + _CHUNK], settings)
        change = JoinChange(
            source=source,
            partition=0,
            expected_next=done,
            next_offset=start + len(chunk),
            predictions=[
                PredictionRow(model=r.model, event_id=r.event_id, version=r.version, event_time=r.event_time, features=dict(r.features))
                for r in chunk
            ],
            labels=[LabelRow(model=r.model, event_id=r.event_id, label=r.label, label_time=r.label_time) for r in chunk],
        )
        join.apply(engine, change, lambda _: [])
        done = change.next_offset


def without_private(rows: Sequence[OutcomeRow], settings: ModelSettings) -> list[OutcomeRow]:
    """Return the rows without the features that the settings do not keep as they are."""
    return [msgspec.structs.replace(r, features={k: v for k, v in r.features.items() if rule_of(settings.pii, k) == "keep"}) for r in rows]


def known_value(value: object) -> float | int | str | bool | None:
    """Return a value as the join would have kept it: junk and NaN are null."""
    value = plain(value)
    return value if isinstance(value, bool | int | str) else finite_number(value)


def _label(value: object) -> float | str | bool:
    label = known_value(value)
    if label is None:
        raise ValueError(f"a label is {value!r}")
    return label
