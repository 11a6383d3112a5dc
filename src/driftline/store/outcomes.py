"""Outcomes, read: what is ripe, how long labels take, what is too old to keep."""

from __future__ import annotations

from math import ceil

from sqlalchemy import ColumnElement, Select, and_, exists, func, select

from driftline.store import bulk
from driftline.store.outcome_rows import Halves, OutcomeRow, outcome_of
from driftline.store.tables import outcomes as t
from driftline.store.transactions import Target, reading, writing

_WITHDRAWN = b"\xc0"  # MessagePack's nil
_PURGE_ROWS = 5_000


def ripe_rows(target: Target, model: str, *, since: int, until: int, known_by: int) -> list[OutcomeRow]:
    """Return the outcomes with ``since <= event_time < until`` whose label's time is at most ``known_by``, by
    (event_time, event_id).

    Labels corrected after ``known_by`` are left out, not turned back: the table keeps the newest.
    """
    columns = (t.c.event_id, t.c.counted, t.c.time, t.c.prediction, t.c.label_time, t.c.label)
    with reading(target) as conn:
        rows = conn.execute(select(*columns).where(_ripe(model, since, until, known_by))).all()
    found = (outcome_of(model, event_id, Halves(*halves), counted=counted) for event_id, counted, *halves in rows)
    return sorted((o for o in found if o is not None), key=lambda o: (o.event_time, o.event_id))  # not a database's collation


def count_ripe(target: Target, model: str, *, since: int, until: int, known_by: int) -> int:
    """Return how many rows ``ripe_rows`` would return."""
    with reading(target) as conn:
        return conn.scalar(select(func.count()).select_from(t).where(_ripe(model, since, until, known_by))) or 0


def label_delay(target: Target, model: str, quantile: float = 0.95) -> int | None:
    """Return the quantile (nearest rank) of label time minus event time in ms, None without outcomes."""
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile is {quantile}; expected above 0, at most 1")
    with reading(target) as conn:
        n = conn.scalar(select(func.count()).select_from(t).where(_complete(model)))
        if not n:
            return None
        delay = t.c.label_time - t.c.time
        return conn.scalar(select(delay).where(_complete(model)).order_by(delay).offset(ceil(quantile * n) - 1).limit(1))


def purge(target: Target, before: int) -> int:
    """Delete what is older than ``before`` by event time, by label time where no prediction came; return how many. A
    transaction for every few thousand.
    """
    deleted = 0
    while gone := purge_some(target, before):
        deleted += gone
    return deleted


def purge_some(target: Target, before: int) -> int:
    """Delete a few thousand at the most of what ``purge`` would; return how many, 0 when nothing (that nobody holds) is left."""
    with reading(target) as conn:
        old = conn.scalars(_models_with(before).limit(_PURGE_ROWS)).all()
    if not old:
        return 0
    gone = 0
    with writing(target) as conn:
        for model in old:
            # Rows that a join holds at this moment are left for the next time, in place of waiting for them in an order of our own.
            gone += bulk.delete_some(conn, t, t.c.model == model, t.c.time < before, limit=_PURGE_ROWS - gone)
            if gone >= _PURGE_ROWS:
                break
    return gone


def _models_with(before: int) -> Select[tuple[str]]:
    """The models that have older rows, by a seek in the index or two for each model: DISTINCT would read the whole of it."""
    model = select(func.min(t.c.model).label("model")).cte("m", recursive=True)
    following = select(func.min(t.c.model)).where(t.c.model > model.c.model).correlate(model).scalar_subquery()
    model = model.union_all(select(following).select_from(model).where(model.c.model.is_not(None)))
    return select(model.c.model).where(exists().where(t.c.model == model.c.model, t.c.time < before))


def _complete(model: str) -> ColumnElement[bool]:
    return and_(t.c.model == model, t.c.prediction.is_not(None), t.c.label.is_not(None), t.c.label != _WITHDRAWN)


def _ripe(model: str, since: int, until: int, known_by: int) -> ColumnElement[bool]:
    return and_(_complete(model), t.c.time >= since, t.c.time < until, t.c.label_time <= known_by)
