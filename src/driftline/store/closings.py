"""Pane closings: the logged decisions that a replay follows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import select

from driftline.contracts.findings import PaneClosing, encode_json
from driftline.store import bulk
from driftline.store.panes import FOREVER
from driftline.store.tables import closings as t
from driftline.store.transactions import Target, reading, writing

_decode = msgspec.json.Decoder(PaneClosing).decode


def record(target: Target, closings: Sequence[PaneClosing]) -> None:
    """Keep closings; an id that is there stays as it was."""
    rows = [{"closing_id": c.closing_id, "model": c.model, "start": c.start, "payload": encode_json(c).decode()} for c in closings]
    with writing(target) as conn:
        bulk.insert_new(conn, t, rows)


def history(target: Target, model: str, *, since: int = 0, until: int = FOREVER, limit: int = 10_000) -> list[PaneClosing]:
    """Return a model's closings of panes with ``since <= start < until``, by start."""
    found = select(t.c.payload).where(t.c.model == model, t.c.start >= since, t.c.start < until)
    with reading(target) as conn:
        return [_decode(text) for text in conn.scalars(found.order_by(t.c.start, t.c.closing_id).limit(limit))]


def purge(target: Target, before: int) -> int:
    """Delete the closings of panes that started before ``before``; return how many."""
    with writing(target) as conn:
        return conn.execute(t.delete().where(t.c.start < before)).rowcount
