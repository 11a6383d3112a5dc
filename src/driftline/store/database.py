"""Opening the database, and bringing its schema to the revision that this program needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.pq import Format
from psycopg.types.array import ListBinaryDumper
from sqlalchemy import URL, Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.exc import ArgumentError

from driftline.contracts.databases import ACCEPTED, redacted_url
from driftline.contracts.errors import SchemaOutdated, SettingsError
from driftline.store import pg_arrays
from driftline.store.transactions import BYTES, WRITES, reading, writing

BUSY_MS = 60_000
#: A writer stopped inside a transaction (SIGSTOP, a laptop's lid) blocks its successor no longer than this.
IDLE_IN_TRANSACTION_MS = 4_000
#: Nobody waits for a lock longer than this: whoever has it for so long is in trouble, and a step that ends is started again.
LOCK_MS = 60_000
#: A server that is not to be reached, or gone without a word, is found out within about this time.
_REACH_S = 10
_ALIVE = {"connect_timeout": _REACH_S, "keepalives_idle": _REACH_S, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}

#: The log is brought into SQLite's file at so many pages (32 MB), not at a thousand: pages of an index change in nearly every transaction. So much
#: of the file is remembered by a connection (2 MB were the default, less than what one poll touches).
_WAL_PAGES, _CACHE_KB = 8_000, 16_384

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x64726966_746C696E  # "driftlin": any number that nobody else takes


def open_database(url: str) -> Engine:
    """Return an engine for ``sqlite:///file`` or ``postgresql+psycopg://...`` (``postgresql://`` means psycopg too).
    It does not migrate.

    SQLite: write-ahead log, every commit on the disk (``synchronous=FULL``: a commit that Kafka's offsets rely on
    must not be lost with the power),
    writers wait for one another for a minute. PostgreSQL: a transaction left idle for 4 s is ended by the server, a lock is waited for a minute, a
    connection that broke is replaced before it is used again. These are settings of a session: a pooler has to pool sessions, not transactions.
    What a statement was given, an event's features say, stands in no error and no log.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise SettingsError("database", redacted_url(url), ACCEPTED) from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "postgresql+psycopg":
        engine = create_engine(parsed, pool_pre_ping=True, hide_parameters=True, connect_args=_alive(parsed))
        event.listen(engine, "connect", _postgresql_connected)
        event.listen(engine, "before_cursor_execute", _postgresql_asks)
        return engine
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise SettingsError("database", redacted_url(url), ACCEPTED)
    Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": BUSY_MS / 1000}, hide_parameters=True)
    event.listen(engine, "connect", _sqlite_connected)
    event.listen(engine, "begin", _sqlite_begins)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the schema to this program's revision. From many processes at once too: one does it, the others wait and
    find it done. Raises SchemaOutdated where a newer program has been.
    """
    with writing(engine) as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(text("SET LOCAL lock_timeout = 0"))  # another process's migration takes as long as it takes
            conn.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config = _config()
        _refuse_unknown(ScriptDirectory.from_config(config), MigrationContext.configure(conn).get_current_revision())
        config.attributes["connection"] = conn
        command.upgrade(config, "head")


def check_revision(engine: Engine) -> None:
    """Raise SchemaOutdated unless the schema is at the revision that this program needs."""
    scripts = ScriptDirectory.from_config(_config())
    wanted = scripts.get_current_head()
    with reading(engine) as conn:
        found = MigrationContext.configure(conn).get_current_revision()
    if found != wanted:
        _refuse_unknown(scripts, found)
        state = "empty" if found is None else f"at revision {found}"
        raise SchemaOutdated(f"the database is {state}, this program needs revision {wanted}: run `driftline db upgrade`")


def _refuse_unknown(scripts: ScriptDirectory, found: str | None) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise SchemaOutdated(
            f"the database is at revision {found}, which this program does not know: a newer Driftline has been here. "
            "Run that one; to go back for good, restore the backup from before the upgrade"
        )


def _alive(url: URL) -> dict[str, int]:
    """Return what is not said otherwise in the URL."""
    return {name: value for name, value in _ALIVE.items() if name not in url.query}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


def _sqlite_connected(dbapi: Any, _record: Any) -> None:
    dbapi.isolation_level = None  # transactions begin where we say, DDL included; the driver would commit around some statements
    mode = dbapi.execute("PRAGMA journal_mode").fetchone()[0]
    if mode != "wal":  # switching needs the file for oneself, so only the first connection ever does it
        dbapi.execute("PRAGMA journal_mode=WAL")
    dbapi.execute("PRAGMA synchronous=FULL")
    dbapi.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
    dbapi.execute(f"PRAGMA cache_size=-{_CACHE_KB}")


def _sqlite_begins(conn: Connection) -> None:
    # A deferred transaction that turns into a writer fails at once when another has written meanwhile, without waiting.
    conn.execute(text("BEGIN IMMEDIATE" if conn.get_execution_options().get(WRITES) else "BEGIN"))


def _postgresql_asks(conn: Connection, cursor: Any, *_: Any) -> None:
    # Not for all: what SQLAlchemy reads of PostgreSQL's own tables it wants as text.
    if conn.get_execution_options().get(BYTES):
        cursor.format = Format.BINARY


def _postgresql_connected(dbapi: Any, _record: Any) -> None:
    dbapi.autocommit = True
    dbapi.execute(f"SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_MS}")
    dbapi.execute(f"SET lock_timeout = {LOCK_MS}")
    dbapi.autocommit = False
    pg_arrays.register(dbapi.adapters)
    dbapi.adapters.register_dumper(list, ListBinaryDumper)  # as text, bytes travel as twice their number of digits
