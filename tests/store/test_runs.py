from __future__ import annotations

import pytest
from sqlalchemy import Engine
from tests.store.builders import T0, trigger, version

from driftline.contracts.errors import StaleState
from driftline.store import outbox, runs, triggers, versions
from driftline.store.runs import Run
from driftline.store.transactions import writing
from driftline.store.triggers import TriggerRow

LEASE = 30_000


def claim(engine: Engine, owner: str, now: int, trigger_id: str = "t") -> Run | None:
    return runs.claim(engine, trigger(trigger_id), owner=owner, lease_ms=LEASE, now=now)


def claimed(engine: Engine, owner: str = "a", now: int = 0, trigger_id: str = "t") -> Run:
    run = claim(engine, owner, now, trigger_id)
    assert run is not None
    return run


def test_a_trigger_is_claimed_once(engine: Engine) -> None:
    triggers.record(engine, [trigger()])
    run = claimed(engine, "a", 5)
    assert run == Run(trigger_id="t", model="m", attempt=1, owner="a", started_at=5, lease_until=5 + LEASE)
    assert claim(engine, "b", 6) is None
    assert claim(engine, "a", 7) is None
    assert runs.get(engine, "t") == run


def test_an_expired_lease_is_taken_over_as_the_next_attempt(engine: Engine) -> None:
    claimed(engine, "a", 0)
    assert claim(engine, "b", LEASE - 1) is None
    taken = claimed(engine, "b", LEASE)
    assert (taken.attempt, taken.owner, taken.started_at, taken.lease_until) == (2, "b", LEASE, 2 * LEASE)
    assert claim(engine, "c", LEASE) is None


def test_a_heartbeat_keeps_the_lease(engine: Engine) -> None:
    run = runs.heartbeat(engine, claimed(engine), lease_ms=LEASE, now=LEASE - 1)
    assert run == runs.get(engine, "t")
    assert claim(engine, "b", LEASE) is None
    claimed(engine, "b", 2 * LEASE)
    with pytest.raises(StaleState):
        runs.heartbeat(engine, run, lease_ms=LEASE, now=2 * LEASE)


def test_a_finished_run_settles_its_trigger_and_is_never_claimed_again(engine: Engine) -> None:
    run = claimed(engine)
    runs.finish(engine, run, status="refused", now=9, detail=b"\x00why")
    assert runs.open_triggers(engine) == []
    assert triggers.history(engine) == [TriggerRow(trigger=trigger(), status="refused", settled_at=9)]
    ended = runs.get(engine, "t")
    assert ended is not None
    assert (ended.status, ended.finished_at, ended.detail) == ("refused", 9, b"\x00why")
    assert claim(engine, "b", 10 * LEASE) is None
    with pytest.raises(StaleState):
        runs.heartbeat(engine, run, lease_ms=LEASE, now=10)
    with pytest.raises(StaleState):
        runs.finish(engine, run, status="promoted", now=11)
    assert triggers.history(engine)[0].settled_at == 9


def test_a_zombie_can_neither_finish_nor_promote(engine: Engine) -> None:
    versions.register_first(engine, version(1))
    sleeper = claimed(engine, "a", 0)
    awake = claimed(engine, "b", LEASE)

    def promote(run: Run) -> None:
        with writing(engine) as conn:
            versions.promote(conn, version(2, version=run.owner), 1)
            runs.finish(conn, run, status="promoted", now=LEASE + 1)

    with pytest.raises(StaleState):
        promote(sleeper)
    assert [row.key for row in outbox.pending(engine, versions.OWNER)] == [b"m"]
    assert runs.open_triggers(engine) == [trigger()]
    promote(awake)
    champion = versions.current(engine, "m")
    assert champion is not None
    assert champion.version == "b"


def test_a_trigger_recorded_again_stays_settled(engine: Engine) -> None:
    runs.finish(engine, claimed(engine), status="failed", now=1)
    triggers.record(engine, [trigger(), trigger("new")])
    assert [t.trigger_id for t in runs.open_triggers(engine)] == ["new"]
    assert not triggers.settle(engine, "t", "promoted", 2)
    assert triggers.settle(engine, "new", "refused", 2)


def test_open_triggers_are_the_models_own_the_oldest_first(engine: Engine) -> None:
    kept = [trigger("b", at=T0 + 1), trigger("a", at=T0 + 2), trigger("z", at=T0)]
    triggers.record(engine, [*kept, trigger("n", model="n")])
    assert runs.open_triggers(engine, "m") == [kept[2], kept[0], kept[1]]
    assert len(runs.open_triggers(engine)) == 4
    assert [row.trigger.trigger_id for row in triggers.history(engine, "m", since=T0 + 1)] == ["a", "b"]


def test_a_manual_trigger_is_recorded_when_it_is_claimed(engine: Engine) -> None:
    claimed(engine, trigger_id="by hand")
    assert [t.trigger_id for t in runs.open_triggers(engine)] == ["by hand"]


def test_runs_are_listed_newest_first(engine: Engine) -> None:
    first, second = claimed(engine, now=1, trigger_id="x"), claimed(engine, now=2, trigger_id="y")
    assert runs.history(engine) == [second, first]
    assert runs.history(engine, "m", limit=1) == [second]
    assert runs.history(engine, "n") == []
    assert runs.get(engine, "unknown") is None
