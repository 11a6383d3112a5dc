"""The state of `detect`: loaded whole when a partition is assigned, then written one transaction a poll, everything
it says included.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import asdict
from sqlalchemy import ColumnElement, Connection, Table, select

from driftline.contracts.errors import StaleState
from driftline.contracts.summaries import Progress
from driftline.store import bulk, closings, decisions, episodes, findings, outbox, triggers
from driftline.store.cursors import advance
from driftline.store.detect_rows import Applied, BlockRow, DetectChange, DetectImage, PaneRow, Position
from driftline.store.tables import blocks, detect_applied, detect_cursors, detect_sources, model_states, panes
from driftline.store.transactions import Target, reading, writing


def load(target: Target, q: int) -> DetectImage:
    """Return what goes on in summaries partition ``q``, all of one moment; of the panes only those not closed."""
    with reading(target) as conn:
        cursor = conn.execute(select(detect_cursors.c.next_offset, detect_cursors.c.watermark).where(detect_cursors.c.q == q)).first()
        if cursor is None:
            return DetectImage()
        states = select(model_states.c.model, model_states.c.payload).where(model_states.c.q == q)
        return DetectImage(
            next_offset=cursor[0],
            watermark=cursor[1],
            sources=[Progress(**row) for row in _rows(conn, detect_sources, q)],
            applied=[Applied(**row) for row in _rows(conn, detect_applied, q)],
            blocks=[BlockRow(**row) for row in _rows(conn, blocks, q)],
            panes=[PaneRow(**row) for row in _rows(conn, panes, q, panes.c.closed.is_(False))],
            model_states={row.model: row.payload for row in conn.execute(states)},
        )


def commit(target: Target, change: DetectChange) -> None:
    """Write a change whole, or raise StaleState when another owner has moved the partition's cursor."""
    q = change.q
    with writing(target) as conn:
        moved = {"next_offset": change.next_offset, "watermark": change.watermark}
        if not advance(conn, detect_cursors, {"q": q}, change.expected_next, moved):
            raise StaleState(f"summaries[{q}] is not at {change.expected_next}")
        bulk.delete(conn, blocks, [{"q": q, **key._asdict()} for key in change.dropped_blocks])
        bulk.delete(conn, panes, [{"q": q, **key._asdict()} for key in change.dropped_panes])
        bulk.delete(conn, model_states, [{"q": q, "model": model} for model in change.dropped_models])
        bulk.upsert(conn, detect_sources, [{"q": q, **_source(row)} for row in change.sources])
        bulk.upsert(conn, detect_applied, [{"q": q, **asdict(row)} for row in change.applied])
        bulk.upsert(conn, blocks, [{"q": q, **asdict(row)} for row in change.blocks])
        bulk.upsert(conn, panes, [{"q": q, **asdict(row)} for row in change.panes])
        states = [{"q": q, "model": model, "payload": raw} for model, raw in change.model_states.items()]
        bulk.upsert(conn, model_states, states)
        findings.record(conn, change.findings)
        episodes.record(conn, change.alerts)
        decisions.record(conn, change.decisions)
        triggers.record(conn, change.triggers)
        closings.record(conn, change.closings)
        outbox.add(conn, change.outbox)


def positions(target: Target) -> list[Position]:
    """Return how far each summaries partition is."""
    t = detect_cursors
    with reading(target) as conn:
        rows = conn.execute(select(t.c.q, t.c.next_offset, t.c.watermark).order_by(t.c.q)).all()
    return [Position(q=q, next_offset=n, watermark=w) for q, n, w in rows]


def _source(progress: Progress) -> dict[str, object]:
    """The quiet of a source is not kept, nor that it has only just come back: its owner tells of either again, and both are over soon."""
    row = asdict(progress)
    del row["quiet"], row["woken_from"]
    return row


def sources(target: Target, q: int) -> list[Progress]:
    """Return the progress of each source partition as summaries partition ``q`` has been told."""
    with reading(target) as conn:
        return [Progress(**row) for row in _rows(conn, detect_sources, q)]


def all_sources(target: Target) -> list[Progress]:
    """Return the progress of each source partition as every summaries partition has been told."""
    with reading(target) as conn:
        return [source for held in positions(conn) for source in sources(conn, held.q)]


def stored_states(target: Target, model: str | None = None) -> dict[str, bytes]:
    """Return what is remembered of each model, or of one, whatever partition it belongs to (status, explain)."""
    t = model_states
    found = select(t.c.model, t.c.payload).order_by(t.c.model)
    if model is not None:
        found = found.where(t.c.model == model)
    with reading(target) as conn:
        return {row.model: row.payload for row in conn.execute(found)}


def _rows(conn: Connection, of: Table, q: int, *where: ColumnElement[bool]) -> list[dict[str, Any]]:
    columns = [c for c in of.c if c.name != "q"]
    rows = conn.execute(select(*columns).where(of.c.q == q, *where).order_by(*of.primary_key)).mappings()
    return [dict(row) for row in rows]
