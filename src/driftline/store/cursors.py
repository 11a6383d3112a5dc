"""Compare-and-swap on a cursor: the first statement of a stateful step's transaction, so that a zombie can't
overwrite its successor.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Table

from driftline.store import bulk


def advance(conn: Connection, cursors: Table, key: Mapping[str, str | int], expected: int | None, values: Mapping[str, int]) -> bool:
    """Set ``values`` (``next_offset`` among them) where ``next_offset`` is as expected; None expects that there is no
    row yet. Say whether it was so.
    """
    if expected is None:
        return bulk.insert_one(conn, cursors, {**key, **values})
    statement = cursors.update().values(**values).where(cursors.c.next_offset == expected)
    for name, value in key.items():
        statement = statement.where(cursors.c[name] == value)
    return conn.execute(statement).rowcount == 1
