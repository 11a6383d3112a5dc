"""Writers at once: one wins a compare-and-swap, nobody waits in a circle, and no change is lost between two joins."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from tests import postgres as pg
from tests.store.builders import T0, block, change, label, prediction, trigger, version

from driftline.contracts.errors import StaleState
from driftline.store import detection, join, outcomes, runs, versions
from driftline.store.database import migrate, open_database
from driftline.store.join import JoinChange
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import OutcomeChange, OutcomeRow
from driftline.store.transactions import writing


def at_once(*tasks: Callable[[], object]) -> list[object]:
    """Run all tasks in threads of their own, from one moment; return what each returned or raised."""
    gate = threading.Barrier(len(tasks))
    results: list[object] = [None] * len(tasks)

    def run(i: int) -> None:
        gate.wait()
        try:
            results[i] = tasks[i]()
        except Exception as error:  # noqa: BLE001 - it is what the test looks at
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def winners(results: Sequence[object]) -> list[int]:
    assert all(result is None or isinstance(result, StaleState | list) for result in results), results
    return [i for i, result in enumerate(results) if not isinstance(result, StaleState)]


def test_of_rivals_for_one_summaries_partition_one_wins(engine: Engine) -> None:
    at: int | None = None
    for turn in range(5):

        def commit(i: int, turn: int = turn, at: int | None = at) -> None:
            detection.commit(engine, change(at, turn * 10 + i, blocks=[block(0, payload=bytes([i]))]))

        [winner] = winners(at_once(*(lambda i=i: commit(i) for i in range(4))))
        image = detection.load(engine, 0)
        assert image.next_offset == turn * 10 + winner
        assert image.blocks == [block(0, payload=bytes([winner]))]
        at = image.next_offset


def test_of_rivals_for_one_source_partition_one_wins(engine: Engine) -> None:
    at: int | None = None
    for turn in range(5):

        def apply(i: int, turn: int = turn, at: int | None = at) -> None:
            rows = [prediction(f"{turn}", prediction=float(i)), prediction(f"{turn}-{i}")]
            labels = [label(f"{turn}"), label(f"{turn}-{i}")]
            read = JoinChange(
                source="s",
                partition=0,
                expected_next=at,
                next_offset=turn * 10 + i,
                predictions=rows,
                labels=labels,
            )
            join.apply(engine, read, lambda _: [])

        [winner] = winners(at_once(*(lambda i=i: apply(i) for i in range(4))))
        at = join.cursor(engine, "s", 0)
        assert at == turn * 10 + winner
        assert outcomes.count_ripe(engine, "m", since=0, until=1 << 60, known_by=1 << 60) == 2 * (turn + 1)


def test_of_rivals_for_one_turn_one_wins(engine: Engine) -> None:
    firsts = at_once(*(lambda i=i: versions.register_first(engine, version(1, version=str(i))) for i in range(4)))
    assert sorted(firsts, key=bool) == [False, False, False, True]
    promote = [lambda i=i: versions.promote(engine, version(2, version=str(i)), 1) for i in range(4)]
    [winner] = winners(at_once(*promote))
    champion = versions.current(engine, "m")
    assert champion is not None
    assert champion.version == str(winner)
    assert [v.sequence for v in versions.history(engine, "m")] == [1, 2]


def test_of_rivals_for_one_trigger_one_claims_it_and_one_takes_it_over(engine: Engine) -> None:
    for now, attempt in ((0, 1), (10, 2)):
        claim = [lambda i=i, now=now: runs.claim(engine, trigger(), owner=str(i), lease_ms=10, now=now) for i in range(4)]
        claimed = [run for run in at_once(*claim) if run is not None]
        assert [run.attempt for run in claimed if isinstance(run, runs.Run)] == [attempt]
        assert len(claimed) == 1


def test_a_purge_neither_waits_for_a_join_nor_takes_its_rows(postgres: str) -> None:
    with pg.fresh_database(postgres) as url:
        engine = open_database(url)
        migrate(engine)
        rows = [prediction(str(i)) for i in range(10)]
        held = [label(str(i)) for i in range(3)]
        read = JoinChange(source="s", partition=0, expected_next=None, next_offset=1, predictions=rows)
        join.apply(engine, read, lambda _: [])
        read = JoinChange(source="s", partition=0, expected_next=1, next_offset=2, labels=held)
        purged: list[int] = []

        def purges_meanwhile(_changes: list[OutcomeChange]) -> list[OutboxRow]:
            purged.append(outcomes.purge(engine, T0 + 1))
            return []

        assert len(join.apply(engine, read, purges_meanwhile)) == 3
        assert purged == [7]
        assert outcomes.purge(engine, T0 + 1) == 3
        engine.dispose()


def test_joins_that_meet_the_same_events_at_once_lose_no_change_and_never_wait_in_a_circle(engine: Engine) -> None:
    """Predictions come from one partition, labels and corrections from two others, each in an order of its own."""
    ids = [f"{i:03d}" for i in range(150)]
    table: dict[str, OutcomeRow] = {}
    changes: list[OutcomeChange] = []

    def reader(seed: int) -> Callable[[], None]:
        def run() -> None:
            rng = random.Random(seed)
            at = None
            for turn in range(8):
                some = rng.sample(ids, 100)
                rows = [prediction(i, model=rng.choice("mn")) for i in some] if seed == 0 else []
                when = T0 + 10 * turn + seed
                labels = [label(i, float(seed), model=rng.choice("mn"), label_time=when) for i in some] if seed else []
                read = JoinChange(
                    source=f"s{seed}",
                    partition=0,
                    expected_next=at,
                    next_offset=turn,
                    predictions=rows,
                    labels=labels,
                )
                changes.extend(join.apply(engine, read, lambda _: []))
                at = turn

        return run

    assert at_once(reader(0), reader(1), reader(2)) == [None] * 3
    # Labels only grow in time, so that each event's changes are in the order of their labels, whoever committed first.
    changes.sort(key=lambda pair: pair[1].label_time if pair[1] else 0)
    for old, new in changes:
        assert new is not None
        assert table.get(new.model + new.event_id) == old
        table[new.model + new.event_id] = new
    final = {o.model + o.event_id: o for model in "mn" for o in outcomes.ripe_rows(engine, model, since=0, until=1 << 60, known_by=1 << 60)}
    assert final == table
    assert len(final) > 200


def overtaken(
    url: str, rows: dict[str, Any], rival: dict[str, Any], rivals: join.Rivals | None = None
) -> tuple[list[str], list[OutcomeChange], list[OutcomeRow]]:
    """Join ``rows`` while a rival's are committed between their being looked for and written; return statements, changes, outcomes."""
    engine, other = open_database(url), open_database(url)
    statements: list[str] = []

    def came_between(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)
        if statement.startswith("SELECT outcomes.") and not any(told.startswith("SELECT outcomes.") for told in statements[:-1]):
            join.apply(other, JoinChange(source="rival", partition=0, expected_next=None, next_offset=1, **rival), lambda _: [])

    event.listen(engine, "after_cursor_execute", came_between)
    told: list[list[OutcomeChange]] = []
    change = JoinChange(source="s", partition=0, expected_next=None, next_offset=1, **rows)

    def says(made: list[OutcomeChange]) -> list[OutboxRow]:
        told.append(made)
        return []

    changes = join.apply(engine, change, says, rivals=rivals)
    assert told == [changes]  # said once, of the transaction that was committed
    found = list(outcomes.ripe_rows(engine, "m", since=0, until=1 << 60, known_by=1 << 60))
    engine.dispose()
    other.dispose()
    return statements, changes, found


