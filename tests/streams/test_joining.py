from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.streams.records import PANE, T0, Record, event, label, reference

from driftline.contracts.ids import sample_hash
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.summaries import OutcomeDelta, decode_summary
from driftline.contracts.times import DAY_MS
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import OutcomeChange, OutcomeRow
from driftline.streams.joining import CountedAs, delta_rows, read_labels
from driftline.streams.predictions import PredictionReader, sampled, within
from driftline.streams.references import ReferenceBook

REFERENCE = reference(delay=60_000)
LATER = reference(effective_from=T0 + PANE, delay=60_000)


def _settings(**model: object) -> Settings:
    return build_settings({"defaults": {"pane": "5s", **model}})


def _book(*references: object) -> ReferenceBook:
    book = ReferenceBook()
    book.add(references or (REFERENCE, LATER))  # type: ignore[arg-type]
    return book


def _outcome(event_id: str = "a", at: int = T0, value: float = 1.0, **changed: object) -> OutcomeRow:
    fields: dict[str, object] = {"model": "m", "version": "1", "prediction": 1.0, "score": 0.7, "features": {}, "label_time": at + 1_000}
    return OutcomeRow(event_id=event_id, event_time=at, label=value, **{**fields, **changed})  # type: ignore[arg-type]


def _deltas(
    changes: Sequence[OutcomeChange], sequence: int = 7, book: ReferenceBook | None = None, settings: Settings | None = None
) -> list[OutboxRow]:
    book = book or _book()
    judge = CountedAs(settings or _settings(), book)
    judged = [(_judged(old, judge), _judged(new, judge)) for old, new in changes]
    return delta_rows(judged, owner="join:label-events:2", source="label-events", partition=2, sequence=sequence, book=book)


def _judged(row: OutcomeRow | None, judge: CountedAs) -> OutcomeRow | None:
    if row is None or row.counted is not None:
        return row
    return msgspec.structs.replace(row, counted=judge(row.model, row.version, row.event_time, row.label_time))


def _decoded(rows: Sequence[OutboxRow]) -> list[OutcomeDelta]:
    found = [decode_summary(row.value) for row in rows]
    assert all(isinstance(delta, OutcomeDelta) for delta in found)
    return [delta for delta in found if isinstance(delta, OutcomeDelta)]


# -- reading ------------------------------------------------------------------------------------------------------------------


def test_a_prediction_is_kept_with_its_score_and_the_features_that_may_be_kept() -> None:
    poll = PredictionReader()([event(0, T0, features={"x": 1, "name": "Ada", "junk": [1]})], _settings(pii={"name": "drop"}))
    [row] = poll.predictions
    assert (row.model, row.version, row.event_id, row.event_time) == ("m", "1", "event-0", T0)
    assert (row.prediction, row.score, row.features) == (1.0, 0.5, {"x": 1, "junk": None})
    assert (poll.watermark, poll.newest, poll.labels, poll.rejected) == (T0, T0, [], [])


def test_a_prediction_out_of_all_time_is_no_outcome_for_it_would_open_a_pane_that_never_closes() -> None:
    far = Record(1, event(1, T0 + 2 * DAY_MS).value, timestamp=T0)
    poll = PredictionReader()([event(0, T0), far], _settings())
    assert [row.event_id for row in poll.predictions] == ["event-0"]
    assert (poll.watermark, poll.newest) == (T0, T0)


def test_the_score_of_probabilities_is_that_of_the_predicted_class() -> None:
    record = event(0, T0, prediction="b", score=None, probabilities={"a": 0.25, "b": 0.75})
    [row] = PredictionReader()([record], _settings()).predictions
    assert row.score == 0.75


def test_a_prediction_that_cannot_be_read_is_left_to_summarise_and_the_rest_is_kept() -> None:
    poll = PredictionReader()([Record(0, b"junk"), Record(1, None), event(2, T0)], _settings())
    assert [row.event_id for row in poll.predictions] == ["event-2"]
    assert poll.rejected == []


def test_features_beyond_the_bound_are_left_out_whatever_else_is_in_the_poll() -> None:
    wide = event(0, T0, features={f"f{i}": i for i in range(10)})
    alone = PredictionReader()([wide], _settings(max_features=3)).predictions
    among = PredictionReader()([event(1, T0), wide], _settings(max_features=3)).predictions
    assert alone[0].features == among[1].features == {"f0": 0, "f1": 1, "f2": 2}


