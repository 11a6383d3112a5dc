"""Many rows in one statement: the only place where the two dialects' inserts differ.

SQLite runs a prepared statement for each row, in process. PostgreSQL gets one statement whose parameters are arrays,
one for each column, whatever the
number of rows. Rows are written in the order of their keys, so that two transactions can't wait for one another's
rows in a circle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

Row = Mapping[str, Any]


def insert_new(conn: Connection, into: Table, rows: Collection[Row]) -> None:
    """Insert the rows whose primary key is not there; leave the others as they are."""
    if not rows:
        return
    ordered = _by_key(into, rows)
    if conn.dialect.name == "postgresql":
        conn.execute(_postgresql_insert(into, ordered[0]).on_conflict_do_nothing(), _arrays(ordered))
    else:
        conn.execute(sqlite.insert(into).on_conflict_do_nothing(), ordered)


def insert_returning_new(conn: Connection, into: Table, rows: Collection[Row]) -> set[tuple[Any, ...]]:
    """Insert like ``insert_new`` (PostgreSQL only); return the keys of those that were not there. A rival's
    uncommitted row is waited for.
    """
    ordered = _by_key(into, rows)
    statement = _postgresql_insert(into, ordered[0]).on_conflict_do_nothing().returning(*into.primary_key.columns)
    return {tuple(row) for row in conn.execute(statement, _arrays(ordered))}


def upsert(conn: Connection, into: Table, rows: Collection[Row], *, unless_newer: str | None = None) -> None:
    """Insert the rows or put them in the place of those with the same primary key.

    ``unless_newer`` names a column: a row there with a greater value of it stays. Of rows with one key the last is
    taken, or the greatest of that column.
    """
    if not rows:
        return
    ordered = _by_key(into, rows, unless_newer)
    keys = [c.name for c in into.primary_key]
    if conn.dialect.name == "postgresql":
        insert: Any = _postgresql_insert(into, ordered[0])
        parameters: Any = _arrays(ordered)
    else:
        insert, parameters = sqlite.insert(into), ordered
    changed = {name: insert.excluded[name] for name in ordered[0] if name not in keys}
    where = insert.excluded[unless_newer] >= into.c[unless_newer] if unless_newer else None
    conn.execute(insert.on_conflict_do_update(index_elements=keys, set_=changed, where=where), parameters)


def update(conn: Connection, of: Table, rows: Collection[Row]) -> None:
    """Set the columns that the rows name besides the primary key."""
    if not rows:
        return
    ordered = _by_key(of, rows)
    keys = [c.name for c in of.primary_key]
    values = [name for name in ordered[0] if name not in keys]
    if conn.dialect.name == "postgresql":
        new = _unnested(of, list(ordered[0])).subquery("new")
        here = and_(*(of.c[name] == new.c[name] for name in keys))
        conn.execute(of.update().values({name: new.c[name] for name in values}).where(here), _arrays(ordered))
        return
    statement = of.update().where(_is_key(of)).values({name: bindparam("new_" + name) for name in values})
    conn.execute(statement, [{_parameter(keys, name): value for name, value in row.items()} for row in ordered])


def delete(conn: Connection, of: Table, rows: Collection[Row]) -> None:
    """Delete the rows with these primary keys."""
    if not rows:
        return
    ordered = _by_key(of, rows)
    if conn.dialect.name == "postgresql":
        gone = _unnested(of, list(ordered[0])).subquery("gone")
        here = and_(*(c == gone.c[c.name] for c in of.primary_key))
        conn.execute(of.delete().where(here), _arrays(ordered))
        return
    conn.execute(of.delete().where(_is_key(of)), [{f"key_{k}": v for k, v in row.items()} for row in ordered])


def append(conn: Connection, into: Table, rows: Sequence[Row]) -> None:
    """Insert rows that the database numbers, in the order given."""
    if conn.dialect.name == "postgresql":
        conn.execute(_postgresql_insert(into, rows[0]), _arrays(rows))
    else:
        conn.execute(into.insert(), rows)


def insert_one(conn: Connection, into: Table, row: Row) -> bool:
    """Insert a row unless its primary key is there; say whether it was inserted. A rival's uncommitted row is waited
    for.
    """
    insert = postgresql.insert(into) if conn.dialect.name == "postgresql" else sqlite.insert(into)
    inserted = insert.values(row).on_conflict_do_nothing().returning(next(iter(into.primary_key)))
    return conn.execute(inserted).first() is not None


def among(conn: Connection, of: Column[Any], name: str) -> ColumnElement[bool]:
    """The condition that a column is one of many; ``name`` is the parameter that ``listed`` makes. One statement text
    for any number of them.
    """
    if conn.dialect.name == "postgresql":
        return of == func.any(bindparam(name, type_=ARRAY(of.type)))
    each = func.json_each(bindparam(name)).table_valued("value")
    return of.in_(select(each.c.value))


def listed(conn: Connection, values: Sequence[Any]) -> Any:
    """The value of an ``among`` parameter."""
    return list(values) if conn.dialect.name == "postgresql" else msgspec.json.encode(values).decode()


def _by_key(of: Table, rows: Collection[Row], newest: str | None = None) -> list[Row]:
    names = [c.name for c in of.primary_key]
    chosen: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = tuple([row[name] for name in names])
        there = chosen.get(key) if newest else None
        if there is None or row[newest or ""] >= there[newest or ""]:
            chosen[key] = row
    return [chosen[key] for key in sorted(chosen)]


def _arrays(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {"all_" + name: [row[name] for row in rows] for name in rows[0]}


def _unnested(of: Table, names: Sequence[str]) -> Select[Any]:
    arrays = [bindparam("all_" + name, type_=ARRAY(of.c[name].type)) for name in names]
    return select(*(func.unnest(array).label(name) for name, array in zip(names, arrays, strict=True)))


def _postgresql_insert(into: Table, row: Row) -> postgresql.Insert:
    return postgresql.insert(into).from_select(list(row), _unnested(into, list(row)))


def _is_key(of: Table) -> ColumnElement[bool]:
    return and_(*(c == bindparam("key_" + c.name) for c in of.primary_key))


def _parameter(keys: Sequence[str], name: str) -> str:
    return ("key_" if name in keys else "new_") + name
