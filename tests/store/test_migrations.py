"""A database that an older program filled: brought forward with all it held, and refused until then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text
from tests.store.at_0001 import ROWS
from tests.store.at_later import ROWS as LATER
from tests.store.builders import T0, finding, prediction, version

from driftline.contracts.cutting import Cut
from driftline.contracts.errors import SchemaOutdated
from driftline.contracts.settings import Settings
from driftline.contracts.summaries import Counted
from driftline.store import (
    admissions,
    block_cuts,
    closings,
    database,
    decisions,
    detection,
    episodes,
    findings,
    join,
    outbox,
    outcomes,
    panes,
    references,
    reports,
    runs,
    triggers,
    versions,
)
from driftline.store.database import check_revision, migrate, open_database
from driftline.store.detect_rows import PaneKey
from driftline.store.join import JoinChange
from driftline.store.outcome_rows import LabelRow, OutcomeRow
from driftline.store.tables import metadata
from driftline.store.transactions import reading, writing
from driftline.streams.app import create_app


@pytest.fixture
def old(database_url: str) -> Iterator[Engine]:
    """A database at revision 0001 with rows in every table."""
    engine = open_database(database_url)
    with writing(engine) as conn:
        config = database._config()
        config.attributes["connection"] = conn
        command.upgrade(config, "0001")
        write(conn, ROWS)
        if conn.dialect.name == "postgresql":
            conn.execute(text("SELECT setval(pg_get_serial_sequence('outbox', 'id'), (SELECT max(id) FROM outbox))"))
    yield engine
    engine.dispose()


@pytest.fixture
def grown(old: Engine) -> Engine:
    """That database at the newest revision, reached a revision at a time; at each its program wrote what the revision gave a place to."""
    with writing(old) as conn:
        config = database._config()
        config.attributes["connection"] = conn
        for revision, tables in sorted(LATER.items()):
            command.upgrade(config, revision)
            write(conn, tables)
    migrate(old)
    return old


def write(conn: Connection, tables: Mapping[str, list[dict[str, Any]]]) -> None:
    for table, rows in tables.items():
        names = ", ".join(f'"{name}"' for name in rows[0])
        values = ", ".join(f":{name}" for name in rows[0])
        conn.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), rows)


def held(conn: Connection, table: str, names: list[str]) -> list[dict[str, Any]]:
    columns = ", ".join(f'"{name}"' for name in names)
    return [dict(row) for row in conn.execute(text(f"SELECT {columns} FROM {table}")).mappings()]


def same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    return sorted(map(repr, map(plain, one))) == sorted(map(repr, map(plain, other)))


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """The row without what SQLite has no type for."""
    return {name: int(value) if isinstance(value, bool) else bytes(value) if isinstance(value, memoryview) else value for name, value in row.items()}


def revisions() -> ScriptDirectory:
    return ScriptDirectory.from_config(database._config())


def test_revisions_follow_one_another_in_one_line() -> None:
    scripts = revisions()
    assert len(scripts.get_heads()) == 1
    assert scripts.get_bases() == ["0001"]
    names = [script.revision for script in scripts.walk_revisions()][::-1]
    assert names == sorted(names)


def test_the_old_database_has_rows_in_every_table_of_its_revision(old: Engine) -> None:
    assert set(ROWS) == set(inspect(old).get_table_names()) - {"alembic_version"}
    assert all(ROWS.values())


def test_every_row_comes_forward_unchanged_in_what_it_said(old: Engine) -> None:
    migrate(old)
    check_revision(old)
    inspector = inspect(old)
    with reading(old) as conn:
        for table, rows in ROWS.items():
            there = {column["name"] for column in inspector.get_columns(table)}
            names = [name for name in rows[0] if name in there]
            assert same(held(conn, table, names), [{name: row[name] for name in names} for row in rows]), table


def test_every_column_of_today_has_rows_that_came_forward_to_it(grown: Engine) -> None:
    inspector = inspect(grown)
    filled = {(table, name) for tables in (ROWS, *LATER.values()) for table, rows in tables.items() for row in rows for name in row}
    there = {(table, column["name"]) for table in metadata.tables for column in inspector.get_columns(table)}
    assert there <= filled, "a revision made these: add rows to tests/store/at_later.py"


def test_the_rows_of_every_revision_come_forward_unchanged_in_what_they_said(grown: Engine) -> None:
    check_revision(grown)
    inspector = inspect(grown)
    with reading(grown) as conn:
        for tables in (ROWS, *LATER.values()):
            for table, rows in tables.items():
                there = {column["name"] for column in inspector.get_columns(table)}
                names = [name for name in rows[0] if name in there]
                found = {repr(plain(row)) for row in held(conn, table, names)}
                assert {repr(plain({name: row[name] for name in names})) for row in rows} <= found, table


def test_what_later_revisions_held_is_read_and_gone_on_with(grown: Engine) -> None:
    counted = {row.event_id: row.counted for row in outcomes.ripe_rows(grown, "m", since=0, until=T0 + 10, known_by=T0 + 10_000)}
    assert counted["counted"] == Counted("r", T0, late=False, sample=0.25)
    assert (counted["counted nowhere"], counted["complete"]) == (None, None)
    assert admissions.admitted(grown, "models") == {"fraud", "déjà"}
    admissions.admit(grown, "models", ["new", "one too many"], 3)
    assert admissions.admitted(grown, "models") == {"fraud", "déjà", "new"}
    assert admissions.admitted(grown, "versions/fraud") == {"2026-11"}
    cuts = block_cuts.known(grown, 0)
    assert cuts is not None
    assert (cuts.at(4_095), cuts.at(4_096), cuts.latest) == (Cut(1024, 0), Cut(512, 300_000), 4_096)
    cuts = block_cuts.settle(grown, 3, Cut(1024, 300_000), 9_999, fresh=False)
    assert (cuts.last, cuts.latest) == (Cut(1024, 300_000), 0)
    heavy = Cut(1024, 300_000, 4 << 20)
    cuts = block_cuts.settle(grown, 3, heavy, 9_999, fresh=False)
    assert [cuts.at(o) for o in (10_239, 10_240)] == [Cut(1024, 300_000), heavy]
    assert block_cuts.known(grown, 5).at(0) == heavy  # type: ignore[union-attr]  # it is there


def test_the_schema_that_comes_of_it_is_the_code_s(old: Engine) -> None:
    migrate(old)
    with old.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_outcomes_are_read_and_labelled_on_after_the_migration(old: Engine) -> None:
    migrate(old)
    ripe = outcomes.ripe_rows(old, "m", since=0, until=T0 + 1, known_by=T0 + 10_000)
    assert [(row.event_id, row.label) for row in ripe] == [("complete", 1.0), ("corrected", "déjà")]
    assert (ripe[0].features, ripe[0].score) == ({"x": 1.5}, 0.5)
    assert join.cursor(old, "inference-events", 0) == 4
    late = LabelRow(model="m", event_id="unlabelled", label=1.0, label_time=T0 + 6)
    news = JoinChange(
        source="label-events", partition=1, expected_next=9, next_offset=11, labels=[late], predictions=[prediction("unpredicted")]
    )  # fmt: skip
    changes = join.apply(old, news, lambda _: [])
    assert [(old_row, row.event_id) for old_row, row in changes if isinstance(row, OutcomeRow)] == [(None, "unlabelled"), (None, "unpredicted")]


def test_what_detect_held_is_loaded_and_gone_on_with_after_the_migration(old: Engine) -> None:
    migrate(old)
    image = detection.load(old, 0)
    assert (image.next_offset, image.watermark) == (7, T0 + 7)
    assert [(b.start, b.final, b.payload) for b in image.blocks] == [(0, True, b"\x00\xffblock"), (1024, False, b"\x00\xffblock")]
    assert [(p.start, p.late, p.closed) for p in image.panes] == [(0, True, False), (5_000, False, False)]
    assert (image.model_states, len(image.sources), image.applied[0].sequence) == ({"m": b"\x00\xffstate"}, 2, 9)
    [closed] = panes.fetch(old, [PaneKey("m", "r", "features", 5_000, 0, late=False)])
    assert (closed.closed, closed.revision, closed.offsets) == (True, 2, b"\x00offsets")


def test_what_was_said_and_decided_is_read_after_the_migration(old: Engine) -> None:
    migrate(old)
    assert findings.history(old, "m") == [finding(), finding("g", 3, state="drift", sentence="x déjà grew")]
    assert [(e.episode_id, e.status) for e in episodes.history(old, "m", open_only=True)] == [("open", "opened")]
    assert [a.alert_id for a in episodes.alerts(old, episode_id="e")][::-1] == ["e-0", "e-1"]
    assert [d.decision_id for d in decisions.history(old, "m")] == ["d"]
    assert [c.positions for c in closings.history(old, "m")] == [{"0": 7}]
    report = reports.get(old, "open")
    assert report is not None
    assert report.reason == "too few rows"
    assert [(t.trigger.trigger_id, t.status) for t in triggers.history(old, "m")] == [("u", "open"), ("t", "promoted")]


def test_models_references_and_runs_are_read_after_the_migration(old: Engine) -> None:
    migrate(old)
    assert versions.history(old, "m") == [version(1), version(2, version="1+t", trigger_id="t", previous_version="1")]
    champion = versions.current(old, "m")
    assert champion is not None
    assert (champion.version, champion.sequence) == ("1+t", 2)
    assert references.models(old) == ["m", "n"]
    [(_, reference), (_, other)] = references.since(old, 0)
    assert (reference.model, [c.name for c in reference.columns], other.model) == ("m", ["x", "c"], "n")
    assert [row.event_id for row in references.sample_rows(old, reference.reference_id)] == ["e1", "e2"]
    run = runs.get(old, "t")
    assert run is not None
    assert (run.status, run.detail, run.owner) == ("promoted", b"\x81\xa1a\x01", "w1")


def test_what_was_not_published_yet_still_is_after_the_migration(old: Engine) -> None:
    migrate(old)
    [row] = outbox.pending(old, "o")
    assert (row.value, row.headers, row.partition, row.key) == (b"\x00\xff", (("ce_id", b"x"),), 3, b"")
    before = {row.id for owner in outbox.waiting(old) for row in outbox.pending(old, owner)}
    outbox.add(old, [outbox.OutboxRow(owner="new", topic="t", key=b"", value=b"")])
    [new] = outbox.pending(old, "new")
    assert new.id is not None
    assert new.id > max(i for i in before if i is not None)


@pytest.mark.skipif(revisions().get_current_head() == "0001", reason="there is no newer revision")
def test_no_step_starts_on_an_older_revision(old: Engine) -> None:
    with pytest.raises(SchemaOutdated, match=r"at revision 0001.*driftline db upgrade"):
        create_app(Settings(database=old.url.render_as_string(hide_password=False)), "detect")


def test_no_step_starts_on_a_revision_that_its_program_does_not_know(engine: Engine, database_url: str) -> None:
    with writing(engine) as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaOutdated, match=r"9999.*newer Driftline"):
        create_app(Settings(database=database_url), "detect")


def test_an_older_program_does_not_migrate_a_newer_database(engine: Engine) -> None:
    with writing(engine) as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaOutdated, match=r"9999.*newer Driftline"):
        migrate(engine)
    with reading(engine) as conn:
        assert conn.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
