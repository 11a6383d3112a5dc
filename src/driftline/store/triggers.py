"""Retraining triggers: recorded by the transaction that decides them, settled once by the run they cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from sqlalchemy import select

from driftline.contracts.findings import RetrainTrigger, encode_json
from driftline.store import bulk
from driftline.store.tables import triggers as t
from driftline.store.transactions import Target, reading, writing

Outcome = Literal["promoted", "refused", "drift_accepted", "failed"]
TriggerStatus = Literal["open"] | Outcome

_decode = msgspec.json.Decoder(RetrainTrigger).decode


class TriggerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger and what became of it."""

    trigger: RetrainTrigger
    status: TriggerStatus
    settled_at: int | None


def record(target: Target, triggers: Sequence[RetrainTrigger]) -> None:
    """Keep triggers, open; one that is known stays as it is, settled or not."""
    rows = [
        {
            "trigger_id": g.trigger_id,
            "model": g.model,
            "at": g.at,
            "status": "open",
            "settled_at": None,
            "payload": encode_json(g).decode(),
        }
        for g in triggers
    ]
    with writing(target) as conn:
        bulk.insert_new(conn, t, rows)


def settle(target: Target, trigger_id: str, status: Outcome, now: int) -> bool:
    """Settle an open trigger; say whether it was open."""
    with writing(target) as conn:
        here = (t.c.trigger_id == trigger_id) & (t.c.status == "open")
        return conn.execute(t.update().where(here).values(status=status, settled_at=now)).rowcount == 1


def open_triggers(target: Target, model: str | None = None) -> list[RetrainTrigger]:
    """Return the triggers that no run has settled, the oldest first."""
    found = select(t.c.payload).where(t.c.status == "open")
    if model is not None:
        found = found.where(t.c.model == model)
    with reading(target) as conn:
        return [_decode(text) for text in conn.scalars(found.order_by(t.c.at, t.c.trigger_id))]


def history(target: Target, model: str | None = None, *, since: int = 0, limit: int = 100) -> list[TriggerRow]:
    """Return triggers at or after ``since``, newest first."""
    found = select(t.c.payload, t.c.status, t.c.settled_at).where(t.c.at >= since)
    if model is not None:
        found = found.where(t.c.model == model)
    with reading(target) as conn:
        rows = conn.execute(found.order_by(t.c.at.desc(), t.c.trigger_id).limit(limit)).all()
    return [TriggerRow(trigger=_decode(text), status=status, settled_at=at) for text, status, at in rows]
