"""The same log, counted at leisure: read back, one partition as one block, a join by plain dictionaries."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from tests.integration.stream import LABEL_WAIT, LATENESS, PANE, WINDOW

from driftline.contracts.columnar import FEATURE_PREFIX, META_MODEL, META_VERSION
from driftline.contracts.errors import DecodeError
from driftline.contracts.events import InferenceEvent, LabelEvent, decode_inference, decode_label
from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import NumericColumn, Reference
from driftline.contracts.summaries import PanePart
from driftline.contracts.times import DAY_MS, MINUTE_MS
from driftline.detectors.layout import layout_of
from driftline.detectors.outcomes import Outcome
from driftline.detectors.pane import Pane
from driftline.detectors.parts import PartBuilder, outcome_parts
from driftline.detectors.rows import Rows
from driftline.detectors.values import MISSING
from driftline.store.detect_rows import PaneKey

SAMPLE_ROWS = 64
ALLOWED_SKEW = 5 * MINUTE_MS

#: An event, whether it is late, and whether its clock is ahead.
Row = tuple[InferenceEvent, bool, bool]


class Rejected(NamedTuple):
    """A record that is no event."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


@dataclass
class Count:
    """What a log comes to."""

    panes: dict[PaneKey, Pane] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], Outcome] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    #: How many events each model has in the log, repeats included.
    events: dict[str, int] = field(default_factory=dict)
    #: For each (model, pane start) the offsets that went in.
    offsets: dict[tuple[str, int], set[tuple[int, int]]] = field(default_factory=dict)


def count(inference: Iterable[Any], labels: Iterable[Any], references: Sequence[Reference]) -> Count:
    """Count a log under one reference a model."""
    result = Count()
    of_model = {r.model: r for r in references}
    predictions: dict[tuple[str, str], InferenceEvent] = {}
    for records in _partitions(inference):
        _count_partition(records, of_model, predictions, result)
    final: dict[tuple[str, str], LabelEvent] = {}
    for records in _partitions(labels):
        for record in records:
            try:
                label = decode_label(record.value, record.headers)
            except DecodeError:
                result.rejected.append(Rejected("label-events", record.partition, record.offset, record.key, record.value))
                continue
            key = (label.model, label.event_id)
            if key not in final or label.event_time > final[key].event_time:
                final[key] = label
    for key, event in predictions.items():
        known = final.get(key)
        if known is not None and known.label is not None:
            result.outcomes[key] = _outcome(event, known)
    for model, reference in of_model.items():
        mine = [o for (m, _), o in result.outcomes.items() if m == model]
        parts = outcome_parts(lambda o, r=reference: (r, o.label_time - o.event_time > LABEL_WAIT), [(None, o) for o in mine], PANE)  # type: ignore[misc]
        _add(result, model, reference, parts)
    return result


def _partitions(records: Iterable[Any]) -> list[list[Any]]:
    by_partition: dict[int, list[Any]] = {}
    for record in records:
        by_partition.setdefault(record.partition, []).append(record)
    return [by_partition[p] for p in sorted(by_partition)]


