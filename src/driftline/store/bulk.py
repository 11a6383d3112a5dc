"""Many rows in one statement, whichever of the two databases it is.

SQLite runs a prepared statement for each row, in process, on the driver itself: what SQLAlchemy does with each row
costs more than the row. PostgreSQL gets one statement whose parameters are arrays, one for each column, whatever the
number of rows. Rows are written in the order of their keys, so that two transactions can't wait for one another's
rows in a circle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Table,
    and_,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from driftline.store import pg_statements, sqlite_statements
from driftline.store.replacing import or_replaced

Row = Mapping[str, Any]


class Columns(dict[str, list[Any]]):
    """Rows in the order of their keys, each key once, as lists that are named like the columns: for those who have very many."""

    @classmethod
    def of(cls, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
        """Return rows that are in that order already."""
        return cls(zip(names, map(list, zip(*rows, strict=True)), strict=True) if rows else {})


#: Rows in any order.
Rows = Collection[Row] | Columns


def insert_new(conn: Connection, into: Table, rows: Rows) -> None:
    """Insert the rows whose primary key is not there; leave the others as they are."""
    if not (columns := _columns(into, rows)):
        return
    names = tuple(columns)
    if is_postgresql(conn):
        conn.execute(pg_statements.insert(into, names).on_conflict_do_nothing(), pg_statements.arrays(into, columns))
    else:
        sqlite_statements.run(conn, sqlite_statements.insert_new(into, names), columns)


def insert_returning_new(conn: Connection, into: Table, rows: Rows) -> set[tuple[Any, ...]]:
    """Insert like ``insert_new`` (PostgreSQL only); return the keys of those that were not there. A rival's
    uncommitted row is waited for.
    """
    columns = _columns(into, rows)
    statement = pg_statements.insert(into, tuple(columns)).on_conflict_do_nothing().returning(*into.primary_key.columns)
    return {tuple(row) for row in conn.execute(statement, pg_statements.arrays(into, columns)).all()}


def upsert(conn: Connection, into: Table, rows: Collection[Row], *, unless_newer: str | None = None) -> None:
    """Insert the rows or put them in the place of those with the same primary key.

    ``unless_newer`` names a column: a row there with a greater value of it stays. Of rows with one key the last is
    taken, or the greatest of that column.
    """
    if not (columns := _columns(into, rows, unless_newer)):
        return
    names = tuple(columns)
    if is_postgresql(conn):
        conn.execute(or_replaced(pg_statements.insert(into, names), into, names, unless_newer), pg_statements.arrays(into, columns))
    else:
        sqlite_statements.run(conn, sqlite_statements.upsert(into, names, unless_newer), columns)


def delete(conn: Connection, of: Table, rows: Collection[Row]) -> None:
    """Delete the rows with these primary keys."""
    if not (columns := _columns(of, rows)):
        return
    if is_postgresql(conn):
        gone = pg_statements.unnested(of, tuple(columns)).subquery("gone")
        here = and_(*(c == gone.c[c.name] for c in of.primary_key))
        conn.execute(of.delete().where(here), pg_statements.arrays(of, columns))
    else:
        sqlite_statements.run(conn, sqlite_statements.delete(of), columns)


def delete_some(conn: Connection, of: Table, *where: ColumnElement[bool], limit: int) -> int:
    """Delete at most ``limit`` of the rows that meet the conditions, and none that another transaction holds; return how many.

    By where they lie: a third to a quarter of the time that it takes to read their keys and to look each up again.
    """
    place: ColumnElement[Any] = literal_column("ctid" if is_postgresql(conn) else "rowid")
    some = select(place).select_from(of).where(*where).limit(limit).correlate(None)
    if not is_postgresql(conn):
        return conn.execute(of.delete().where(place.in_(some))).rowcount
    held = func.array(some.with_for_update(skip_locked=True).scalar_subquery())
    return conn.execute(of.delete().where(place == func.any(held))).rowcount


def append(conn: Connection, into: Table, rows: Sequence[Row]) -> None:
    """Insert rows that the database numbers, in the order given."""
    if not rows:
        return
    if is_postgresql(conn):
        conn.execute(pg_statements.insert(into, tuple(rows[0])), pg_statements.arrays(into, _turned(rows)))
    else:
        conn.execute(into.insert(), rows)


def insert_one(conn: Connection, into: Table, row: Row) -> bool:
    """Insert a row unless its primary key is there; say whether it was inserted. A rival's uncommitted row is waited
    for.
    """
    insert = postgresql.insert(into) if is_postgresql(conn) else sqlite.insert(into)
    inserted = insert.values(row).on_conflict_do_nothing().returning(next(iter(into.primary_key)))
    return conn.execute(inserted).first() is not None


def among(conn: Connection, of: Column[Any], name: str) -> ColumnElement[bool]:
    """The condition that a column is one of many; ``name`` is the parameter that ``listed`` makes. One statement text
    for any number of them.
    """
    if is_postgresql(conn):
        return of == func.any(bindparam(name, type_=ARRAY(of.type)))
    each = func.json_each(bindparam(name)).table_valued("value")
    return of.in_(select(each.c.value))


def listed(conn: Connection, values: Sequence[Any]) -> Any:
    """The value of an ``among`` parameter."""
    return list(values) if is_postgresql(conn) else msgspec.json.encode(values).decode()


def is_postgresql(conn: Connection) -> bool:
    """Say which of the two it is."""
    return conn.dialect.name == "postgresql"


def _columns(of: Table, rows: Rows, newest: str | None = None) -> Columns:
    """Return the rows in the order of their keys, column by column; nothing where there is no row."""
    return rows if isinstance(rows, Columns) else _turned(_by_key(of, rows, newest))


def _turned(rows: Sequence[Row]) -> Columns:
    return Columns({name: [row[name] for row in rows] for name in rows[0]} if rows else {})


def _by_key(of: Table, rows: Collection[Row], newest: str | None = None) -> list[Row]:
    key_of = itemgetter(*(c.name for c in of.primary_key))
    chosen: dict[Any, Row] = {}
    if newest is None:
        chosen = {key_of(row): row for row in rows}
    else:
        for row in rows:
            key = key_of(row)
            there = chosen.get(key)
            if there is None or row[newest] >= there[newest]:
                chosen[key] = row
    return [chosen[key] for key in sorted(chosen)]