def test_a_label_is_kept_and_one_that_cannot_be_read_is_rejected_once() -> None:
    poll = read_labels([label(0, "a", T0), Record(1, b"junk"), label(2, "b", T0 + 1, None)], _settings())
    assert [(row.event_id, row.label, row.label_time) for row in poll.labels] == [("a", 1.0, T0), ("b", None, T0 + 1)]
    assert [rejected.record.offset for rejected in poll.rejected] == [1]


@pytest.mark.parametrize("read", [PredictionReader(), read_labels], ids=["predictions", "labels"])
def test_time_comes_as_far_as_the_events_do_but_not_with_a_clock_far_ahead(read: object) -> None:
    make = label if read is read_labels else lambda offset, _, at: event(offset, at)
    records = [make(0, "a", T0 + 5), make(1, "b", T0), Record(2, make(2, "c", T0 + 3_600_000).value, timestamp=T0)]
    poll = read(records, _settings())  # type: ignore[operator]
    assert (poll.watermark, poll.newest) == (T0 + 5, T0 + 3_600_000)


# -- sampling -----------------------------------------------------------------------------------------------------------------


@given(st.text(min_size=1, max_size=20), st.floats(0, 1), st.floats(0, 1))
def test_a_smaller_sample_is_part_of_a_greater_one(event_id: str, one: float, other: float) -> None:
    assert not sampled(event_id, min(one, other)) or sampled(event_id, max(one, other))
    assert sampled(event_id, 1.0)
    assert not sampled(event_id, 0.0)
    assert sampled(event_id, one) == (sample_hash(event_id) / 2**63 < one) or one >= 1.0
    assert bool(within([event_id], one)) == sampled(event_id, one)


def test_prediction_and_label_of_one_event_are_both_in_the_sample_or_neither() -> None:
    settings = _settings(outcome_sample=0.3)
    ids = [f"id-{i}" for i in range(2_000)]
    predictions = PredictionReader()([event(i, T0, event_id=name) for i, name in enumerate(ids)], settings).predictions
    labels = read_labels([label(i, name, T0) for i, name in enumerate(ids)], settings).labels
    assert [row.event_id for row in predictions] == [row.event_id for row in labels]
    assert 500 < len(labels) < 700  # 600 expected, sd 20


def test_what_the_sample_leaves_out_moves_the_time_all_the_same() -> None:
    poll = read_labels([label(0, "a", T0)], _settings(outcome_sample=1e-9))
    assert (poll.labels, poll.watermark, poll.newest) == ([], T0, T0)


# -- deltas -------------------------------------------------------------------------------------------------------------------


def test_each_model_gets_one_delta_under_its_own_key_with_the_sequence_of_the_transaction() -> None:
    book = _book(REFERENCE, reference(model="n"))
    rows = _deltas([(None, _outcome("a", model="n")), (None, _outcome("b")), (None, _outcome("c", model="n"))], book=book)
    assert [(row.key, row.topic, row.owner, row.partition) for row in rows] == [
        (b"m", "summaries", "join:label-events:2", None),
        (b"n", "summaries", "join:label-events:2", None),
    ]
    assert [(d.model, d.source, d.partition, d.sequence) for d in _decoded(rows)] == [("m", "label-events", 2, 7), ("n", "label-events", 2, 7)]
    assert [sum(part.n for part in d.panes) for d in _decoded(rows)] == [1, 2]


def test_an_outcome_counts_in_the_pane_of_its_prediction_under_the_reference_that_holds_there() -> None:
    [delta] = _decoded(_deltas([(None, _outcome(at=T0 + 1)), (None, _outcome("b", at=T0 + PANE))]))
    assert {(part.reference_id, part.start, part.kind) for part in delta.panes} == {
        (REFERENCE.reference_id, T0, "outcomes"),
        (LATER.reference_id, T0 + PANE, "outcomes"),
    }


@pytest.mark.parametrize(
    ("delay", "label_wait", "late"),
    [(60_000, "auto", False), (60_001, "auto", True), (90_000, "2m", False), (120_001, "2m", True)],
)
def test_a_label_is_late_that_took_longer_than_a_prediction_needs_to_be_ripe(delay: int, label_wait: str, late: bool) -> None:
    [delta] = _decoded(_deltas([(None, _outcome(label_time=T0 + delay))], settings=_settings(label_wait=label_wait)))
    assert [part.late for part in delta.panes] == [late]


def test_without_a_known_delay_a_label_may_take_a_day() -> None:
    book = _book(reference())
    changes = [(None, _outcome("a", label_time=T0 + DAY_MS)), (None, _outcome("b", label_time=T0 + DAY_MS + 1))]
    [delta] = _decoded(_deltas(changes, book=book))
    assert sorted((part.late, part.n) for part in delta.panes) == [(False, 1), (True, 1)]