def _count_partition(records: list[Any], of_model: dict[str, Reference], predictions: dict[tuple[str, str], InferenceEvent], result: Count) -> None:
    greatest = 0
    rows: dict[str, list[Row]] = {}
    for record, value in ((of, value) for of in records for value in _events(of.value)):
        try:
            event = decode_inference(value, record.headers)
        except DecodeError:
            result.rejected.append(Rejected("inference-events", record.partition, record.offset, record.key, record.value))
            continue
        ahead = event.event_time - record.timestamp
        if ahead > ALLOWED_SKEW + DAY_MS:
            result.rejected.append(Rejected("inference-events", record.partition, record.offset, record.key, record.value))
            continue
        late, skewed = event.event_time < greatest - LATENESS, ahead > ALLOWED_SKEW
        if not skewed:
            greatest = max(greatest, event.event_time)
        rows.setdefault(event.model, []).append((event, late, skewed))
        result.events[event.model] = result.events.get(event.model, 0) + 1
        result.offsets.setdefault((event.model, event.event_time // PANE * PANE), set()).add((record.partition, record.offset))
        key = (event.model, event.event_id)
        if key not in predictions or event.event_time < predictions[key].event_time:
            predictions[key] = event
    for model, reference in of_model.items():
        if rows.get(model):
            builder = PartBuilder(PANE, SAMPLE_ROWS, 400, {})
            builder.add(reference, _rows(reference, rows[model]))
            _add(result, model, reference, builder.parts())


def _events(value: bytes | None) -> Iterator[bytes | None]:
    """Yield the events of a record as single ones: those of a columnar record by plain Arrow, a row at a time."""
    if value is None or not value.startswith(b"\xff\xff\xff\xff"):
        yield value
        return
    with pa.ipc.open_stream(value) as reader:
        metadata, rows = reader.schema.metadata, reader.read_all().to_pylist()
    for row in rows:
        event = {"model": metadata[META_MODEL].decode(), "version": metadata[META_VERSION].decode(), "features": {}}
        for name, held in row.items():
            feature = name.removeprefix(FEATURE_PREFIX)
            (event if feature == name else event["features"])[feature] = held
        yield json.dumps(event).encode()


def _rows(reference: Reference, events: list[Row]) -> Rows:
    fields = [json.loads(bytes(event.features)) for event, _, _ in events]
    columns = {c.name: isinstance(c, NumericColumn) for c in reference.columns if c.role == "feature"}
    quality = {
        "missing_fields": [sum(name not in f for name in columns) for f in fields],
        "extra_fields": [sum(name not in columns for name in f) for f in fields],
        "clock_skew": [int(skewed) for _, _, skewed in events],
        "unknown_version": [int(e.version != reference.version) for e, _, _ in events],
    }
    return Rows(
        event_ids=[e.event_id for e, _, _ in events],
        places=np.array([sample_hash(e.event_id) for e, _, _ in events], np.int64),
        times=np.array([e.event_time for e, _, _ in events], np.int64),
        late=np.array([late for _, late, _ in events], np.bool_),
        versions=[e.version for e, _, _ in events],
        features={name: [_value(f.get(name, MISSING), numeric=numeric) for f in fields] for name, numeric in columns.items()},
        predictions=[e.prediction for e, _, _ in events],
        scores=[e.score for e, _, _ in events],
        quality={name: np.array(counts, np.int64) for name, counts in quality.items()},
    )


def _value(value: object, *, numeric: bool) -> object:
    return float(value) if numeric and type(value) is int else value


def _outcome(event: InferenceEvent, label: LabelEvent) -> Outcome:
    if label.label is None:
        raise ValueError("a withdrawn label")
    return Outcome(
        event_id=event.event_id, model=event.model, version=event.version, event_time=event.event_time, prediction=event.prediction,
        score=event.score, label=label.label, label_time=label.event_time, features=dict(_leaves(json.loads(bytes(event.features)))),
    )  # fmt: skip


def _leaves(fields: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what is kept of features: numbers that are finite, texts and truth values as they came; of a list, say, that it was there; of an object
    what stands in it.
    """
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{name}.")
        elif isinstance(value, float):
            yield above + name, value if math.isfinite(value) else None
        else:
            yield above + name, value if isinstance(value, str | bool | int) else None


def _add(result: Count, model: str, reference: Reference, parts: list[PanePart]) -> None:
    for part in parts:
        start = part.start // WINDOW * WINDOW
        for key in (
            PaneKey(model, reference.reference_id, part.kind, PANE, part.start, part.late),
            PaneKey(model, reference.reference_id, part.kind, WINDOW, start, part.late),
        ):
            if key not in result.panes:
                result.panes[key] = Pane(layout_of(reference, part.kind), SAMPLE_ROWS if key.width == PANE else 16 * SAMPLE_ROWS)
            result.panes[key].add(part)


def content_of(pane: Pane, *, sample: bool) -> dict[str, Any]:
    """Return what a pane holds, to be compared and shown."""
    held: dict[str, Any] = {
        "n": pane.n,
        "late": pane.late,
        "counts": pane.counts.tolist(),
        "sums": pane.sums.tolist(),
        "times": (pane.first_time, pane.last_time),
        "versions": pane.versions,
        # Which events came again is counted by block, and the offline count has none.
        "quality": {name: n for name, n in pane.quality.items() if name != "duplicates"},
    }
    return {**held, "sample": [msgspec.to_builtins(row) for row in pane.sample]} if sample else held
