"""Retraining runs: one for each trigger, under a lease. A worker that died is taken over; one that only slept can no
longer finish.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, and_, select

from driftline.contracts.errors import StaleState
from driftline.contracts.findings import RetrainTrigger
from driftline.store import bulk, triggers
from driftline.store.tables import runs as t
from driftline.store.transactions import Target, reading, writing
from driftline.store.triggers import Outcome, open_triggers

__all__ = ["Outcome", "Run", "claim", "finish", "get", "heartbeat", "history", "open_triggers"]

RunStatus = Literal["running"] | Outcome


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a trigger. Times are the wall clock's, as the workers tell it. ``detail`` is what ``finish`` was
    given.
    """

    trigger_id: str
    model: str
    attempt: int
    owner: str
    started_at: int
    lease_until: int
    status: RunStatus = "running"
    finished_at: int | None = None
    detail: bytes = b""


def claim(target: Target, trigger: RetrainTrigger, *, owner: str, lease_ms: int, now: int) -> Run | None:
    """Return the run that the owner may now do; None when the trigger is settled, or another's lease holds.

    A run whose lease has expired is taken over with ``attempt + 1``. A trigger that nobody recorded (a manual one) is
    recorded.
    """
    run = Run(
        trigger_id=trigger.trigger_id,
        model=trigger.model,
        attempt=1,
        owner=owner,
        started_at=now,
        lease_until=now + lease_ms,
    )
    with writing(target) as conn:
        triggers.record(conn, [trigger])
        if bulk.insert_one(conn, t, msgspec.structs.asdict(run)):
            return run
        expired = and_(t.c.trigger_id == run.trigger_id, t.c.status == "running", t.c.lease_until <= now)
        taken = {"attempt": t.c.attempt + 1, "owner": owner, "started_at": now, "lease_until": run.lease_until}
        row = conn.execute(t.update().where(expired).values(taken).returning(t)).mappings().first()
        return None if row is None else Run(**row)


def heartbeat(target: Target, run: Run, *, lease_ms: int, now: int) -> Run:
    """Return the run with its lease prolonged, or raise StaleState when it was taken over or finished."""
    with writing(target) as conn:
        if conn.execute(t.update().where(_held(run)).values(lease_until=now + lease_ms)).rowcount != 1:
            raise StaleState(f"attempt {run.attempt} at trigger {run.trigger_id} is no longer running")
    return msgspec.structs.replace(run, lease_until=now + lease_ms)


def finish(target: Target, run: Run, *, status: Outcome, now: int, detail: bytes = b"") -> None:
    """End the run and settle its trigger, or raise StaleState when it was taken over or finished."""
    with writing(target) as conn:
        ended = t.update().where(_held(run)).values(status=status, finished_at=now, detail=detail)
        if conn.execute(ended).rowcount != 1:
            raise StaleState(f"attempt {run.attempt} at trigger {run.trigger_id} is no longer running")
        triggers.settle(conn, run.trigger_id, status, now)


def get(target: Target, trigger_id: str) -> Run | None:
    """Return the run of a trigger."""
    with reading(target) as conn:
        row = conn.execute(select(t).where(t.c.trigger_id == trigger_id)).mappings().first()
    return None if row is None else Run(**row)


def history(target: Target, model: str | None = None, limit: int = 100) -> list[Run]:
    """Return runs, the newest first."""
    found = select(t) if model is None else select(t).where(t.c.model == model)
    with reading(target) as conn:
        rows = conn.execute(found.order_by(t.c.started_at.desc(), t.c.trigger_id).limit(limit)).mappings()
        return [Run(**row) for row in rows]


def _held(run: Run) -> ColumnElement[bool]:
    return and_(t.c.trigger_id == run.trigger_id, t.c.attempt == run.attempt, t.c.status == "running")
