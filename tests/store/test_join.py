from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.store.builders import T0, label, outbox_row, prediction

from driftline.contracts.errors import StaleState
from driftline.contracts.ids import content_hash
from driftline.contracts.summaries import Counted
from driftline.store import join, outbox, outcomes
from driftline.store.join import JoinChange, JoinPosition
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import Judge, LabelRow, OutcomeChange, OutcomeRow, PredictionRow, Value
from driftline.store.tables import outcomes as outcomes_table
from driftline.store.transactions import writing

Row = PredictionRow | LabelRow
_run = itertools.count()


def silent(_changes: list[OutcomeChange]) -> list[OutboxRow]:
    return []


def apply(engine: Engine, *rows: Row, source: str = "s", partition: int = 0) -> list[OutcomeChange]:
    at = join.cursor(engine, source, partition)
    predictions = [r for r in rows if isinstance(r, PredictionRow)]
    labels = [r for r in rows if isinstance(r, LabelRow)]
    read = JoinChange(
        source=source,
        partition=partition,
        expected_next=at,
        next_offset=(at or 0) + len(rows),
        predictions=predictions,
        labels=labels,
    )
    return join.apply(engine, read, silent)


def stored(engine: Engine, model: str = "m") -> list[OutcomeRow]:
    return outcomes.ripe_rows(engine, model, since=0, until=1 << 60, known_by=1 << 60)


def test_a_prediction_and_its_label_make_an_outcome(engine: Engine) -> None:
    assert apply(engine, prediction("a")) == []
    [(old, new)] = apply(engine, label("a", 0.0))
    assert old is None
    assert new == OutcomeRow(
        model="m",
        event_id="a",
        version="1",
        event_time=T0,
        prediction=1.0,
        score=0.5,
        features={"x": 1.5},
        label=0.0,
        label_time=T0 + 1_000,
    )
    assert stored(engine) == [new]


def test_a_label_that_comes_before_its_prediction_waits_for_it(engine: Engine) -> None:
    assert apply(engine, label("a")) == []
    [(old, new)] = apply(engine, prediction("a"))
    assert old is None
    assert stored(engine) == [new]


def test_a_corrected_label_takes_back_the_old_outcome(engine: Engine) -> None:
    [(_, first)] = apply(engine, prediction("a"), label("a", 0.0))
    [(old, new)] = apply(engine, label("a", 1.0, label_time=T0 + 2_000))
    assert old == first
    assert new is not None
    assert (new.label, new.label_time) == (1.0, T0 + 2_000)


def test_a_withdrawn_label_takes_the_outcome_away_and_an_older_one_does_not_bring_it_back(engine: Engine) -> None:
    [(_, first)] = apply(engine, prediction("a"), label("a"))
    assert apply(engine, label("a", None, label_time=T0 + 2_000)) == [(first, None)]
    assert stored(engine) == []
    assert outcomes.label_delay(engine, "m") is None
    assert apply(engine, label("a", 1.0, label_time=T0 + 1_999)) == []
    assert len(apply(engine, label("a", 1.0, label_time=T0 + 2_001))) == 1


def test_a_repeat_changes_nothing(engine: Engine) -> None:
    rows = prediction("a", features={"x": float("nan")}), label("a")
    apply(engine, *rows)
    assert apply(engine, *rows) == []


def test_events_of_two_models_with_one_id_are_two_events(engine: Engine) -> None:
    apply(engine, prediction("a"), prediction("a", model="n"), label("a", model="n"))
    assert stored(engine, "m") == []
    assert [o.model for o in stored(engine, "n")] == ["n"]


@pytest.mark.parametrize("value", [1.0, -0.0, "late", "", "\x00\u00e9", True, False, 1e308])
def test_labels_and_predictions_of_any_kind_come_back_as_they_went(engine: Engine, value: Value) -> None:
    apply(engine, prediction("a", prediction=value, features={"x\x00": value, "y": None, "z": 7}), label("a", value))
    [outcome] = stored(engine)
    assert repr((outcome.prediction, outcome.label)) == repr((value, value))
    assert outcome.features == {"x\x00": value, "y": None, "z": 7}


def test_integers_too_wide_for_messagepack_become_numbers(engine: Engine) -> None:
    apply(engine, prediction("a", features={"x": 1 << 70, "y": -(10**400), "z": (1 << 63) - 1}), label("a"))
    assert stored(engine)[0].features == {"x": float(1 << 70), "y": float("-inf"), "z": (1 << 63) - 1}


def test_the_outbox_rows_of_the_changes_are_written_with_them(engine: Engine) -> None:
    seen: list[list[OutcomeChange]] = []

    def deltas(changes: list[OutcomeChange]) -> list[OutboxRow]:
        seen.append(changes)
        return [outbox_row(str(i).encode()) for i in range(3)]

    rows = [prediction(i) for i in "cab"]
    read = JoinChange(source="s", partition=0, expected_next=None, next_offset=6, predictions=rows)
    read = msgspec.structs.replace(read, labels=[label(i) for i in "bca"])
    assert join.apply(engine, read, deltas) == seen[0]
    assert [new.event_id for _, new in seen[0] if new] == ["a", "b", "c"]
    assert [row.value for row in outbox.pending(engine, "o")] == [b"0", b"1", b"2"]


