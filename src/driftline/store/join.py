"""One transaction of the join: outcomes, the summaries of what they changed (outbox), the offsets they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, bindparam, func, select

from driftline.contracts.errors import StaleState
from driftline.store import bulk, outbox
from driftline.store.cursors import advance
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import (
    COLUMNS,
    Halves,
    Judge,
    LabelRow,
    OutcomeChange,
    OutcomeRow,
    PredictionRow,
    counted_of,
    halves_of,
    merge,
    outcome_of,
    uncounted,
    values_of,
)
from driftline.store.tables import join_cursors, outcomes
from driftline.store.transactions import BYTES, Target, reading, writing

Key = tuple[str, str]
#: Two are enough unless a third writer is about; what is wrong for good is raised by the one after these.
_ATTEMPTS = 7
#: So many transactions lock their rows first after a rival was met.
_WARY = 32
_LABELLED = ("model", "event_id", "label_time", "label", "counted")


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


class Rivals:
    """What one of the join's halves remembers of the others: whether they meet its events at the same time.

    As a rule nobody does, and rows are locked by being written. While a backlog is caught up with, predictions and their labels may come at once:
    after such a meeting the next transactions lock their rows first, which costs half as much again, but need not be done twice.
    """

    def __init__(self) -> None:
        self._wary = 0

    @property
    def about(self) -> bool:
        """Whether rows are to be locked first."""
        return self._wary > 0

    def met(self) -> None:
        """Note a rival that came between."""
        self._wary = _WARY

    def passed(self) -> None:
        """Note a transaction that nobody disturbed."""
        self._wary = max(0, self._wary - 1)


def apply(
    engine: Engine,
    change: JoinChange,
    deltas: Callable[[list[OutcomeChange]], Iterable[OutboxRow]],
    judge: Judge = uncounted,
    rivals: Rivals | None = None,
) -> list[OutcomeChange]:
    """Merge rows into the outcomes, store what ``deltas`` makes of the changes, and move the cursor: all of it or
    nothing.

    ``judge`` says what a complete outcome is counted as; it is stored with it, and the old side of a later change has it. ``deltas`` is called once,
    with the changes of complete outcomes in order of (model, event_id); the transaction waits for it. Returns the changes.
    ``rivals`` is the caller's memory from one call to the next. Raises StaleState when another owner has moved the cursor.
    """
    news: dict[Key, Halves] = {}
    rows: Iterable[PredictionRow | LabelRow] = chain(change.predictions, change.labels)
    for row in rows:
        key = (row.model, row.event_id)
        halves = halves_of(row)
        there = news.get(key)
        news[key] = halves if there is None else merge(there, halves)
    news = {key: news[key] for key in sorted(news)}
    rivals = rivals or Rivals()
    for _ in range(_ATTEMPTS):
        try:
            changes = _applied(engine, change, news, deltas, judge, lock=rivals.about)
        except bulk.OvertakenError:
            rivals.met()
        else:
            rivals.passed()
            return changes
    return _applied(engine, change, news, deltas, judge, lock=True)


def _applied(
    engine: Engine,
    change: JoinChange,
    news: Mapping[Key, Halves],
    deltas: Callable[[list[OutcomeChange]], Iterable[OutboxRow]],
    judge: Judge,
    *,
    lock: bool,
) -> list[OutcomeChange]:
    where: dict[str, str | int] = {"source": change.source, "partition": change.partition}
    with bulk.overtaking(), writing(engine) as conn:
        conn.execution_options(**{BYTES: True})
        bulk.keep_to_indexes(conn)
        moved = {"next_offset": change.next_offset, "watermark": change.watermark}
        if not advance(conn, join_cursors, where, change.expected_next, moved):
            raise StaleState(f"{change.source}[{change.partition}] is not at {change.expected_next}")
        changes = _merged(conn, news, judge, lock=lock)
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


def watermark(target: Target, source: str) -> int:
    """Return the greatest watermark of a topic's partitions, whoever joins them; 0 when nothing was ever read."""
    t = join_cursors
    with reading(target) as conn:
        return conn.scalar(select(func.max(t.c.watermark)).where(t.c.source == source)) or 0


def cursor(target: Target, source: str, partition: int) -> int | None:
    """Return the offset that comes next, None when nothing was ever read."""
    found = position(target, source, partition)
    return None if found is None else found.next_offset