def locks(statements: Sequence[str]) -> bool:
    return any("FOR UPDATE" in statement for statement in statements)


@pytest.fixture
def empty(postgres: str) -> Iterator[tuple[str, Engine]]:
    """A migrated database on PostgreSQL."""
    with pg.fresh_database(postgres) as url:
        engine = open_database(url)
        migrate(engine)
        yield url, engine
        engine.dispose()


@pytest.mark.parametrize("first", ["label", "prediction"])
def test_a_rival_s_row_is_merged_though_it_came_after_it_was_looked_for(empty: tuple[str, Engine], first: str) -> None:
    halves: dict[str, dict[str, Any]] = {"prediction": {"predictions": [prediction("a")]}, "label": {"labels": [label("a")]}}
    second = next(half for name, half in halves.items() if name != first)
    statements, changes, found = overtaken(empty[0], second, halves[first])
    assert locks(statements)
    assert [new for _, new in changes] == found
    assert len(found) == 1


def test_who_was_overtaken_locks_first_though_the_other_half_has_let_it_ahead_meanwhile(empty: tuple[str, Engine]) -> None:
    class Parting(join.Rivals):
        def met(self) -> None:
            super().met()
            self.parted()

    statements, changes, found = overtaken(empty[0], {"predictions": [prediction("a")]}, {"labels": [label("a")]}, Parting())
    assert locks(statements)
    assert [new for _, new in changes] == found


def test_a_rival_s_correction_is_the_old_side_of_ours(empty: tuple[str, Engine]) -> None:
    url, engine = empty
    both = JoinChange(source="t", partition=0, expected_next=None, next_offset=1, predictions=[prediction("a")], labels=[label("a", 1.0)])
    join.apply(engine, both, lambda _: [])
    later, latest = label("a", 0.0, label_time=T0 + 10**9), label("a", 1.0, label_time=T0 + 10**10)
    statements, changes, found = overtaken(url, {"labels": [latest]}, {"labels": [later]})
    assert locks(statements)
    [(old, new)] = changes
    assert old is not None
    assert (old.label_time, [new]) == (later.label_time, found)


