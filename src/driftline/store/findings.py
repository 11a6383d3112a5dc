"""Findings. Of each id the greatest revision is kept, however late a zombie writes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import select

from driftline.contracts.findings import Finding, encode_json
from driftline.store import bulk
from driftline.store.panes import FOREVER
from driftline.store.tables import findings as t
from driftline.store.transactions import Target, reading, writing

_decode = msgspec.json.Decoder(Finding).decode


def record(target: Target, findings: Sequence[Finding]) -> None:
    """Keep findings; one of an older revision than is there changes nothing."""
    rows = [
        {
            "finding_id": f.finding_id,
            "revision": f.revision,
            "model": f.model,
            "state": f.state,
            "window_start": f.window_start,
            "window_end": f.window_end,
            "payload": encode_json(f).decode(),
        }
        for f in findings
    ]
    with writing(target) as conn:
        bulk.upsert(conn, t, rows, unless_newer="revision")


def latest(target: Target, model: str) -> Finding | None:
    """Return the finding of a model's last window."""
    found = history(target, model, limit=1)
    return found[0] if found else None


def history(target: Target, model: str | None = None, *, since: int = 0, until: int = FOREVER, limit: int = 100) -> list[Finding]:
    """Return findings with ``since <= window_end < until``, newest first."""
    found = select(t.c.payload).where(t.c.window_end >= since, t.c.window_end < until)
    if model is not None:
        found = found.where(t.c.model == model)
    with reading(target) as conn:
        return [_decode(text) for text in conn.scalars(found.order_by(t.c.window_end.desc(), t.c.finding_id).limit(limit))]


def purge(target: Target, before: int) -> int:
    """Delete the findings whose window ended before ``before``; return how many."""
    with writing(target) as conn:
        return conn.execute(t.delete().where(t.c.window_end < before)).rowcount
