"""One transaction of the join: outcomes, the summaries of what they changed (outbox), the offsets they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, bindparam, select

from driftline.contracts.errors import StaleState
from driftline.store import bulk, outbox
from driftline.store.cursors import advance
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import (
    Halves,
    LabelRow,
    OutcomeChange,
    PredictionRow,
    columns_of,
    halves_of,
    merge,
    outcome_of,
)
from driftline.store.tables import join_cursors, outcomes
from driftline.store.transactions import Target, reading, writing

Key = tuple[str, str]


class JoinChange(msgspec.Struct, frozen=True, kw_only=True):
    """What offsets ``expected_next`` to ``next_offset - 1`` of one topic partition held. ``expected_next`` None:
    nothing was ever read of it.
    """

    source: str
    partition: int
    expected_next: int | None
    next_offset: int
    watermark: int = 0
    predictions: Sequence[PredictionRow] = ()
    labels: Sequence[LabelRow] = ()


def apply(engine: Engine, change: JoinChange, deltas: Callable[[list[OutcomeChange]], Iterable[OutboxRow]]) -> list[OutcomeChange]:
    """Merge rows into the outcomes, store what ``deltas`` makes of the changes, and move the cursor: all of it or
    nothing.

    ``deltas`` is called once, with the changes of complete outcomes in order of (model, event_id); the transaction
    waits for it. Returns the changes.
    Raises StaleState when another owner has moved the cursor.
    """
    news: dict[Key, Halves] = {}
    rows: Iterable[PredictionRow | LabelRow] = chain(change.predictions, change.labels)
    for row in rows:
        key = (row.model, row.event_id)
        halves = halves_of(row)
        there = news.get(key)
        news[key] = halves if there is None else merge(there, halves)
    with writing(engine) as conn:
        where: dict[str, str | int] = {"source": change.source, "partition": change.partition}
        if not advance(
            conn,
            join_cursors,
            where,
            change.expected_next,
            {"next_offset": change.next_offset, "watermark": change.watermark},
        ):
            raise StaleState(f"{change.source}[{change.partition}] is not at {change.expected_next}")
        changes = _merged(conn, {key: news[key] for key in sorted(news)})
        outbox.add(conn, list(deltas(changes)))
    return changes


class JoinPosition(msgspec.Struct, frozen=True, kw_only=True):
    """How far the join is in one topic partition."""

    source: str
    partition: int
    next_offset: int
    watermark: int


def positions(target: Target) -> list[JoinPosition]:
    """Return how far the join is in each topic partition that it has read."""
    t = join_cursors
    with reading(target) as conn:
        rows = conn.execute(select(t).order_by(t.c.source, t.c.partition)).mappings()
        return [JoinPosition(**row) for row in rows]


def position(target: Target, source: str, partition: int) -> JoinPosition | None:
    """Return how far the join is in one topic partition, None when nothing was ever read."""
    t = join_cursors
    with reading(target) as conn:
        row = conn.execute(select(t).where(t.c.source == source, t.c.partition == partition)).mappings().first()
    return None if row is None else JoinPosition(**row)


def cursor(target: Target, source: str, partition: int) -> int | None:
    """Return the offset that comes next, None when nothing was ever read."""
    found = position(target, source, partition)
    return None if found is None else found.next_offset


def _merged(conn: Connection, news: Mapping[Key, Halves]) -> list[OutcomeChange]:
    olds = _locked(conn, news)
    relabelled, rewritten, changes = [], [], []
    for (model, event_id), new in news.items():
        old = olds.get((model, event_id))
        merged = new if old is None else merge(old, new)
        if merged == old:
            continue
        if old is not None and (merged.prediction, merged.time) == (old.prediction, old.time):
            relabelled.append({"model": model, "event_id": event_id, "label_time": merged.label_time, "label": merged.label})
        elif old is not None:
            rewritten.append(columns_of(model, event_id, merged))
        pair = outcome_of(model, event_id, old), outcome_of(model, event_id, merged)
        if pair != (None, None):
            changes.append(pair)
    bulk.update(conn, outcomes, relabelled)  # a label leaves the prediction, the larger part, alone
    bulk.update(conn, outcomes, rewritten)
    return changes


def _locked(conn: Connection, news: Mapping[Key, Halves]) -> dict[Key, Halves]:
    """Insert those that are new, and return the rows of the others as they were, locked until the transaction ends."""
    if not news:
        return {}
    if conn.dialect.name == "postgresql":
        # Inserting first makes two joins that meet a new event at once wait for one another; a plain read would show
        # it to neither.
        fresh = bulk.insert_returning_new(conn, outcomes, [columns_of(*key, new) for key, new in news.items()])
        return _read(conn, [key for key in news if key not in fresh], lock=True)
    olds = _read(conn, list(news))  # SQLite has one writer at a time
    bulk.insert_new(conn, outcomes, [columns_of(*key, new) for key, new in news.items() if key not in olds])
    return olds


def _read(conn: Connection, keys: Sequence[Key], *, lock: bool = False) -> dict[Key, Halves]:
    t = outcomes
    columns = (t.c.event_id, t.c.time, t.c.prediction, t.c.label_time, t.c.label)
    statement = select(*columns).where(t.c.model == bindparam("of_model"), bulk.among(conn, t.c.event_id, "ids"))
    if lock:
        statement = statement.order_by(t.c.event_id).with_for_update()
    found: dict[Key, Halves] = {}
    for model, group in groupby(keys, key=lambda key: key[0]):
        ids: Any = bulk.listed(conn, [event_id for _, event_id in group])
        for event_id, *halves in conn.execute(statement, {"of_model": model, "ids": ids}):
            found[(model, event_id)] = Halves(*halves)
    return found
