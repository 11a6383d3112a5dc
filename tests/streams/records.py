"""Records of a source partition as a consumer hands them over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from driftline.contracts.reference import CategoricalColumn, Column, GridColumn, NumericColumn, Reference, Task, seal
from driftline.detectors.outcomes import COLUMNS

T0 = 1_600_000_000_000
PANE = 5_000


@dataclass(frozen=True)
class Record:
    offset: int
    value: bytes | None
    timestamp: int = T0
    key: bytes | None = None
    topic: str = "inference-events"
    partition: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def event(
    offset: int, at: int, *, event_id: str | None = None, model: str = "m", version: str = "1", appended: int | None = None, **fields: object
) -> Record:
    content = {
        "event_id": event_id or f"event-{offset}", "model": model, "version": version, "event_time": at, "features": {"x": offset % 3, "c": "a"},
        "prediction": 1, "score": 0.5,
    } | fields  # fmt: skip
    return Record(offset, msgspec.json.encode(content), timestamp=at if appended is None else appended)


def label(offset: int, event_id: str, at: int, value: object = 1, model: str = "m") -> Record:
    content = {"event_id": event_id, "model": model, "event_time": at, "label": value}
    return Record(offset, msgspec.json.encode(content), timestamp=at, topic="label-events")


def _outcome(name: str) -> Column:
    if name == "score_by_label":
        return GridColumn(name=name, role="outcome", edges=(0.0, 0.5, 1.0), counts=(1,) * 8)
    if name in {"error", "label"}:
        return CategoricalColumn(name=name, role="outcome", values=("0", "1"), counts=(1,) * 6)
    return NumericColumn(name=name, role="outcome", edges=(0.0, 1.0), center=0.0, scale=1.0, counts=(1,) * 7)


def reference(version: str = "1", effective_from: int = 0, *, outcomes: bool = True, model: str = "m", delay: int | None = None) -> Reference:
    task: Task = "classification"
    return seal(
        Reference(
            model=model, version=version, effective_from=effective_from, origin="built", task=task,
            columns=(
                NumericColumn(name="x", role="feature", edges=(0.0, 1.0, 2.0), center=1.0, scale=1.0, counts=(1,) * 8),
                CategoricalColumn(name="c", role="feature", values=("a", "b"), counts=(1,) * 6),
            ),
            outcomes=tuple(map(_outcome, COLUMNS[task])) if outcomes else (), rows=10, span_start=0, span_end=1, label_delay_p95=delay,
        )
    )  # fmt: skip
