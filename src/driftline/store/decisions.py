"""What the retraining policy said at each window, yes or no, and why."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import select

from driftline.contracts.findings import RetrainDecision, encode_json
from driftline.store import bulk
from driftline.store.tables import decisions as t
from driftline.store.transactions import Target, reading, writing

_decode = msgspec.json.Decoder(RetrainDecision).decode


def record(target: Target, decisions: Sequence[RetrainDecision]) -> None:
    """Keep decisions; an id that is there stays as it was."""
    rows = [
        {
            "decision_id": d.decision_id,
            "model": d.model,
            "at": d.at,
            "retrain": d.retrain,
            "payload": encode_json(d).decode(),
        }
        for d in decisions
    ]
    with writing(target) as conn:
        bulk.insert_new(conn, t, rows)


def history(target: Target, model: str, *, since: int = 0, limit: int = 100) -> list[RetrainDecision]:
    """Return a model's decisions at or after ``since``, newest first."""
    found = select(t.c.payload).where(t.c.model == model, t.c.at >= since)
    with reading(target) as conn:
        return [_decode(text) for text in conn.scalars(found.order_by(t.c.at.desc(), t.c.decision_id).limit(limit))]
