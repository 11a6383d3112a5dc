"""Many rows in one statement: the only place where the two dialects' inserts differ.

SQLite runs a prepared statement for each row, in process, on the driver itself: what SQLAlchemy does with each row
costs more than the row. PostgreSQL gets one statement whose parameters are arrays, one for each column, whatever the
number of rows. Rows are written in the order of their keys, so that two transactions can't wait for one another's
rows in a circle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec
from psycopg.errors import DeadlockDetected, UniqueViolation
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnClause,
    ColumnElement,
    Connection,
    Dialect,
    Executable,
    Select,
    Table,
    and_,
    bindparam,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError

from driftline.store.pg_arrays import Places, Writers, array_of, array_type, named
from driftline.store.pg_copy import copy

Row = Mapping[str, Any]


class Columns(dict[str, list[Any]]):
    """Rows in the order of their keys, each key once, as lists that are named like the columns: for those who have very many."""

    @classmethod
    def of(cls, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
        """Return rows that are in that order already."""
        return cls(zip(names, map(list, zip(*rows, strict=True)), strict=True) if rows else {})


#: Rows in any order.
Rows = Collection[Row] | Columns


class OvertakenError(Exception):
    """A rival has written one of the rows since they were looked for, or each waits for the other: the transaction is to be done again."""


@contextmanager
def overtaking() -> Iterator[None]:
    """Tell what the server says when writers meet, around a transaction that uses :func:`insert_unseen` and :func:`update_seen`.

    Who writes rows without having locked them may also come to wait in a circle; the server then ends one of the transactions.
    """
    try:
        yield
    except (UniqueViolation, DeadlockDetected) as error:  # of COPY, which is the driver's own
        raise OvertakenError from error
    except OperationalError as error:
        if isinstance(error.orig, DeadlockDetected):
            raise OvertakenError from error
        raise


def insert_new(conn: Connection, into: Table, rows: Rows) -> None:
    """Insert the rows whose primary key is not there; leave the others as they are."""
    if not (columns := _columns(into, rows)):
        return
    names = tuple(columns)
    if _is_postgresql(conn):
        conn.execute(_postgresql_insert(into, names).on_conflict_do_nothing(), _arrays(into, columns))
    else:
        _each(conn, _sqlite_insert_new(into, names), columns)


def insert_unseen(conn: Connection, into: Table, columns: Columns) -> None:
    """Insert rows whose keys were looked for and not found, the fastest way there is. A rival's uncommitted row is waited for.

    OvertakenError, of :func:`overtaking`, where one is there by now.
    """
    if not columns:
        return
    if not _is_postgresql(conn):
        _each(conn, _sqlite_insert_new(into, tuple(columns)), columns)
        return
    copy(conn, into, columns)


def insert_returning_new(conn: Connection, into: Table, rows: Rows) -> set[tuple[Any, ...]]:
    """Insert like ``insert_new`` (PostgreSQL only); return the keys of those that were not there. A rival's
    uncommitted row is waited for.
    """
    columns = _columns(into, rows)
    statement = _postgresql_insert(into, tuple(columns)).on_conflict_do_nothing().returning(*into.primary_key.columns)
    return {tuple(row) for row in conn.execute(statement, _arrays(into, columns)).all()}


def upsert(conn: Connection, into: Table, rows: Collection[Row], *, unless_newer: str | None = None) -> None:
    """Insert the rows or put them in the place of those with the same primary key.

    ``unless_newer`` names a column: a row there with a greater value of it stays. Of rows with one key the last is
    taken, or the greatest of that column.
    """
    if not (columns := _columns(into, rows, unless_newer)):
        return
    names = tuple(columns)
    if _is_postgresql(conn):
        conn.execute(_or_replaced(_postgresql_insert(into, names), into, names, unless_newer), _arrays(into, columns))
    else:
        _each(conn, _sqlite_upsert(into, names, unless_newer), columns)


def update(conn: Connection, of: Table, rows: Rows) -> None:
    """Set the columns that the rows name besides the primary key."""
    if not (columns := _columns(of, rows)):
        return
    names = tuple(columns)
    if _is_postgresql(conn):
        keys = [c.name for c in of.primary_key]
        new = _unnested(of, names).subquery("new")
        here = and_(*(of.c[name] == new.c[name] for name in keys))
        conn.execute(of.update().values({name: new.c[name] for name in names if name not in keys}).where(here), _arrays(of, columns))
    else:
        _each(conn, _sqlite_update(of, names), columns)


def keep_to_indexes(conn: Connection) -> None:
    """Have PostgreSQL look rows up by an index or their place for the rest of the transaction, however small it believes the table to be.

    A statement that is often run is planned once, for any parameters; a plan made while the table was nearly empty reads all of it for each
    row that is looked for, until its statistics are made anew.
    """
    if _is_postgresql(conn):
        conn.exec_driver_sql("SET LOCAL enable_seqscan = off")


def version_of(conn: Connection, of: Table) -> list[ColumnElement[Any]]:
    """The columns that tell one state of a row from any other that it had or will have, read with ``BYTES``; none on SQLite, which has one writer.

    PostgreSQL never changes a row in place: where it lies and which transaction put it there are its version.
    """
    return [_kept(of, name) for name in ("ctid", "xmin")] if _is_postgresql(conn) else []


def update_seen(conn: Connection, of: Table, columns: Columns, versions: Sequence[tuple[bytes, ...]]) -> None:
    """Set the columns besides the primary key of rows that were read; ``versions``, in the rows' order, is what :func:`version_of` said of them.

    Raises OvertakenError where one is another by now.
    """
    if not columns:
        return
    names = tuple(columns)
    if not _is_postgresql(conn):
        _each(conn, _sqlite_update(of, names), columns)
        return
    new = [name for name in names if name not in of.primary_key.columns]
    places, writers = zip(*versions, strict=True)
    arrays = {"all_ctid": Places(places), "all_xmin": Writers(writers)} | _arrays(of, Columns((name, columns[name]) for name in new))
    if conn.execute(_postgresql_update_seen(of, tuple(new)), arrays).rowcount < len(versions):
        raise OvertakenError


def delete(conn: Connection, of: Table, rows: Collection[Row]) -> None:
    """Delete the rows with these primary keys."""
    if not (columns := _columns(of, rows)):
        return
    if _is_postgresql(conn):
        gone = _unnested(of, tuple(columns)).subquery("gone")
        here = and_(*(c == gone.c[c.name] for c in of.primary_key))
        conn.execute(of.delete().where(here), _arrays(of, columns))
    else:
        _each(conn, _sqlite_delete(of), columns)


def delete_some(conn: Connection, of: Table, *where: ColumnElement[bool], limit: int) -> int:
    """Delete at most ``limit`` of the rows that meet the conditions, and none that another transaction holds; return how many.

    By where they lie: a third to a quarter of the time that it takes to read their keys and to look each up again.
    """
    place: ColumnElement[Any] = literal_column("ctid" if _is_postgresql(conn) else "rowid")
    some = select(place).select_from(of).where(*where).limit(limit).correlate(None)
    if not _is_postgresql(conn):
        return conn.execute(of.delete().where(place.in_(some))).rowcount
    held = func.array(some.with_for_update(skip_locked=True).scalar_subquery())
    return conn.execute(of.delete().where(place == func.any(held))).rowcount


def append(conn: Connection, into: Table, rows: Sequence[Row]) -> None:
    """Insert rows that the database numbers, in the order given."""
    if not rows:
        return
    if _is_postgresql(conn):
        conn.execute(_postgresql_insert(into, tuple(rows[0])), _arrays(into, _turned(rows)))
    else:
        conn.execute(into.insert(), rows)


def insert_one(conn: Connection, into: Table, row: Row) -> bool:
    """Insert a row unless its primary key is there; say whether it was inserted. A rival's uncommitted row is waited
    for.
    """
    insert = postgresql.insert(into) if _is_postgresql(conn) else sqlite.insert(into)
    inserted = insert.values(row).on_conflict_do_nothing().returning(next(iter(into.primary_key)))
    return conn.execute(inserted).first() is not None


def among(conn: Connection, of: Column[Any], name: str) -> ColumnElement[bool]:
    """The condition that a column is one of many; ``name`` is the parameter that ``listed`` makes. One statement text
    for any number of them.
    """
    if _is_postgresql(conn):
        return of == func.any(bindparam(name, type_=ARRAY(of.type)))
    each = func.json_each(bindparam(name)).table_valued("value")
    return of.in_(select(each.c.value))


def listed(conn: Connection, values: Sequence[Any]) -> Any:
    """The value of an ``among`` parameter."""
    return list(values) if _is_postgresql(conn) else msgspec.json.encode(values).decode()


def _is_postgresql(conn: Connection) -> bool:
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


# ---- PostgreSQL
def _arrays(of: Table, columns: Columns) -> dict[str, Any]:
    return {"all_" + name: array_of(of.c[name].type, values) for name, values in columns.items()}


def _unnested(of: Table, names: Sequence[str]) -> Select[Any]:
    arrays = [bindparam("all_" + name, type_=array_type(of.c[name].type)) for name in names]
    return select(*(func.unnest(array, type_=of.c[name].type).label(name) for name, array in zip(names, arrays, strict=True)))


def _postgresql_insert(into: Table, names: Sequence[str]) -> postgresql.Insert:
    return postgresql.insert(into).from_select(list(names), _unnested(into, names))


@lru_cache
def _postgresql_update_seen(of: Table, names: tuple[str, ...]) -> Executable:
    seen = [func.unnest(bindparam("all_" + name, type_=named(kind))).label(name) for name, kind in (("ctid", "TID[]"), ("xmin", "XID[]"))]
    new = select(*seen, *_unnested(of, names).selected_columns).subquery("new")
    here = [_kept(of, name) == new.c[name] for name in ("ctid", "xmin")]
    return of.update().values({name: new.c[name] for name in names}).where(*here)


def _kept(of: Table, name: str) -> ColumnClause[Any]:
    """Return a column that PostgreSQL itself keeps."""
    kept: ColumnClause[Any] = column(name)
    kept.table = of
    return kept


def _or_replaced(insert: Any, into: Table, names: Sequence[str], unless_newer: str | None) -> Any:
    keys = [c.name for c in into.primary_key]
    changed = {name: insert.excluded[name] for name in names if name not in keys}
    where = insert.excluded[unless_newer] >= into.c[unless_newer] if unless_newer else None
    return insert.on_conflict_do_update(index_elements=keys, set_=changed, where=where)


# ---- SQLite: the statement's text, and the columns in the order of its question marks
_Text = tuple[str, tuple[str, ...]]
_SQLITE: Dialect = sqlite.dialect()


def _each(conn: Connection, text: _Text, columns: Columns) -> None:
    statement, names = text
    conn.exec_driver_sql(statement, list(zip(*(columns[name] for name in names), strict=True)))


def _text(statement: Executable, names: Mapping[str, str] | None = None) -> _Text:
    compiled = statement.compile(dialect=_SQLITE)  # type: ignore[attr-defined]
    return str(compiled), tuple((names or {}).get(name, name) for name in compiled.positiontup)


@lru_cache
def _sqlite_insert_new(into: Table, names: tuple[str, ...]) -> _Text:
    return _text(sqlite.insert(into).values({name: bindparam(name) for name in names}).on_conflict_do_nothing())


@lru_cache
def _sqlite_upsert(into: Table, names: tuple[str, ...], unless_newer: str | None) -> _Text:
    return _text(_or_replaced(sqlite.insert(into).values({name: bindparam(name) for name in names}), into, names, unless_newer))


@lru_cache
def _sqlite_update(of: Table, names: tuple[str, ...]) -> _Text:
    keys = [c.name for c in of.primary_key]
    parameters = {("key_" if name in keys else "new_") + name: name for name in names}
    values: dict[str, Any] = {name: bindparam("new_" + name) for name in names if name not in keys}
    return _text(of.update().values(values).where(_is_key(of)), parameters)


@lru_cache
def _sqlite_delete(of: Table) -> _Text:
    return _text(of.delete().where(_is_key(of)), {"key_" + c.name: c.name for c in of.primary_key})


def _is_key(of: Table) -> ColumnElement[bool]:
    return and_(*(c == bindparam("key_" + c.name) for c in of.primary_key))
