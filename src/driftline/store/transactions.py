"""One transaction: a function given an engine makes its own, given a connection it joins the caller's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

#: Execution option of connections that will write; SQLite then takes its write lock at the start.
WRITES = "driftline_writes"
#: Execution option of connections that read many bytes: PostgreSQL then sends them as they are, not as twice their number of digits.
BYTES = "driftline_bytes"

Target = Engine | Connection


@contextmanager
def writing(target: Target) -> Iterator[Connection]:
    """A transaction: commits at the end, rolls back on an error. A connection's own is left to whoever began it."""
    if isinstance(target, Connection):
        yield target
        return
    with target.connect().execution_options(**{WRITES: True}) as conn, conn.begin():
        yield conn


@contextmanager
def reading(target: Target) -> Iterator[Connection]:
    """A transaction that sees one moment of the database, however many statements it takes."""
    if isinstance(target, Connection):
        yield target
        return
    with target.connect() as conn:
        if conn.dialect.name == "postgresql":  # SQLite's readers have a snapshot anyway
            conn.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with conn.begin():
            yield conn
