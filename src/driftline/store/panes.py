"""Panes by model, whatever partition they belong to: those that `detect` needs again, those for reports and
`explain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, and_, or_, select

from driftline.contracts.summaries import PaneKind
from driftline.store import bulk
from driftline.store.detect_rows import PaneKey, PaneRow
from driftline.store.tables import panes as t
from driftline.store.transactions import Target, reading

__all__ = ["FOREVER", "PaneKey", "PaneRow", "edges", "fetch", "foldable", "panes", "stretch"]

FOREVER = 1 << 62
_COLUMNS = [c for c in t.c if c.name != "q"]


def fetch(target: Target, keys: Iterable[PaneKey]) -> list[PaneRow]:
    """Return those of the panes that are stored, by key: one query for each (model, reference, kind, width, late)
    among them.
    """
    groups: dict[tuple[str, str, PaneKind, int, bool], list[int]] = {}
    for k in sorted(set(keys)):
        groups.setdefault((k.model, k.reference_id, k.kind, k.width, k.late), []).append(k.start)
    rows: list[PaneRow] = []
    with reading(target) as conn:
        for (model, reference_id, kind, width, late), starts in groups.items():
            same = _same(model, reference_id, kind, width, late=late)
            found = select(*_COLUMNS).where(*same, bulk.among(conn, t.c.start, "starts")).order_by(t.c.start)
            rows += [PaneRow(**row) for row in conn.execute(found, {"starts": bulk.listed(conn, starts)}).mappings()]
    return rows


def stretch(
    target: Target, model: str, *, reference_id: str, kind: PaneKind, width: int | None, since: int, until: int, late: bool = False
) -> list[PaneRow]:
    """Return the panes with ``since <= start < until``, by start; with ``width`` None the windows by count."""
    same = _same(model, reference_id, kind, width, late=late)
    found = select(*_COLUMNS).where(*same, t.c.start >= since, t.c.start < until).order_by(t.c.start)
    with reading(target) as conn:
        return [PaneRow(**row) for row in conn.execute(found).mappings()]


def edges(target: Target, model: str, reference_id: str) -> list[tuple[int, int]]:
    """Return start and end of the windows that were cut by count, by start."""
    same = _same(model, reference_id, "features", None, late=False)
    with reading(target) as conn:
        return [(start, start - width) for start, width in conn.execute(select(t.c.start, t.c.width).where(*same).order_by(t.c.start))]


def foldable(
    target: Target, model: str, width: int, folded: Mapping[tuple[str | None, PaneKind], int], *, forgotten: int, limit: int
) -> list[PaneKey]:
    """Return the keys of at most ``limit`` panes: those of this ``width`` that start before ``folded`` says for their reference (None: any) and kind,
    and all that start before ``forgotten``.
    """
    gone = [t.c.start < forgotten]
    for (reference_id, kind), before in folded.items():
        of = [t.c.reference_id == reference_id] if reference_id is not None else []
        gone.append(and_(t.c.width == width, t.c.kind == kind, t.c.start < before, *of))
    columns = [t.c[name] for name in PaneKey._fields]
    furthest = max(forgotten, *folded.values()) if folded else forgotten
    with reading(target) as conn:
        old = select(*columns).where(t.c.model == model, t.c.start < furthest, or_(*gone)).limit(limit)
        return sorted(PaneKey(*row) for row in conn.execute(old))


def panes(
    target: Target,
    model: str,
    *,
    kind: PaneKind | None = None,
    width: int | None = None,
    since: int = 0,
    until: int = FOREVER,
) -> list[PaneRow]:
    """Return a model's panes with ``since <= start < until``, by (start, width, reference_id, kind, late)."""
    found = select(*_COLUMNS).where(t.c.model == model, t.c.start >= since, t.c.start < until)
    if kind is not None:
        found = found.where(t.c.kind == kind)
    if width is not None:
        found = found.where(t.c.width == width)
    with reading(target) as conn:
        rows = conn.execute(found.order_by(t.c.start, t.c.width, t.c.reference_id, t.c.kind, t.c.late)).mappings()
        return [PaneRow(**row) for row in rows]


def _same(model: str, reference_id: str, kind: PaneKind, width: int | None, *, late: bool) -> Sequence[ColumnElement[bool]]:
    return (
        t.c.model == model,
        t.c.reference_id == reference_id,
        t.c.kind == kind,
        t.c.width < 0 if width is None else t.c.width == width,
        t.c.late == late,
    )