def test_how_large_a_part_of_the_predictions_was_kept_is_counted_with_them() -> None:
    changes = [(None, _outcome("a")), (None, _outcome("b"))]
    [delta] = _decoded(_deltas(changes, settings=_settings(outcome_sample=0.25)))
    assert [part.quality for part in delta.panes] == [{"sampled:0.25": 2}]
    [delta] = _decoded(_deltas(changes))
    assert [part.quality for part in delta.panes] == [{}]


def test_a_correction_takes_back_what_was_counted_whatever_the_settings_and_references_are_now() -> None:
    before = CountedAs(_settings(outcome_sample=0.5, label_wait="500ms"), _book())
    old = _judged(_outcome(), before)
    assert old is not None
    rows = _deltas([(None, old)])
    book = _book(REFERENCE, LATER, reference(version="1", effective_from=T0 - PANE, delay=1))
    rows += _deltas([(old, None)], book=book, settings=_settings(pane="1m"))
    assert _panes(rows) == {}


@pytest.mark.parametrize("book", [ReferenceBook(), _book(reference(outcomes=False))])
def test_while_nothing_is_known_of_outcomes_nothing_is_said_of_them(book: ReferenceBook) -> None:
    assert _deltas([(None, _outcome())], book=book) == []


def test_a_correction_that_changes_nothing_counted_is_not_said() -> None:
    old = _outcome()
    assert _deltas([(old, _outcome(label_time=T0 + 2_000))]) == []


_ids = st.sampled_from(["a", "b", "c"])
_made = st.builds(
    lambda at, value, score, delay, version: {"at": T0 + at, "value": value, "score": score, "label_time": T0 + at + delay, "version": version},
    st.integers(0, 2 * PANE),
    st.sampled_from([0.0, 1.0, "0", "1", True, "junk", 7.0]),
    st.one_of(st.none(), st.floats(0, 1)),
    st.sampled_from([1_000, 100_000]),
    st.sampled_from(["1", "2"]),
)
#: For each event what is known of it, time after time; None where the label is withdrawn.
_lives = st.lists(st.tuples(_ids, st.one_of(st.none(), _made)), max_size=12)


@given(_lives, st.lists(st.integers(0, 12), max_size=4))
def test_after_any_corrections_in_any_transactions_the_panes_hold_what_is_known_last(
    lives: list[tuple[str, dict[str, object] | None]], cuts: list[int]
) -> None:
    known: dict[str, OutcomeRow] = {}
    changes: list[OutcomeChange] = []
    for event_id, made in lives:
        new = None if made is None else _outcome(event_id, **made)  # type: ignore[arg-type]
        if new is not None or event_id in known:
            changes.append((known.get(event_id), new))
        if new is None:
            known.pop(event_id, None)
        else:
            known[event_id] = new
    edges = sorted({0, len(changes), *(cut for cut in cuts if cut <= len(changes))})
    told = [_deltas(changes[i:j], sequence=j) for i, j in pairwise(edges)]
    assert _panes([row for rows in told for row in rows]) == _panes(_deltas([(None, row) for row in known.values()]))


def _panes(rows: Sequence[OutboxRow]) -> dict[tuple[str, int, bool], str]:
    panes: dict[tuple[str, int, bool], Pane] = {}
    by_id = {r.reference_id: r for r in (REFERENCE, LATER)}
    for delta in _decoded(rows):
        for part in delta.panes:
            key = (part.reference_id, part.start, part.late)
            panes.setdefault(key, Pane(layout_of(by_id[part.reference_id], "outcomes"))).add(part)
    empty = {key: Pane(pane.layout).digest() for key, pane in panes.items()}
    return {key: pane.digest() for key, pane in panes.items() if pane.digest() != empty[key]}


@given(_lives)
def test_the_same_changes_give_the_same_bytes(lives: list[tuple[str, dict[str, object] | None]]) -> None:
    changes = [(None, _outcome(f"{i}", **made)) for i, (_, made) in enumerate(lives) if made is not None]  # type: ignore[arg-type]
    assert _deltas(changes) == _deltas(changes)
    assert _panes(_deltas(list(reversed(changes)))) == _panes(_deltas(changes))


def test_a_label_from_a_clock_days_ahead_is_rejected_and_pins_nothing() -> None:
    ahead = dataclasses.replace(label(1, "a", T0 + 3 * DAY_MS, value=0), timestamp=T0)
    poll = read_labels([label(0, "a", T0), ahead], _settings())
    assert [row.label_time for row in poll.labels] == [T0]
    assert poll.newest == T0
    assert "ahead" in poll.rejected[0].error.reason
