"""Panes by model, whatever partition they belong to: those that `detect` needs again, those for reports and
`explain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, RowMapping, and_, or_, select

from driftline.contracts.summaries import PaneKind
from driftline.store import bulk
from driftline.store.detect_rows import SLID, PaneKey, PaneRow
from driftline.store.tables import panes as t
from driftline.store.transactions import Target, reading

__all__ = ["FOREVER", "PaneKey", "PaneRow", "counted", "fetch", "foldable", "panes", "stretch"]

FOREVER = 1 << 62
_COLUMNS = [c for c in t.c if c.name != "q"]


def fetch(target: Target, keys: Iterable[PaneKey]) -> list[PaneRow]:
    """Return those of the panes that are stored, by key: one query for each (model, reference, kind, width, late)
    among them. What was cut by count has hardly a width in common: there one query asks for all widths, and may find a few rows too many.
    """
    wanted = set(keys)
    groups: dict[tuple[str, str, PaneKind, int | None, bool], list[PaneKey]] = {}
    for k in sorted(wanted):
        groups.setdefault((k.model, k.reference_id, k.kind, k.width if k.width > 0 else None, k.late), []).append(k)
    rows: list[PaneRow] = []
    with reading(target) as conn:
        for (model, reference_id, kind, width, late), own in groups.items():
            which = [t.c.width == width if width is not None else bulk.among(conn, t.c.width, "widths"), bulk.among(conn, t.c.start, "starts")]
            listed = {"widths": [*{k.width for k in own}] if width is None else [], "starts": [*{k.start for k in own}]}
            found = select(*_COLUMNS).where(*_of(model, reference_id, kind, late=late), *which).order_by(t.c.start)
            told = conn.execute(found, {name: bulk.listed(conn, values) for name, values in listed.items() if values}).mappings()
            rows += [row for row in map(_row, told) if width is not None or row.key in wanted]
    return rows


def stretch(
    target: Target, model: str, *, reference_id: str, kind: PaneKind, width: int | None, since: int, until: int, late: bool = False
) -> list[PaneRow]:
    """Return the panes with ``since <= start < until``, by start; with ``width`` None the whole windows by count."""
    which = t.c.width == width if width is not None else t.c.width.between(1 - SLID, -1)
    same = (*_of(model, reference_id, kind, late=late), which)
    found = select(*_COLUMNS).where(*same, t.c.start >= since, t.c.start < until).order_by(t.c.start)
    with reading(target) as conn:
        return [_row(row) for row in conn.execute(found).mappings()]


def counted(target: Target, model: str, reference_id: str) -> list[PaneKey]:
    """Return the keys of the windows of features that were cut by count, whole ones and those that slid."""
    found = select(t.c.width, t.c.start).where(*_of(model, reference_id, "features", late=False), t.c.width < 0)
    with reading(target) as conn:
        return [PaneKey(model, reference_id, "features", width, start, late=False) for width, start in conn.execute(found)]


def foldable(
    target: Target, model: str, width: int, folded: Mapping[tuple[str | None, PaneKind], int], *, forgotten: int, limit: int
) -> list[PaneKey]:
    """Return the keys of at most ``limit`` panes: those of this ``width`` that start before ``folded`` says for their reference (None: any) and kind,
    and all that start before ``forgotten``; of what slid by events all that end by then, for its last step is in windows that start later.
    """
    gone = [and_(t.c.width > -SLID, t.c.start < forgotten), and_(t.c.width <= -SLID, t.c.start - t.c.width - SLID <= forgotten)]
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
        return [_row(row) for row in rows]


def _of(model: str, reference_id: str, kind: PaneKind, *, late: bool) -> Sequence[ColumnElement[bool]]:
    return t.c.model == model, t.c.reference_id == reference_id, t.c.kind == kind, t.c.late == late


def _row(row: RowMapping) -> PaneRow:
    return PaneRow(**row)
