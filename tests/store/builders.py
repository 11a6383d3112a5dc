"""Rows for the tests of the store, as plain as they can be."""

from __future__ import annotations

from typing import Any

from driftline.contracts.findings import (
    Alert,
    Cause,
    Finding,
    ModelVersion,
    PaneClosing,
    RetrainDecision,
    RetrainTrigger,
)
from driftline.contracts.reference import Reference, seal
from driftline.contracts.summaries import Progress
from driftline.store.detect_rows import Applied, BlockRow, DetectChange, PaneRow
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import LabelRow, PredictionRow

T0 = 1_362_114_900_000


def prediction(event_id: str, **changed: Any) -> PredictionRow:
    fields: dict[str, Any] = {"model": "m", "version": "1", "event_time": T0, "prediction": 1.0, "score": 0.5}
    return PredictionRow(event_id=event_id, **{**fields, "features": {"x": 1.5}, **changed})


def label(event_id: str, value: float | str | bool | None = 1.0, **changed: Any) -> LabelRow:
    fields: dict[str, Any] = {"model": "m", "label": value, "label_time": T0 + 1_000}
    return LabelRow(event_id=event_id, **{**fields, **changed})


def outbox_row(value: bytes = b"v", **changed: Any) -> OutboxRow:
    fields: dict[str, Any] = {"owner": "o", "topic": "summaries", "key": b"m", "value": value}
    return OutboxRow(**{**fields, **changed})


def reference(model: str = "m", **changed: Any) -> Reference:
    fields: dict[str, Any] = {"version": "1", "effective_from": T0, "origin": "built", "task": "regression"}
    fields |= {"columns": (), "rows": 10, "span_start": T0, "span_end": T0 + 1}
    return seal(Reference(model=model, **{**fields, **changed}))


def progress(partition: int, **changed: Any) -> Progress:
    fields: dict[str, Any] = {
        "source": "summarise",
        "partitions": 4,
        "position": 7,
        "watermark": T0,
        "floor": 0,
        "idle": False,
        "newest": T0,
    }
    return Progress(partition=partition, **{**fields, **changed})


def block(start: int, **changed: Any) -> BlockRow:
    fields: dict[str, Any] = {"model": "m", "partition": 0, "first": start, "next": start + 3, "final": False}
    return BlockRow(start=start, **{**fields, "payload": b"\x00\xffblock", **changed})


def pane(start: int, **changed: Any) -> PaneRow:
    fields: dict[str, Any] = {"model": "m", "reference_id": "r", "kind": "features", "width": 5_000, "late": False}
    fields |= {"closed": False, "offsets": b"\x00offsets"}
    return PaneRow(start=start, **{**fields, "payload": b"\x00pane", "revision": 0, **changed})


def applied(sequence: int, **changed: Any) -> Applied:
    fields: dict[str, Any] = {"model": "m", "source": "label-events", "partition": 1}
    return Applied(sequence=sequence, **{**fields, **changed})


def change(expected_next: int | None, next_offset: int, **changed: Any) -> DetectChange:
    fields: dict[str, Any] = {"q": 0, "watermark": T0 + next_offset}
    return DetectChange(expected_next=expected_next, next_offset=next_offset, **{**fields, **changed})


def finding(finding_id: str = "f", revision: int = 0, **changed: Any) -> Finding:
    fields: dict[str, Any] = {"model": "m", "version": "1", "reference_id": "r", "state": "ok", "window_start": T0}
    fields |= {
        "window_end": T0 + 10,
        "n": 5,
        "late": 0,
        "columns": (),
        "evidence": 0.0,
        "budget": 720.0,
        "sentence": "s",
    }
    return Finding(finding_id=finding_id, revision=revision, **{**fields, **changed})


def cause(**changed: Any) -> Cause:
    fields: dict[str, Any] = {"column": "x", "term": "location", "direction": "up", "effect": 0.5, "low": 0.4}
    fields |= {"high": 0.6, "tolerance": 0.2, "share": 1.0, "importance": 0.3, "onset": T0}
    return Cause(**{**fields, **changed})


def alert(episode_id: str = "e", revision: int = 0, status: str = "opened", **changed: Any) -> Alert:
    fields: dict[str, Any] = {
        "alert_id": f"{episode_id}-{revision}",
        "severity": "warning",
        "model": "m",
        "version": "1",
    }
    fields |= {"reference_id": "r", "onset": T0, "opened_at": T0 + 5, "at": T0 + 5 + revision, "n": 100}
    fields |= {"evidence": 900.0, "budget": 720.0, "causes": (cause(),), "sentence": f"revision {revision}"}
    fields |= {"episode_id": episode_id, "revision": revision, "status": status}
    return Alert(**{**fields, **changed})


def trigger(trigger_id: str = "t", **changed: Any) -> RetrainTrigger:
    fields: dict[str, Any] = {"model": "m", "version": "1", "reason": "drift", "at": T0, "sentence": "s"}
    return RetrainTrigger(trigger_id=trigger_id, **{**fields, **changed})


def decision(decision_id: str = "d", **changed: Any) -> RetrainDecision:
    fields: dict[str, Any] = {
        "model": "m",
        "version": "1",
        "at": T0,
        "retrain": False,
        "rule": "quiet",
        "sentence": "s",
    }
    return RetrainDecision(decision_id=decision_id, **{**fields, **changed})


def closing(closing_id: str = "c", **changed: Any) -> PaneClosing:
    fields: dict[str, Any] = {"model": "m", "reference_id": "r", "kind": "features", "start": T0, "end": T0 + 5, "n": 3}
    fields |= {"digest": "ab", "watermark": T0 + 20, "by": "watermark", "positions": {"0": 7}}
    return PaneClosing(closing_id=closing_id, **{**fields, **changed})


def version(sequence: int, status: str = "champion", **changed: Any) -> ModelVersion:
    fields: dict[str, Any] = {"model": "m", "version": str(sequence), "reference_id": "r", "effective_from": T0}
    fields |= {"sequence": sequence, "status": status, "artifact": f"m/{sequence}.skops", "sha256": "ab" * 32}
    return ModelVersion(**{**fields, "sentence": "s", **changed})