class _Held(NamedTuple):
    """A row as it was found."""

    halves: Halves
    counted: bytes | None
    version: tuple[bytes, ...]


def _merged(conn: Connection, news: Mapping[Key, Halves], judge: Judge, *, lock: bool) -> list[OutcomeChange]:
    # As a rule one half comes at a time: nearly all of these are no outcome yet.
    whole = ((key, new) for key, new in news.items() if new.prediction is not None and new.label is not None)
    fresh = {key: outcome_of(*key, new, judge, lazily=True) for key, new in whole}
    olds = _locked(conn, news, fresh) if lock and conn.dialect.name == "postgresql" else _found(conn, news, fresh)
    relabelled = _Rewrites(_LABELLED)
    rewritten = _Rewrites(COLUMNS)
    changes: list[OutcomeChange] = []
    for key, new in news.items():
        held = olds.get(key)
        if held is None:
            if (outcome := fresh.get(key)) is not None:
                changes.append((None, outcome))
            continue
        old, merged = held.halves, merge(held.halves, new)
        if merged == old:
            continue
        model, event_id = key
        before = outcome_of(model, event_id, old, judge, held.counted, lazily=True)
        after = outcome_of(model, event_id, merged, judge, lazily=True)
        counted = counted_of(after)
        if (merged.prediction, merged.time) == (old.prediction, old.time):
            relabelled.add((model, event_id, merged.label_time, merged.label, counted), held.version)
        else:
            rewritten.add(values_of(model, event_id, merged, counted), held.version)
        if before is not None or after is not None:
            changes.append((before, after))
    relabelled.write(conn)  # a label leaves the prediction, the larger part, alone
    rewritten.write(conn)
    return changes


class _Rewrites:
    """Rows that are there and change."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._rows: list[tuple[Any, ...]] = []
        self._versions: list[tuple[bytes, ...]] = []

    def add(self, row: tuple[Any, ...], version: tuple[bytes, ...]) -> None:
        self._rows.append(row)
        self._versions.append(version)

    def write(self, conn: Connection) -> None:
        bulk.update_seen(conn, outcomes, bulk.Columns.of(self._names, self._rows), self._versions)


def _found(conn: Connection, news: Mapping[Key, Halves], fresh: Mapping[Key, OutcomeRow | None]) -> dict[Key, _Held]:
    """Return the rows that are there, and insert the others. Nobody is kept out: who comes in between is found out when a row is written."""
    olds = _read(conn, list(news))
    bulk.insert_unseen(conn, outcomes, _columns({key: new for key, new in news.items() if key not in olds}, fresh))
    return olds


def _locked(conn: Connection, news: Mapping[Key, Halves], fresh: Mapping[Key, OutcomeRow | None]) -> dict[Key, _Held]:
    """Insert those that are new, and return the rows of the others as they were, locked until the transaction ends (PostgreSQL)."""
    # Inserting first makes two joins that meet a new event at once wait for one another; a plain read would show it to neither.
    inserted = bulk.insert_returning_new(conn, outcomes, _columns(news, fresh))
    others = [key for key in news if key not in inserted]
    olds = _read(conn, others, lock=True)
    if len(olds) < len(others):  # retention took one of them in between
        raise bulk.OvertakenError
    return olds


def _columns(news: Mapping[Key, Halves], fresh: Mapping[Key, OutcomeRow | None]) -> bulk.Columns:
    return bulk.Columns.of(COLUMNS, [values_of(*key, new, counted_of(fresh.get(key))) for key, new in news.items()])


def _read(conn: Connection, keys: Sequence[Key], *, lock: bool = False) -> dict[Key, _Held]:
    t = outcomes
    columns = (t.c.event_id, t.c.time, t.c.prediction, t.c.label_time, t.c.label, t.c.counted, *bulk.version_of(conn, t))
    statement = select(*columns).where(t.c.model == bindparam("of_model"), bulk.among(conn, t.c.event_id, "ids"))
    if lock:
        statement = statement.order_by(t.c.event_id).with_for_update()
    found: dict[Key, _Held] = {}
    for model, group in groupby(keys, key=lambda key: key[0]):
        ids: Any = bulk.listed(conn, [event_id for _, event_id in group])
        for event_id, time, prediction, label_time, label, counted, *version in conn.execute(statement, {"of_model": model, "ids": ids}).all():
            found[model, event_id] = _Held(Halves(time, prediction, label_time, label), counted, tuple(version))
    return found