def test_deltas_that_fail_leave_everything_as_it_was(engine: Engine) -> None:
    def deltas(_changes: list[OutcomeChange]) -> list[OutboxRow]:
        raise LookupError

    read = JoinChange(source="s", partition=0, expected_next=None, next_offset=2, predictions=[prediction("a")])
    with pytest.raises(LookupError):
        join.apply(engine, read, deltas)
    assert join.cursor(engine, "s", 0) is None
    assert apply(engine, label("a")) == []


def test_a_transaction_without_rows_moves_the_cursor(engine: Engine) -> None:
    join.apply(engine, JoinChange(source="s", partition=0, expected_next=None, next_offset=9, watermark=T0), silent)
    assert join.cursor(engine, "s", 0) == 9
    assert join.cursor(engine, "s", 1) is None
    assert join.position(engine, "s", 1) is None
    here = JoinPosition(source="s", partition=0, next_offset=9, watermark=T0)
    assert join.position(engine, "s", 0) == here
    assert join.positions(engine) == [here]


def test_true_and_one_are_two_labels(engine: Engine) -> None:
    """Categories have a name each: where the hash lets one take the other's place, both have to be told."""
    [(_, one), (_, true)] = apply(engine, prediction("a"), prediction("b"), label("a", 1.0), label("b", True))
    [(old, new)] = apply(engine, label("a", True), label("b", 1.0))
    assert repr(old) in (repr(one), repr(true))
    assert repr(old) != repr(new)
    assert len({repr(o.label) for o in stored(engine)}) == 1


def judge_as(name: str | None) -> Judge:
    return lambda _model, _version, event_time, _label_time: None if name is None else Counted(name, event_time, late=False)


def completed(engine: Engine, reference_id: str | None, *rows: Row, source: str = "s") -> list[tuple[str | None, str | None]]:
    """Apply rows while outcomes count under a reference, and return under which the changes say that they were and are counted."""
    at = join.cursor(engine, source, 0)
    read = JoinChange(
        source=source, partition=0, expected_next=at, next_offset=(at or 0) + len(rows), labels=[r for r in rows if isinstance(r, LabelRow)]
    )
    read = msgspec.structs.replace(read, predictions=[r for r in rows if isinstance(r, PredictionRow)])

    def named(row: OutcomeRow | None) -> str | None:
        return row.counted.reference_id if row is not None and row.counted is not None else None

    return [(named(old), named(new)) for old, new in join.apply(engine, read, silent, judge_as(reference_id))]


def test_a_correction_takes_back_what_was_counted_though_the_reference_has_changed_since(engine: Engine) -> None:
    assert completed(engine, "one", prediction("a"), label("a", 0.0)) == [(None, "one")]
    assert completed(engine, "two", label("a", 1.0, label_time=T0 + 2_000)) == [("one", "two")]
    assert completed(engine, "three", label("a", None, label_time=T0 + 3_000)) == [("two", None)]
    assert completed(engine, "three", label("a", 0.0, label_time=T0 + 4_000)) == [(None, "three")]


def test_what_was_counted_nowhere_is_taken_back_from_nowhere(engine: Engine) -> None:
    assert completed(engine, None, prediction("a"), label("a", 0.0)) == [(None, None)]
    assert completed(engine, "one", label("a", 1.0, label_time=T0 + 2_000)) == [(None, "one")]


def test_an_outcome_from_before_the_second_revision_counts_as_it_would_have_then(engine: Engine) -> None:
    completed(engine, "one", prediction("a"), label("a", 0.0))
    with writing(engine) as conn:
        conn.execute(outcomes_table.update().values(counted=None))
    assert completed(engine, "then", label("a", 1.0, label_time=T0 + 2_000)) == [("then", "then")]


@pytest.mark.parametrize("expected", [None, 1, 3])
def test_a_zombie_is_refused_and_writes_nothing(engine: Engine, expected: int | None) -> None:
    join.apply(engine, JoinChange(source="s", partition=0, expected_next=None, next_offset=2), silent)
    rows, labels = [prediction("a")], [label("a")]
    zombie = JoinChange(source="s", partition=0, expected_next=expected, next_offset=7, predictions=rows, labels=labels)
    with pytest.raises(StaleState):
        join.apply(engine, zombie, lambda _: pytest.fail("deltas of a refused change were asked for"))
    assert join.cursor(engine, "s", 0) == 2
    assert stored(engine) == []


def test_a_cursor_that_was_never_written_is_not_at_any_offset(engine: Engine) -> None:
    with pytest.raises(StaleState):
        join.apply(engine, JoinChange(source="s", partition=0, expected_next=0, next_offset=7), silent)