@pytest.mark.parametrize("there", [True, False])
def test_a_write_that_waits_for_a_rival_s_finds_out_that_it_was_overtaken(empty: tuple[str, Engine], there: bool) -> None:
    """The rival has written the row, and commits while ours waits for it: an update (there), an insertion."""
    url, engine = empty
    if there:
        join.apply(engine, JoinChange(source="t", partition=0, expected_next=None, next_offset=1, predictions=[prediction("a")]), lambda _: [])
    other, written, done = open_database(url), threading.Event(), threading.Event()

    def holds(_changes: list[OutcomeChange]) -> list[OutboxRow]:
        written.set()
        assert done.wait(10)
        return []

    first, second = label("a", 0.0), label("a", 1.0, label_time=T0 + 10**9)
    rival = JoinChange(source="rival", partition=0, expected_next=None, next_offset=1, labels=[first])
    holder = threading.Thread(target=join.apply, args=(other, rival, holds))
    holder.start()
    assert written.wait(10)
    threading.Timer(0.5, done.set).start()
    ours = JoinChange(source="s", partition=0, expected_next=None, next_offset=1, labels=[second])
    rivals = join.Rivals()
    changes = join.apply(engine, ours, lambda _: [], rivals=rivals)
    holder.join()
    other.dispose()
    assert rivals.about
    assert [(old.label_time if old else None, new.label_time if new else None) for old, new in changes] == (
        [(first.label_time, second.label_time)] if there else []
    )


def test_where_nobody_comes_between_nothing_is_locked_or_written_twice(empty: tuple[str, Engine]) -> None:
    _, engine = empty
    statements: list[str] = []
    event.listen(engine, "after_cursor_execute", lambda _conn, _cursor, statement, *_: statements.append(statement))
    ids = [str(i) for i in range(50)]
    batches: list[dict[str, Any]] = [
        {"labels": [label(i) for i in ids[:5]]},
        {"predictions": [prediction(i) for i in ids]},
        {"labels": [label(i) for i in ids]},
        {"labels": [label(i, 0.0, label_time=2 * T0) for i in ids]},
    ]
    for at, rows in enumerate(batches):
        join.apply(engine, JoinChange(source="s", partition=0, expected_next=at or None, next_offset=at + 1, **rows), lambda _: [])
    assert not locks(statements)
    assert sum("join_cursors" in statement for statement in statements) == len(batches)


def test_a_plan_made_while_the_table_was_small_does_not_read_all_of_a_large_one(empty: tuple[str, Engine]) -> None:
    """Statements are planned once, for any parameters, after some runs; and nothing has counted the rows since."""
    _, engine = empty
    with writing(engine) as conn:
        conn.execute(text("ALTER TABLE outcomes SET (autovacuum_enabled = off)"))
    sizes, at, n = [3] * 15 + [200] * 6, 0, 0
    for size in sizes:
        ids = [f"{n + i:05d}" for i in range(size)]
        n += size
        both: list[dict[str, Any]] = [{"predictions": [prediction(i) for i in ids]}, {"labels": [label(i) for i in ids]}]
        for rows in both:
            join.apply(engine, JoinChange(source="s", partition=0, expected_next=at or None, next_offset=at + 1, **rows), lambda _: [])
            at += 1
    engine.dispose()  # what a connection has seen is counted when it ends
    with writing(engine) as conn:
        conn.execute(text("SELECT pg_stat_clear_snapshot()"))
        read, there = conn.execute(text("SELECT seq_tup_read, n_tup_ins FROM pg_stat_user_tables WHERE relname = 'outcomes'")).one()
    assert there == n
    assert read == 0


def test_a_row_that_retention_takes_while_it_is_looked_for_is_made_anew(empty: tuple[str, Engine]) -> None:
    url, engine = empty
    join.apply(engine, JoinChange(source="t", partition=0, expected_next=None, next_offset=1, predictions=[prediction("a")]), lambda _: [])
    other, taken = open_database(url), list[int]()

    def retention(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("INSERT INTO outcomes") and not taken:
            taken.append(outcomes.purge(other, 1 << 60))

    event.listen(engine, "after_cursor_execute", retention)
    rivals = join.Rivals()
    rivals.met()
    change = JoinChange(source="s", partition=0, expected_next=None, next_offset=1, labels=[label("a", 1.0)])
    assert join.apply(engine, change, lambda _: [], rivals=rivals) == []  # the prediction is gone, its label waits for one
    other.dispose()
    assert taken == [1]
    with writing(engine) as conn:
        assert conn.execute(text("SELECT count(*), count(label) FROM outcomes")).one() == (1, 1)


def test_after_a_meeting_rows_are_locked_first_for_a_while() -> None:
    rivals = join.Rivals()
    about = [rivals.about]
    rivals.met()
    for _ in range(100):
        about.append(rivals.about)
        rivals.passed()
    wary = sum(about)
    assert about == [False, *[True] * wary, *[False] * (100 - wary)]
    assert 10 < wary < 100


def test_of_two_that_parted_neither_locks_first() -> None:
    rivals = join.Rivals()
    rivals.met()
    rivals.parted()
    assert not rivals.about
    rivals.met()
    assert rivals.about
