from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, select
from tests.store.builders import T0

from driftline.store import bulk
from driftline.store.tables import findings, outcomes, panes
from driftline.store.transactions import writing


def row(event_id: str, **changed: Any) -> dict[str, Any]:
    fields = {"model": "m", "event_id": event_id, "time": T0, "prediction": None, "label_time": None, "label": None}
    return {**fields, **changed}


def everything(engine: Engine) -> list[tuple[Any, ...]]:
    t = outcomes
    with engine.connect() as conn:
        return sorted(tuple(found) for found in conn.execute(select(t.c.event_id, t.c.time, t.c.prediction, t.c.label_time)))


def test_inserting_leaves_rows_that_are_there(engine: Engine) -> None:
    with writing(engine) as conn:
        bulk.insert_new(conn, outcomes, [row("a", time=1)])
        bulk.insert_new(conn, outcomes, [row("b", time=2), row("a", time=3)])
    assert everything(engine) == [("a", 1, None, None), ("b", 2, None, None)]


def test_one_row_says_whether_it_was_inserted(engine: Engine) -> None:
    with writing(engine) as conn:
        assert bulk.insert_one(conn, outcomes, row("a"))
        assert not bulk.insert_one(conn, outcomes, row("a"))


def test_upserting_takes_the_last_row_of_a_key(engine: Engine) -> None:
    with writing(engine) as conn:
        bulk.upsert(conn, outcomes, [row("a", time=1)])
        bulk.upsert(conn, outcomes, [row("a", time=5), row("b", time=2), row("a", time=4)])
    assert everything(engine) == [("a", 4, None, None), ("b", 2, None, None)]


def test_upserting_keeps_the_greatest_of_a_column(engine: Engine) -> None:
    def finding(revision: int, state: str) -> dict[str, Any]:
        fixed = {"finding_id": "f", "model": "m", "window_start": 0, "window_end": 1, "payload": ""}
        return {**fixed, "revision": revision, "state": state}

    def state() -> str | None:
        with engine.connect() as conn:
            return conn.scalar(select(findings.c.state))

    for rows, expected in (
        ([finding(2, "two"), finding(3, "three"), finding(1, "one")], "three"),
        ([finding(2, "two")], "three"),
        ([finding(3, "again")], "again"),
        ([finding(4, "first"), finding(4, "second")], "second"),
    ):
        with writing(engine) as conn:
            bulk.upsert(conn, findings, rows, unless_newer="revision")
        assert state() == expected


def test_deleting_takes_whole_keys(engine: Engine) -> None:
    keys = [
        {"q": 0, "model": "m", "reference_id": "r", "kind": "features", "width": 5, "start": start, "late": late}
        for start in (-1, 1)
        for late in (False, True)
    ]
    with writing(engine) as conn:
        bulk.insert_new(conn, panes, [{**key, "payload": b"", "offsets": b"", "closed": True, "revision": 0} for key in keys])
        bulk.delete(conn, panes, [keys[0], keys[3]])
        assert conn.execute(select(panes.c.start, panes.c.late).order_by(panes.c.start)).all() == [
            (-1, True),
            (1, False),
        ]


@pytest.mark.parametrize("n", [0, 1, 3, 5_000])
def test_among_takes_any_number_of_values(engine: Engine, n: int) -> None:
    names = [f"'\"{{,}}\\ é {i}" for i in range(n)]
    with writing(engine) as conn:
        bulk.insert_new(conn, outcomes, [row(name, time=i) for i, name in enumerate([*names, "other"])])
        condition = bulk.among(conn, outcomes.c.event_id, "ids")
        found = conn.scalars(select(outcomes.c.event_id).where(condition), {"ids": bulk.listed(conn, names)})
        assert sorted(found) == sorted(names)


def test_nothing_to_write_is_no_statement(engine: Engine) -> None:
    with writing(engine) as conn:
        for operation in (bulk.insert_new, bulk.upsert, bulk.delete):
            operation(conn, outcomes, [])
    assert everything(engine) == []
