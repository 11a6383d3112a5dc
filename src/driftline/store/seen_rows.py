"""Rows that were looked at and are written unless a rival has been there since: nothing is locked, and who was overtaken is told (decision 0027)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg.errors import DeadlockDetected, UniqueViolation
from sqlalchemy import ColumnElement, Connection, Table
from sqlalchemy.exc import OperationalError

from driftline.store import pg_statements, sqlite_statements
from driftline.store.bulk import Columns, is_postgresql
from driftline.store.pg_arrays import Places, Writers
from driftline.store.pg_copy import copy


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


def insert_unseen(conn: Connection, into: Table, columns: Columns) -> None:
    """Insert rows whose keys were looked for and not found, the fastest way there is. A rival's uncommitted row is waited for.

    OvertakenError, of :func:`overtaking`, where one is there by now.
    """
    if not columns:
        return
    if not is_postgresql(conn):
        sqlite_statements.run(conn, sqlite_statements.insert_new(into, tuple(columns)), columns)
        return
    copy(conn, into, columns)


def keep_to_indexes(conn: Connection) -> None:
    """Have PostgreSQL look rows up by an index or their place for the rest of the transaction, however small it believes the table to be.

    A statement that is often run is planned once, for any parameters; a plan made while the table was nearly empty reads all of it for each
    row that is looked for, until its statistics are made anew.
    """
    if is_postgresql(conn):
        conn.exec_driver_sql("SET LOCAL enable_seqscan = off")


def version_of(conn: Connection, of: Table) -> list[ColumnElement[Any]]:
    """The columns that tell one state of a row from any other that it had or will have, read with ``BYTES``; none on SQLite, which has one writer.

    PostgreSQL never changes a row in place: where it lies and which transaction put it there are its version.
    """
    return [pg_statements.kept(of, name) for name in ("ctid", "xmin")] if is_postgresql(conn) else []


def update_seen(conn: Connection, of: Table, columns: Columns, versions: Sequence[tuple[bytes, ...]]) -> None:
    """Set the columns besides the primary key of rows that were read; ``versions``, in the rows' order, is what :func:`version_of` said of them.

    Raises OvertakenError where one is another by now.
    """
    if not columns:
        return
    names = tuple(columns)
    if not is_postgresql(conn):
        sqlite_statements.run(conn, sqlite_statements.update(of, names), columns)
        return
    new = [name for name in names if name not in of.primary_key.columns]
    places, writers = zip(*versions, strict=True)
    arrays = {"all_ctid": Places(places), "all_xmin": Writers(writers)} | pg_statements.arrays(of, Columns((name, columns[name]) for name in new))
    if conn.execute(pg_statements.update_seen(of, tuple(new)), arrays).rowcount < len(versions):
        raise OvertakenError
