"""Letting go of what was said long ago: a few rows at a time, so that no transaction is long and nobody waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sqlalchemy import Column, Connection, Table, select

from driftline.store import bulk
from driftline.store.tables import alerts, closings, decisions, episodes, findings
from driftline.store.transactions import Target, writing

Kept = Literal["findings", "decisions", "closings", "alerts"]

#: Where each kind of thing stands in time.
_TIMES: Mapping[Kept, tuple[Table, Column[int]]] = {
    "findings": (findings, findings.c.window_end),
    "decisions": (decisions, decisions.c.at),
    "closings": (closings, closings.c.start),
}


def purge_some(target: Target, model: str, before: Mapping[Kept, int], limit: int = 1_000) -> int:
    """Delete at most about ``limit`` things of a model from before the event time that ``before`` names for their kind; return how many.

    An episode goes with its alerts, when it has ended. Repeating it, or an owner who has lost the partition, does no harm: what is too old stays so.
    """
    gone = 0
    with writing(target) as conn:
        for kind, (table, time) in _TIMES.items():
            if kind in before and gone < limit:
                gone += _oldest(conn, table, table.c.model == model, time < before[kind], limit=limit - gone)
        if "alerts" in before and gone < limit:
            gone += _episodes(conn, model, before["alerts"], limit - gone)
    return gone


def _oldest(conn: Connection, table: Table, *where: object, limit: int) -> int:
    key = next(iter(table.primary_key))
    keys = conn.scalars(select(key).where(*where).limit(limit)).all()  # type: ignore[arg-type]
    bulk.delete(conn, table, [{key.name: found} for found in keys])
    return len(keys)


def _episodes(conn: Connection, model: str, before: int, limit: int) -> int:
    ended = select(episodes.c.episode_id).where(episodes.c.model == model, episodes.c.resolved_at < before).limit(limit)
    ids = conn.scalars(ended).all()
    if ids:
        conn.execute(alerts.delete().where(bulk.among(conn, alerts.c.episode_id, "ids")), {"ids": bulk.listed(conn, ids)})
        bulk.delete(conn, episodes, [{"episode_id": found} for found in ids])
    return len(ids)
