"""The table of outcomes: what is new is merged into the rows that are there, and told as changes of complete outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select

from driftline.store import bulk, seen_rows
from driftline.store.outcome_rows import (
    COLUMNS,
    Halves,
    Judge,
    OutcomeChange,
    OutcomeRow,
    counted_of,
    merge,
    outcome_of,
    values_of,
)
from driftline.store.tables import outcomes

#: Model and event id.
Key = tuple[str, str]
_LABELLED = ("model", "event_id", "label_time", "label", "counted")


class _Held(NamedTuple):
    """A row as it was found."""

    halves: Halves
    counted: bytes | None
    version: tuple[bytes, ...]


def merged(conn: Connection, news: Mapping[Key, Halves], judge: Judge, *, lock: bool) -> list[OutcomeChange]:
    """Merge what is new, in the order of the keys, into the table, and return what that changed of complete outcomes, in this order.

    ``lock`` holds the rows before they are looked at; without it :class:`seen_rows.OvertakenError` may come of it.
    """
    # As a rule one half comes at a time: nearly all of these are no outcome yet.
    whole = ((key, new) for key, new in news.items() if new.prediction is not None and new.label is not None)
    fresh = {key: outcome_of(*key, new, judge, lazily=True) for key, new in whole}
    olds = _locked(conn, news, fresh) if lock and bulk.is_postgresql(conn) else _found(conn, news, fresh)
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
        seen_rows.update_seen(conn, outcomes, bulk.Columns.of(self._names, self._rows), self._versions)


def _found(conn: Connection, news: Mapping[Key, Halves], fresh: Mapping[Key, OutcomeRow | None]) -> dict[Key, _Held]:
    """Return the rows that are there, and insert the others. Nobody is kept out: who comes in between is found out when a row is written."""
    olds = _read(conn, list(news))
    seen_rows.insert_unseen(conn, outcomes, _columns({key: new for key, new in news.items() if key not in olds}, fresh))
    return olds


def _locked(conn: Connection, news: Mapping[Key, Halves], fresh: Mapping[Key, OutcomeRow | None]) -> dict[Key, _Held]:
    """Insert those that are new, and return the rows of the others as they were, locked until the transaction ends (PostgreSQL)."""
    # Inserting first makes two joins that meet a new event at once wait for one another; a plain read would show it to neither.
    inserted = bulk.insert_returning_new(conn, outcomes, _columns(news, fresh))
    others = [key for key in news if key not in inserted]
    olds = _read(conn, others, lock=True)
    if len(olds) < len(others):  # retention took one of them in between
        raise seen_rows.OvertakenError
    return olds


def _columns(news: Mapping[Key, Halves], fresh: Mapping[Key, OutcomeRow | None]) -> bulk.Columns:
    return bulk.Columns.of(COLUMNS, [values_of(*key, new, counted_of(fresh.get(key))) for key, new in news.items()])


def _read(conn: Connection, keys: Sequence[Key], *, lock: bool = False) -> dict[Key, _Held]:
    t = outcomes
    columns = (t.c.event_id, t.c.time, t.c.prediction, t.c.label_time, t.c.label, t.c.counted, *seen_rows.version_of(conn, t))
    statement = select(*columns).where(t.c.model == bindparam("of_model"), bulk.among(conn, t.c.event_id, "ids"))
    if lock:
        statement = statement.order_by(t.c.event_id).with_for_update()
    found: dict[Key, _Held] = {}
    for model, group in groupby(keys, key=lambda key: key[0]):
        ids: Any = bulk.listed(conn, [event_id for _, event_id in group])
        for event_id, time, prediction, label_time, label, counted, *version in conn.execute(statement, {"of_model": model, "ids": ids}).all():
            found[model, event_id] = _Held(Halves(time, prediction, label_time, label), counted, tuple(version))
    return found
