"""One transaction of the join: outcomes, the summaries of what they changed (outbox), the offsets they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import msgspec
from sqlalchemy import Engine, func, select

from driftline.contracts.errors import StaleState
from driftline.store import outbox, seen_rows
from driftline.store.cursors import advance
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import (
    Halves,
    Judge,
    LabelRow,
    OutcomeChange,
    PredictionRow,
    halves_of,
    merge,
    uncounted,
)
from driftline.store.outcome_table import Key, merged
from driftline.store.tables import join_cursors
from driftline.store.transactions import BYTES, Target, reading, writing

#: Two are enough unless a third writer is about; what is wrong for good is raised by the one after these.
_ATTEMPTS = 7
#: So many transactions lock their rows first after a rival was met.
_WARY = 32


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
    """What a worker's halves of the join remember of others: whether they meet the same events at the same time.

    As a rule nobody does, and rows are locked by being written. While a backlog is caught up with, predictions and their labels may come at once:
    after such a meeting the next transactions lock their rows first, which costs half as much again, but need not be done twice. Both halves may
    write it at once: what is lost by that costs time only.
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

    def parted(self) -> None:
        """Note that one of two who met lets the other go ahead."""
        self._wary = 0


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
    for again in range(_ATTEMPTS):
        try:
            changes = _applied(engine, change, news, deltas, judge, lock=again > 0 or rivals.about)
        except seen_rows.OvertakenError:
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
    with seen_rows.overtaking(), writing(engine) as conn:
        conn.execution_options(**{BYTES: True})
        seen_rows.keep_to_indexes(conn)
        moved = {"next_offset": change.next_offset, "watermark": change.watermark}
        if not advance(conn, join_cursors, where, change.expected_next, moved):
            raise StaleState(f"{change.source}[{change.partition}] is not at {change.expected_next}")
        changes = merged(conn, news, judge, lock=lock)
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
