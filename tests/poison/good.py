"""Good messages of every kind, from a random generator: what the mutations begin with."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec

from driftline.contracts.findings import ModelVersion, RetrainTrigger
from driftline.contracts.summaries import BlockSummary, OutcomeDelta, PanePart, Progress, SampleRow, SummaryMessage, encode_summary
from driftline.contracts.times import format_time

T0 = 1_704_067_200_000  # 2024-01-01


def inference(rng: random.Random, at: int = T0) -> dict[str, Any]:
    """Return an inference event with every field that there is, of the hour after ``at``."""
    return {
        "event_id": f"e{rng.randrange(1 << 32)}",
        "model": "m",
        "version": "1",
        "event_time": rng.choice((at + rng.randrange(3_600_000), format_time(at, seconds=True))),
        "features": {"x": rng.random(), "c": rng.choice("abc"), "n": rng.randrange(100), "b": rng.random() < 0.5, "z": None},
        "prediction": rng.choice((1, "yes", True, 0.5)),
        "score": rng.random(),
        "probabilities": {"yes": 0.5, "no": 0.5},
        "slice": {"region": "eu"},
    }


def enveloped(rng: random.Random) -> dict[str, Any]:
    """Return a structured CloudEvent that holds an inference event."""
    return {"specversion": "1.0", "id": "a", "time": "2024-01-01T00:00:00Z", "type": "x", "source": "s", "data": inference(rng)}


def label(rng: random.Random, at: int = T0) -> dict[str, Any]:
    """Return a label event of the hour after ``at``."""
    said = rng.choice((1, "yes", None))
    return {"event_id": f"e{rng.randrange(1 << 32)}", "model": "m", "event_time": at + rng.randrange(3_600_000), "label": said}


def trigger(rng: random.Random) -> dict[str, Any]:
    """Return a retrain trigger."""
    made = RetrainTrigger(trigger_id="t", model="m", version="1", reason="manual", at=T0, sentence="Somebody asked.", evidence={"a": rng.random()})
    content: dict[str, Any] = json.loads(msgspec.json.encode(made))
    return content


def turn(rng: random.Random) -> dict[str, Any]:
    """Return a turn in a model's life."""
    made = ModelVersion(model="m", sequence=rng.randrange(9), status="champion", version="2", reference_id="r", effective_from=T0, sentence="It is.")
    content: dict[str, Any] = json.loads(msgspec.json.encode(made))
    return content


def settings(rng: random.Random) -> dict[str, Any]:
    """Return a tree of settings."""
    return {
        "kafka": {"bootstrap_servers": "h:9092", "partitions": rng.randrange(1, 9), "security": {"protocol": "PLAINTEXT"}},
        "worker": {"block_size": 8, "flush_interval": "100ms"},
        "defaults": {"pane": "5s", "window": "1h", "tolerance": 0.2},
        "models": {"m": {"task": "regression", "features": {"x": "numeric"}, "policy": {"cooldown": "1d"}, "alarm_budget": "1 per 30d"}},
    }


def summary(rng: random.Random) -> bytes:
    """Return the bytes of a summary of any kind."""
    row = SampleRow(rng.randrange(1 << 60), "e1", T0, "1", {"x": 0.5, "c": "a", "n": 3, "b": True, "z": None}, 1.0, 0.5)
    slots, counts = b"".join(i.to_bytes(4, "little") for i in range(3)), b"".join(i.to_bytes(8, "little") for i in range(3))
    part = PanePart("r", "features", T0, False, 3, slots, counts, bytes(16), T0, T0 + 1, {"1": 3}, [row], {"missing_fields": 1})
    messages: tuple[SummaryMessage, ...] = (
        BlockSummary("m", 0, 1024, 1024, 2048, True, [part]),
        OutcomeDelta("m", "label-events", 1, rng.randrange(1 << 40), [part]),
        Progress("summarise", 0, 4, 7, T0, 0, False, T0),
    )
    return encode_summary(rng.choice(messages))
