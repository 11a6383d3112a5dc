"""Alerts as they were published, and where each episode stands after the newest of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import select

from driftline.contracts.findings import Alert, AlertStatus, Cause, Severity, encode_json
from driftline.store import bulk
from driftline.store.tables import alerts as alerts_table
from driftline.store.tables import episodes as t
from driftline.store.transactions import Target, reading, writing

_OPEN: tuple[AlertStatus, ...] = ("opened", "updated")
_alert = msgspec.json.Decoder(Alert).decode
_causes = msgspec.json.Decoder(tuple[Cause, ...]).decode


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """An episode as its newest alert left it."""

    episode_id: str
    model: str
    version: str
    reference_id: str
    status: AlertStatus
    severity: Severity
    revision: int
    onset: int
    opened_at: int
    updated_at: int
    resolved_at: int | None
    n: int
    evidence: float
    budget: float
    causes: tuple[Cause, ...]
    sentence: str

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return self.status in _OPEN


def record(target: Target, alerts: Sequence[Alert]) -> None:
    """Keep alerts (an id that is there stays as it was) and move their episodes; the greatest revision wins."""
    rows = [
        {
            "alert_id": a.alert_id,
            "episode_id": a.episode_id,
            "model": a.model,
            "at": a.at,
            "revision": a.revision,
            "payload": encode_json(a).decode(),
        }
        for a in alerts
    ]
    with writing(target) as conn:
        bulk.insert_new(conn, alerts_table, rows)
        bulk.upsert(conn, t, [_episode_row(a) for a in alerts], unless_newer="revision")


def get(target: Target, episode_id: str) -> Episode | None:
    """Return an episode."""
    with reading(target) as conn:
        row = conn.execute(select(t).where(t.c.episode_id == episode_id)).mappings().first()
    return None if row is None else episode_of(row)


def history(target: Target, model: str | None = None, *, open_only: bool = False, since: int = 0, limit: int = 100) -> list[Episode]:
    """Return the episodes that changed at or after ``since``, the newest change first."""
    found = select(t).where(t.c.updated_at >= since)
    if model is not None:
        found = found.where(t.c.model == model)
    if open_only:
        found = found.where(t.c.status.in_(_OPEN))
    with reading(target) as conn:
        rows = conn.execute(found.order_by(t.c.updated_at.desc(), t.c.episode_id).limit(limit)).mappings()
        return [episode_of(row) for row in rows]


def alerts(target: Target, *, model: str | None = None, episode_id: str | None = None, since: int = 0, limit: int = 100) -> list[Alert]:
    """Return alerts at or after ``since``, newest first."""
    a = alerts_table
    found = select(a.c.payload).where(a.c.at >= since)
    if model is not None:
        found = found.where(a.c.model == model)
    if episode_id is not None:
        found = found.where(a.c.episode_id == episode_id)
    with reading(target) as conn:
        ordered = found.order_by(a.c.at.desc(), a.c.revision.desc(), a.c.alert_id).limit(limit)
        return [_alert(text) for text in conn.scalars(ordered)]


def episode_of(row: Any) -> Episode:
    """Return the episode in a row of its table."""
    return Episode(**{**row, "causes": _causes(row["causes"])})


def _episode_row(alert: Alert) -> dict[str, Any]:
    return {
        "episode_id": alert.episode_id,
        "model": alert.model,
        "version": alert.version,
        "reference_id": alert.reference_id,
        "status": alert.status,
        "severity": alert.severity,
        "revision": alert.revision,
        "onset": alert.onset,
        "opened_at": alert.opened_at,
        "updated_at": alert.at,
        "resolved_at": None if alert.status in _OPEN else alert.at,
        "n": alert.n,
        "evidence": alert.evidence,
        "budget": alert.budget,
        "causes": msgspec.json.encode(alert.causes).decode(),
        "sentence": alert.sentence,
    }
