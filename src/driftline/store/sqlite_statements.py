"""SQLite's statements for many rows: the text, run for each row on the driver itself, and the columns in the order of its question marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Executable, Table, and_, bindparam
from sqlalchemy.dialects import sqlite

from driftline.store.replacing import or_replaced

Text = tuple[str, tuple[str, ...]]
_SQLITE: Dialect = sqlite.dialect()


def run(conn: Connection, text: Text, columns: Mapping[str, Sequence[Any]]) -> None:
    """Run a statement for each row."""
    statement, names = text
    conn.exec_driver_sql(statement, list(zip(*(columns[name] for name in names), strict=True)))


def text_of(statement: Executable, names: Mapping[str, str] | None = None) -> Text:
    """Return a statement's text and its columns; ``names`` says of a parameter which column it is."""
    compiled = statement.compile(dialect=_SQLITE)  # type: ignore[attr-defined]
    return str(compiled), tuple((names or {}).get(name, name) for name in compiled.positiontup)


@lru_cache
def insert_new(into: Table, names: tuple[str, ...]) -> Text:
    """Insert rows whose key is not there."""
    return text_of(sqlite.insert(into).values({name: bindparam(name) for name in names}).on_conflict_do_nothing())


@lru_cache
def upsert(into: Table, names: tuple[str, ...], unless_newer: str | None) -> Text:
    """Insert rows, or put them in the place of those that are there."""
    return text_of(or_replaced(sqlite.insert(into).values({name: bindparam(name) for name in names}), into, names, unless_newer))


@lru_cache
def update(of: Table, names: tuple[str, ...]) -> Text:
    """Set the columns besides the key."""
    keys = [c.name for c in of.primary_key]
    parameters = {("key_" if name in keys else "new_") + name: name for name in names}
    values: dict[str, Any] = {name: bindparam("new_" + name) for name in names if name not in keys}
    return text_of(of.update().values(values).where(_is_key(of)), parameters)


@lru_cache
def delete(of: Table) -> Text:
    """Delete rows by their keys."""
    return text_of(of.delete().where(_is_key(of)), {"key_" + c.name: c.name for c in of.primary_key})


def _is_key(of: Table) -> ColumnElement[bool]:
    return and_(*(c == bindparam("key_" + c.name) for c in of.primary_key))
