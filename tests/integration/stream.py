"""A known stream: every record of both source topics, from a seed alone, with all that live streams bring.

Disorder within the allowed lateness and beyond it, repeats, one id with two contents, labels before their predictions, corrected, withdrawn and late,
values that are no numbers, records that are nothing. ``Record.partition`` and the order are fixed, so two topics filled with it are the same log.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tests.integration.faults import SESSION_S

from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS
from driftline.detectors.reference import build_reference
from driftline.detectors.sample import bottom_k, kept_features

CLICKS: Final = "clicks"
PRICES: Final = "prices"
NEW: Final = "new"
PARTITIONS: Final = 4

START: Final = 1_704_067_200_000  # 2024-01-01
PANE: Final = HOUR_MS
WINDOW: Final = DAY_MS
LATENESS: Final = HOUR_MS
LABEL_WAIT: Final = 2 * HOUR_MS

#: Labels that come this long after their prediction are on time ...
_PROMPT: Final = (20 * MINUTE_MS, 100 * MINUTE_MS)
#: ... as are their corrections, and these are not.
_CORRECTED: Final = (105 * MINUTE_MS, 119 * MINUTE_MS)
_TARDY: Final = (5 * HOUR_MS, 12 * HOUR_MS)

INFERENCE_JUNK: Final = (
    None,
    b"",
    b"\xff\xfe not text",
    b"{",
    b"[1, 2]",
    b'{"event_id": "a", "model": "clicks"}',
    b'{"event_id": "a", "model": "clicks", "event_time": "yesterday", "features": {}}',
    b'{"event_id": "", "model": "clicks", "event_time": 1704067200000, "features": {}}',
    b'{"event_id": "a", "model": "clicks", "event_time": 1704067200000, "features": [1]}',
    b'{"event_id": "a", "model": "clicks", "event_time": 3, "features": {}}',
    b'{"event_id": "a", "model": "clicks", "event_time": 1704067200000, "features": ' + b"[" * 10_000,
)
LABEL_JUNK: Final = (None, b"no", b'{"event_id": "a"}', b'{"event_id": "a", "model": "clicks", "event_time": 1704067200000, "label": {"x": 1}}')


class Record(NamedTuple):
    """One record as it is to stand in a topic. ``arrival`` (event time, ms) is where it belongs in the order of publishing, ``timestamp`` (epoch ms)
    when it says it was made; None: when it is published.
    """

    arrival: int
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    timestamp: int | None = None


@dataclass(frozen=True)
class Plan:
    """What the stream is made of. ``unruly`` adds what makes the order of reading show in a pane of outcomes at its close (not at the end)."""

    days: int
    clicks_per_hour: int
    prices_per_hour: int
    new_per_hour: int = 0
    shift_day: int | None = None
    seed: int = 1
    unruly: bool = False

    @property
    def shift_at(self) -> int:
        """When x of ``clicks`` begins to be higher."""
        return START + (self.days if self.shift_day is None else self.shift_day) * DAY_MS


def settings_tree(bootstrap: str, prefix: str, database: str, folder: str, idle_timeout: str) -> dict[str, Any]:
    """Return the settings under which the stream is watched."""
    # Repeats are counted by block, and blocks end by when records were published: in another run of the same stream elsewhere.
    model = {"pane": "1h", "window": "1d", "allowed_lateness": "1h", "learning_rows": 400, "quality": {"duplicates": 1.0}}
    policy = {"drift_persists": "2d", "min_labelled": 300}
    return {
        "kafka": {"bootstrap_servers": bootstrap, "topic_prefix": prefix, "partitions": PARTITIONS},
        "database": database,
        "artifacts": f"{folder}/artifacts",
        "reports": {"enabled": False},
        "worker": {
            "flush_interval": "100ms",
            "commit_interval": "300ms",
            "idle_timeout": idle_timeout,
            "session_timeout": f"{SESSION_S}s",
            "block_size": 256,
            "block_span": "50ms",
            "block_bytes": 65_536,
            "max_poll_records": 400,
        },
        "retention": {"panes": "3650d"},
        "defaults": model,
        "models": {
            CLICKS: {**model, "task": "classification", "importance": {"x": 0.5, "y": 0.3, "c": 0.2}, "policy": policy},
            PRICES: {**model, "task": "regression", "policy": policy},
        },
    }


def references() -> list[Reference]:
    """Return the references of both models, built from the month before the stream."""
    return [reference for reference, _ in known()]


@cache
def known() -> tuple[tuple[Reference, list[SampleRow]], ...]:
    """Return the references of both models, each with the rows that are stored beside it."""
    rng = random.Random(99)
    rows = [_sometimes_spoilt(rng, _clicks(rng, 0.0)) for _ in range(30_000)]
    times = np.linspace(START - 30 * DAY_MS, START - 1, len(rows)).astype(np.int64)
    labels = [int(rng.random() < row["score"]) for row in rows]
    clicks = build_reference(
        model=CLICKS, version="1", task="classification", effective_from=0, origin="built", times=times,
        features={name: [row["features"].get(name) for row in rows] for name in ("x", "y", "c")},
        scores=[row["score"] for row in rows], labels=labels, label_delays=np.full(len(rows), LABEL_WAIT), importance={"x": 0.5, "y": 0.3, "c": 0.2},
    )  # fmt: skip
    of_clicks = _sample(rows, times)
    rows = [_sometimes_spoilt(rng, _prices(rng)) for _ in range(20_000)]
    times = np.linspace(START - 30 * DAY_MS, START - 1, len(rows)).astype(np.int64)
    prices = build_reference(
        model=PRICES, version="1", task="regression", effective_from=0, origin="built", times=times,
        features={name: [row["features"].get(name) for row in rows] for name in ("area", "town")}, predictions=[row["prediction"] for row in rows],
        labels=[row["prediction"] + rng.gauss(0, 20) for row in rows], label_delays=np.full(len(rows), LABEL_WAIT),
    )  # fmt: skip
    return (clicks, of_clicks), (prices, _sample(rows, times))


def _sample(rows: list[dict[str, Any]], times: NDArray[np.int64]) -> list[SampleRow]:
    """Return 600 rows as a sample holds them: fewer than would be kept, and enough for the relations of columns."""
    chosen = ((f"r{i}", int(times[i]), rows[i]) for i in range(0, len(rows), len(rows) // 600))
    made = (
        SampleRow(sample_hash(name), name, at, "1", kept_features(row["features"], {}), row.get("prediction"), row.get("score"))
        for name, at, row in chosen
    )
    return bottom_k(made, 600)


def records(plan: Plan) -> list[Record]:
    """Return the whole stream in the order of publishing."""
    rng = random.Random(plan.seed)
    made: list[Record] = []
    for hour in range(plan.days * 24):
        for model, count in ((CLICKS, plan.clicks_per_hour), (PRICES, plan.prices_per_hour), (NEW, plan.new_per_hour)):
            for i in range(count):
                event_id, at = f"{model}-{hour}-{i}", START + hour * HOUR_MS + rng.randrange(HOUR_MS)
                made += _event(rng, plan, model, event_id, at)
    end = START + plan.days * DAY_MS
    for topic, junk in (("inference-events", INFERENCE_JUNK), ("label-events", LABEL_JUNK)):
        made += [Record(rng.randrange(START, end), topic, i % PARTITIONS, b"junk%d" % i, value) for i, value in enumerate(junk)]
    return sorted(made, key=lambda r: (r.arrival, r.topic, r.partition, r.key or b"", r.value or b""))


def _event(rng: random.Random, plan: Plan, model: str, event_id: str, at: int) -> list[Record]:
    key, partition = event_id.encode(), sample_hash(event_id) % PARTITIONS
    body = _prices(rng) if model == PRICES else _clicks(rng, 1.2 if model == CLICKS and at >= plan.shift_at else 0.0)
    event = {"event_id": event_id, "model": model, "version": "9" if rng.random() < 0.005 else "1", "event_time": at, **body}
    late = rng.random() < 0.01
    arrival = at + (rng.randrange(3 * HOUR_MS, 8 * HOUR_MS) if late else rng.randrange(50 * MINUTE_MS))
    made = [Record(arrival, "inference-events", partition, key, json.dumps(_sometimes_spoilt(rng, event)).encode())]
    if rng.random() < 0.02:
        made.append(made[0]._replace(arrival=arrival + 5 * MINUTE_MS))
    if rng.random() < 0.005:
        other = {**event, "event_time": at + 1000, **({"prediction": event["prediction"] + 1.0} if model == PRICES else {"score": 0.5})}
        made.append(made[0]._replace(arrival=arrival + 7 * MINUTE_MS, value=json.dumps(other).encode()))
    return made + _labels(rng, plan, model, event, late=late)


def _labels(rng: random.Random, plan: Plan, model: str, event: dict[str, Any], *, late: bool) -> list[Record]:
    event_id, at = event["event_id"], event["event_time"]
    if rng.random() < 0.05:
        return []  # its label never comes

    def truth() -> float:
        return int(rng.random() < event["score"]) if model != PRICES else event["prediction"] + rng.gauss(0, 20)

    # The label of a late prediction is late as well, unless the stream is unruly: else what a pane of outcomes held at its close would depend on
    # which of two topics was read first.
    tardy = rng.random() < 0.03 or (late and not plan.unruly)
    said: list[tuple[int, float | None]] = [(at + rng.randrange(*(_TARDY if tardy else _PROMPT)), truth())]
    chance = rng.random()
    if not tardy and chance < 0.04:
        said.append((at + rng.randrange(*_CORRECTED), None if chance < 0.01 else truth()))
    if plan.unruly and rng.random() < 0.02:
        said.append((at + rng.randrange(*_TARDY), None if rng.random() < 0.3 else truth()))
    partition = sample_hash("label" + event_id) % PARTITIONS
    made = [
        Record(
            when,
            "label-events",
            partition,
            event_id.encode(),
            json.dumps({"event_id": event_id, "model": model, "event_time": when, "label": y}).encode(),
        )
        for when, y in said
    ]
    return made + ([made[0]._replace(arrival=made[0].arrival + MINUTE_MS)] if rng.random() < 0.01 else [])


def _clicks(rng: random.Random, shift: float) -> dict[str, Any]:
    return {"features": {"x": rng.gauss(shift, 1), "y": rng.gauss(0, 1), "c": rng.choice("aaabbc")}, "score": round(rng.betavariate(2, 3), 6)}


def _prices(rng: random.Random) -> dict[str, Any]:
    area, town = rng.uniform(20, 200), rng.choice(("north", "south"))
    return {"features": {"area": area, "town": town}, "prediction": 3 * area + (50 if town == "south" else 0) + rng.gauss(0, 10)}


def _sometimes_spoilt(rng: random.Random, event: dict[str, Any]) -> dict[str, Any]:
    """Return the event, one of fifty with one thing wrong that costs a value, not the record."""
    if rng.random() >= 0.02:
        return event
    features: dict[str, Any] = dict(event["features"])
    name = rng.choice(sorted(features))
    odd: tuple[Any, ...] = (None, math.nan, math.inf, "odd", True, [1], {"a": {}}, 1e300, -5, "")
    which = rng.randrange(len(odd) + 2)
    if which == len(odd):
        del features[name]
    elif which > len(odd):
        features["more"] = 1
    else:
        features[name] = odd[which]
    return {**event, "features": features}