# ---- the law: any order, any batching, any partition, repeats and corrections included
_ids = st.sampled_from(["a", "b", "c", "\u00e9", "A"])
_times = st.integers(T0, T0 + 3)
_values = st.sampled_from([0.0, 1.0, True, "late", None])
_predictions = st.builds(
    PredictionRow,
    model=st.sampled_from(["m", "n"]),
    event_id=_ids,
    version=st.sampled_from(["1", "2"]),
    event_time=_times,
    prediction=_values,
    score=st.sampled_from([None, 0.25]),
    features=st.sampled_from([{}, {"x": 1.0}, {"y": "v", "x": None}]),
)
_labels = st.builds(LabelRow, model=st.sampled_from(["m", "n"]), event_id=_ids, label=_values, label_time=_times)
_batches = st.lists(st.tuples(st.integers(0, 1), st.lists(st.one_of(_predictions, _labels), max_size=12)), max_size=5)


def reference(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[object, ...]]:
    """The outcomes of all rows at once, by plain minimum and maximum."""
    predictions: dict[tuple[str, str], list[PredictionRow]] = {}
    labels: dict[tuple[str, str], list[LabelRow]] = {}
    for row in rows:
        if isinstance(row, PredictionRow):
            predictions.setdefault((row.model, row.event_id), []).append(row)
        else:
            labels.setdefault((row.model, row.event_id), []).append(row)

    def packed(value: object) -> str:
        return content_hash(msgspec.msgpack.encode(value, order="deterministic"))

    found: dict[tuple[str, str], tuple[object, ...]] = {}
    for key in predictions.keys() & labels.keys():
        p = min(predictions[key], key=lambda r: (r.event_time, packed((r.version, r.prediction, r.score, r.features))))
        q = max(labels[key], key=lambda r: (r.label_time, packed(r.label)))
        if q.label is not None:
            found[key] = (
                p.version,
                p.event_time,
                p.prediction,
                p.score,
                dict(sorted(p.features.items())),
                q.label,
                q.label_time,
            )
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=_batches, again=st.randoms(use_true_random=False))
def test_outcomes_and_the_sum_of_their_changes_depend_on_the_rows_alone(engine: Engine, batches: list[tuple[int, list[Row]]], again: object) -> None:
    shuffle = getattr(again, "shuffle")  # noqa: B009 - Hypothesis' Random
    rows = [row for _, batch in batches for row in batch]
    rows += rows[::3]
    expected = reference(rows)
    shuffle(rows)
    for order in (batches, [(0, rows)]):
        prefix = f"{next(_run)}-"  # in a database that the examples share
        table: dict[tuple[str, str], OutcomeRow] = {}
        for partition, batch in order:
            named = [msgspec.structs.replace(row, model=prefix + row.model) for row in batch]
            for old, new in apply(engine, *named, source=prefix, partition=partition):
                assert repr(old) != repr(new)  # True and 1.0 are two labels, though Python finds them equal
                key = next((o.model.removeprefix(prefix), o.event_id) for o in (old, new) if o is not None)
                assert repr(table.pop(key, None)) == repr(old)
                if new is not None:
                    table[key] = new
        final = [o for model in "mn" for o in stored(engine, prefix + model)]
        assert repr(final) == repr(sorted(table.values(), key=lambda o: (o.model, o.event_time, o.event_id)))
        got = {(o.model.removeprefix(prefix), o.event_id): msgspec.structs.astuple(o)[2:9] for o in final}
        assert repr(sorted(got.items())) == repr(sorted(expected.items()))


_turns = st.lists(st.tuples(st.sampled_from([None, "one", "two"]), st.lists(st.one_of(_predictions, _labels), max_size=6)), max_size=5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=_turns)
def test_whatever_outcomes_are_counted_as_from_one_time_to_the_next_the_sum_of_all_is_what_the_rows_say(
    engine: Engine, turns: list[tuple[str | None, list[Row]]]
) -> None:
    prefix = f"{next(_run)}-"
    total: Counter[tuple[str, str, str]] = Counter()
    for name, batch in turns:
        named = [msgspec.structs.replace(row, model=prefix + row.model) for row in batch]
        at = join.cursor(engine, prefix, 0)
        read = JoinChange(source=prefix, partition=0, expected_next=at, next_offset=(at or 0) + 1)
        read = msgspec.structs.replace(
            read, predictions=[r for r in named if isinstance(r, PredictionRow)], labels=[r for r in named if isinstance(r, LabelRow)]
        )
        for old, new in join.apply(engine, read, silent, judge_as(name)):
            for row, sign in ((old, -1), (new, 1)):
                if row is not None and row.counted is not None:
                    total[row.counted.reference_id, row.event_id, row.model] += sign
    held = Counter({(o.counted.reference_id, o.event_id, o.model): 1 for m in "mn" for o in stored(engine, prefix + m) if o.counted is not None})
    assert {key: n for key, n in total.items() if n} == dict(held)
