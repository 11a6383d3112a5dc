from __future__ import annotations

import threading

from sqlalchemy import Engine
from tests.store.builders import T0, reference

from driftline.contracts.summaries import SampleRow
from driftline.store import references
from driftline.store.transactions import writing

ROWS = [SampleRow(5, "a", T0, "1", {"x": 1.5, "y": None}, 1.0, 0.25)]


def test_a_reference_comes_back_with_its_sample(engine: Engine) -> None:
    kept = reference()
    assert references.put(engine, kept, ROWS)
    assert references.get(engine, kept.reference_id) == kept
    assert references.sample_rows(engine, kept.reference_id) == ROWS
    assert references.get(engine, "unknown") is None
    assert references.sample_rows(engine, "unknown") == []


def test_putting_a_reference_again_changes_nothing(engine: Engine) -> None:
    kept = reference()
    references.put(engine, kept, ROWS)
    assert not references.put(engine, kept, [])
    assert references.sample_rows(engine, kept.reference_id) == ROWS
    assert references.newest_sequence(engine) == 1


def test_a_models_references_are_in_the_order_from_which_they_hold(engine: Engine) -> None:
    late, early, other = reference(effective_from=T0 + 9), reference(effective_from=T0), reference("n")
    for one in (late, early, other):
        references.put(engine, one)
    assert references.for_model(engine, "m") == [early, late]
    assert references.models(engine) == ["m", "n"]


def test_a_poller_gets_what_is_new_to_it(engine: Engine) -> None:
    assert references.newest_sequence(engine) == 0
    kept = [reference(rows=n) for n in range(3)]
    for one in kept:
        references.put(engine, one)
    assert references.newest_sequence(engine) == 3
    assert references.since(engine, 1) == [(2, kept[1]), (3, kept[2])]


def test_a_reference_under_way_is_never_overtaken_by_a_later_sequence(engine: Engine) -> None:
    """A put waits for the one before it; else a poller could see 2 and, later, never ask for 1."""
    entered = threading.Event()

    def second() -> None:
        entered.set()
        references.put(engine, reference(rows=2))

    with writing(engine) as conn:
        references.put(conn, reference(rows=1))
        rival = threading.Thread(target=second)
        rival.start()
        entered.wait()
        rival.join(timeout=0.3)
        assert rival.is_alive()
        assert references.newest_sequence(engine) == 0
    rival.join()
    assert [(number, r.rows) for number, r in references.since(engine, 0)] == [(1, 1), (2, 2)]


def test_the_same_reference_put_by_many_at_once_is_new_to_one(engine: Engine) -> None:
    new: list[bool] = []
    threads = [threading.Thread(target=lambda: new.append(references.put(engine, reference()))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new) == [False] * 5 + [True]
    assert references.newest_sequence(engine) == 1
