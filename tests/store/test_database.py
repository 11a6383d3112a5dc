from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import InternalError

from driftline.contracts.errors import SchemaOutdated, SettingsError
from driftline.store import database
from driftline.store.database import check_revision, migrate, open_database
from driftline.store.tables import metadata
from driftline.store.transactions import reading, writing

_MIGRATE = "import sys; from driftline.store import database as d; d.migrate(d.open_database(sys.argv[1]))"


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(engine: Engine) -> None:
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    check_revision(engine)


def test_an_empty_database_is_refused_with_what_to_run(database_url: str) -> None:
    engine = open_database(database_url)
    with pytest.raises(SchemaOutdated, match=r"empty.*driftline db upgrade"):
        check_revision(engine)
    engine.dispose()


def test_a_database_of_a_later_program_is_refused(engine: Engine) -> None:
    with writing(engine) as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaOutdated, match="9999"):
        check_revision(engine)


def test_going_back_leaves_nothing_behind(engine: Engine) -> None:
    with writing(engine) as conn:
        config = database._config()
        config.attributes["connection"] = conn
        command.downgrade(config, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version", "sqlite_sequence"}


def test_a_migration_that_fails_halfway_leaves_the_old_schema(database_url: str) -> None:
    engine = open_database(database_url)
    with writing(engine) as conn:  # in the way of the initial migration, which has made other tables before it
        conn.execute(text("CREATE TABLE runs (x INTEGER)"))
    with pytest.raises(Exception, match="already exists"):
        migrate(engine)
    assert inspect(engine).get_table_names() == ["runs"]
    engine.dispose()


def test_processes_that_migrate_at_once_all_succeed(database_url: str) -> None:
    started = [subprocess.Popen([sys.executable, "-W", "error", "-c", _MIGRATE, database_url]) for _ in range(4)]
    assert [process.wait(timeout=60) for process in started] == [0, 0, 0, 0]
    engine = open_database(database_url)
    check_revision(engine)
    engine.dispose()


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    check_revision(engine)


def test_sqlite_keeps_a_write_ahead_log_and_every_commit_on_the_disk(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/new/folder/d.db")
    with reading(engine) as conn:
        assert conn.scalar(text("PRAGMA journal_mode")) == "wal"
        assert conn.scalar(text("PRAGMA synchronous")) == 2
        assert conn.scalar(text("PRAGMA busy_timeout")) == 60_000
    engine.dispose()


def test_postgresql_ends_a_transaction_that_idles(postgres: str) -> None:
    engine = open_database(postgres)
    with reading(engine) as conn:
        assert conn.scalar(text("SHOW idle_in_transaction_session_timeout")) == "4s"
        assert conn.scalar(text("SHOW lock_timeout")) == "1min"
        assert conn.scalar(text("SHOW transaction_isolation")) == "repeatable read"
    with writing(engine) as conn:
        assert conn.scalar(text("SHOW transaction_isolation")) == "read committed"
        assert conn.scalar(text("SHOW transaction_read_only")) == "off"
    engine.dispose()


def test_a_plain_postgresql_url_means_psycopg(postgres: str) -> None:
    engine = open_database(postgres.replace("+psycopg", ""))
    assert engine.dialect.driver == "psycopg"
    engine.dispose()


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "sqlite:///:memory:", "mysql+pymysql://u:secret@h/d"])
def test_other_urls_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(SettingsError, match="database") as refused:
        open_database(url)
    assert "secret" not in str(refused.value)


def test_a_transaction_that_raises_leaves_nothing(engine: Engine) -> None:
    def fails() -> None:
        with writing(engine) as conn:
            conn.execute(text("INSERT INTO counters VALUES ('n', 1)"))
            raise LookupError

    with pytest.raises(LookupError):
        fails()
    with reading(engine) as conn:
        assert conn.scalar(text("SELECT count(*) FROM counters")) == 0


def test_readers_see_one_moment(engine: Engine) -> None:
    with reading(engine) as conn:
        before = conn.scalar(text("SELECT count(*) FROM counters"))
        with writing(engine) as other:
            other.execute(text("INSERT INTO counters VALUES ('n', 1)"))
        assert conn.scalar(text("SELECT count(*) FROM counters")) == before == 0


def test_postgresql_readers_cannot_write(postgres: str) -> None:
    engine = open_database(postgres)
    with pytest.raises(InternalError, match="read-only"), reading(engine) as conn:
        conn.execute(text("CREATE TABLE t (x INTEGER)"))
    engine.dispose()
