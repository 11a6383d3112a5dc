"""A small world for the retrain tests: one model, its first champion, and live outcomes that do or don't turn against
it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sqlalchemy import Engine

from driftline.contracts.findings import ModelVersion, RetrainTrigger
from driftline.contracts.reference import Task
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.retrain.artifacts import load_model
from driftline.retrain.first_rows import TrainingRows
from driftline.retrain.matrix import rows_to_matrix
from driftline.retrain.models import answers
from driftline.retrain.register import register_champion
from driftline.store import join, versions
from driftline.store.join import JoinChange
from driftline.store.outcome_rows import LabelRow, PredictionRow

MODEL = "m"
START = 15_000 * DAY_MS
TRAINED_DAYS = 30
LIVE_DAYS = 30
A_DAY = 60
DELAY = 2 * HOUR_MS

#: What the world does after the champion was trained: nothing, x moves but still means the same, x comes to mean the
#: opposite.
Turn = Literal["none", "moved", "flipped"]


def settings_of(folder: Path, database: str, *, bootstrap: str = "127.0.0.1:9", prefix: str = "", **model: Any) -> Settings:
    policy = {"min_rows": 500, **model.pop("policy", {})}
    return build_settings({
        "kafka": {"bootstrap_servers": bootstrap, "topic_prefix": prefix, "partitions": 2},
        "database": database,
        "artifacts": str(folder / "artifacts"),
        "worker": {"session_timeout": "6s"},
        "retrain": {"lease": "3s", "join_wait": "5s", **model.pop("retrain", {})},
        "models": {MODEL: {"pane": "1h", "window": "1d", "policy": policy, **model}},
    })  # fmt: skip


def world_rows(first_day: int, days: int, turn: Turn, task: Task) -> TrainingRows:
    random = np.random.default_rng(first_day)
    n = days * A_DAY
    x = random.normal(size=n) + (1.5 if turn == "moved" else 0.0)
    kind = random.choice(["a", "b"], size=n)
    effect = (-2.0 if turn == "flipped" else 2.0) * x + (kind == "b")
    if task == "regression":
        labels: list[Any] = (effect + random.normal(size=n)).tolist()
    else:
        labels = (random.random(n) < 1 / (1 + np.exp(-effect))).astype(int).tolist()
    times = START + first_day * DAY_MS + np.arange(n) * (DAY_MS // A_DAY)
    return TrainingRows(
        features=[{"x": float(v), "kind": str(k)} for v, k in zip(x, kind, strict=True)],
        labels=labels,
        times=times,
        label_times=times + DELAY,
        event_ids=[f"e{first_day}-{i}" for i in range(n)],
    )


def recipe_of(task: Task) -> Any:
    # A category comes from the features by place: kind is the first.
    encoder = ColumnTransformer([("kind", OneHotEncoder(sparse_output=False), [0])], remainder="passthrough")
    return make_pipeline(encoder, Ridge() if task == "regression" else LogisticRegression())


def register(engine: Engine, settings: Settings, task: Task = "classification") -> ModelVersion:
    rows = world_rows(0, TRAINED_DAYS, "none", task)
    estimator = recipe_of(task).fit(rows_to_matrix(rows.features, {"kind": True, "x": False}), rows.labels)
    return register_champion(engine, settings, estimator, rows, model=MODEL, task=task, columns=("kind", "x"))


def live(engine: Engine, settings: Settings, turn: Turn, task: Task = "classification") -> RetrainTrigger:
    """Let a month go by with the champion serving, and return the trigger at its end."""
    champion = versions.current(engine, MODEL)
    assert champion is not None
    assert champion.artifact is not None
    assert champion.sha256 is not None
    loaded = load_model(Path(settings.artifacts), champion.artifact, champion.sha256)
    rows = world_rows(TRAINED_DAYS, LIVE_DAYS, turn, task)
    said = answers(loaded.estimator, task, rows_to_matrix(rows.features, loaded.card.columns))
    scores = [None] * len(rows.features) if said.scores is None else said.scores.tolist()
    ids = rows.event_ids or ()
    predictions = [
        PredictionRow(model=MODEL, event_id=i, version=champion.version, event_time=int(t), prediction=p, score=s, features=dict(f))
        for i, t, p, s, f in zip(ids, rows.times, said.predictions, scores, rows.features, strict=True)
    ]  # fmt: skip
    labels = [LabelRow(model=MODEL, event_id=i, label=y, label_time=int(t) + DELAY) for i, t, y in zip(ids, rows.times, rows.labels, strict=True)]
    change = JoinChange(source="test", partition=0, expected_next=None, next_offset=1, predictions=predictions, labels=labels)
    join.apply(engine, change, lambda _: [])
    return trigger_at(START + (TRAINED_DAYS + LIVE_DAYS) * DAY_MS, champion.version)


def trigger_at(at: int, version: str = "1", trigger_id: str = "t1", **others: Any) -> RetrainTrigger:
    fields: dict[str, Any] = {"reason": "drift", "sentence": "Drift in x has lasted 7d.", **others}
    return RetrainTrigger(trigger_id=trigger_id, model=MODEL, version=version, at=at, **fields)
