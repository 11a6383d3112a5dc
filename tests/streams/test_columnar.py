from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.contracts.test_columnar_decoding import ODD
from tests.streams.columnar_log import Log, logs, metadata, nested_logs, stream
from tests.streams.records import PANE, T0, Record, event, reference

from driftline.contracts.columnar_decoding import declared_bytes, decode_columnar, is_columnar
from driftline.contracts.reference import CategoricalColumn, NumericColumn, View, seal
from driftline.contracts.settings import build_settings
from driftline.contracts.times import DAY_MS
from driftline.detectors.parts import PartBuilder
from driftline.detectors.slicing import Parent, Sliced, slice_columns
from driftline.streams.predictions import PredictionReader
from driftline.streams.reading import Decoded, Reader, decode
from driftline.streams.references import ReferenceBook

NONE = np.zeros(0, np.int64)
VIEWS: list[tuple[View, str]] = [("length", "c"), ("age", "c"), ("hour", "c"), ("age", "x"), ("integer", "x"), ("length", "unknown")]
#: From the second pane on version 1 has other features: what was read for one reference meets another.
#: Version 2 is watched through whatever its features can be seen through.
_VIEWED = (
    *reference("2").columns,
    *(
        NumericColumn(name=view + source, role="feature", edges=(0.0, 1.0, 9.0), center=0.0, scale=5.0, counts=(1,) * 8, source=source, view=view)
        for view, source in VIEWS
    ),
    CategoricalColumn(name="many", role="feature", values=("a",), counts=(1,) * 5, source="c", distinct=40),
    CategoricalColumn(name="flag", role="feature", values=("0", "1"), counts=(1,) * 6, source="c", view="boolean"),
)
_TOLD_APART = (("c", ("a", "1"), ("x", "prediction", "score")), ("x", ("1", "0"), ("c", "flag")))
#: And in slices of a text and of a number.
VIEWED = (
    *_VIEWED,
    *(
        made
        for feature, values, crossed in _TOLD_APART
        for made, _ in slice_columns(
            Sliced(feature, values, NONE, hidden=False), [Parent(c, NONE, NONE) for c in _VIEWED if c.name in crossed], NONE, set()
        )
    ),
)
_ONE = reference("1", T0 + PANE)
REFERENCES = (
    reference("1"),
    seal(replace(_ONE, columns=tuple(replace(c, name={"x": "c", "c": "unknown"}[c.name]) for c in _ONE.columns))),
    seal(replace(reference("2"), columns=VIEWED)),
)

forms = st.lists(st.tuples(st.integers(1, 6) | st.just(100), st.sampled_from(["json", "plain", "lz4", "zstd", "batches"])), min_size=1, max_size=6)


def _records(log: Log, cut: Sequence[tuple[int, str]]) -> list[Record]:
    """The rows of a log in runs, each run in its form."""
    records: list[Record] = []
    start, i = 0, 0
    while start < len(log.ids):
        length, form = cut[i % len(cut)]
        stop, i = min(start + length, len(log.ids)), i + 1
        if form == "json":
            records += [log.json(row, len(records)) for row in range(start, stop)]
        else:
            compression = form if form in ("lz4", "zstd") else None
            records.append(log.columnar(start, stop, len(records), compression, 3 if form == "batches" else 1))
        start = stop
    return records


def _read(decoded: Sequence[Decoded], reader: Reader) -> tuple[bytes, int, int, int]:
    """Parts of the panes as bytes, how many events are refused, the watermark and the newest time."""
    builder, refused, watermark, newest = PartBuilder(PANE, 5, 7, {}, repeats=True), 0, 0, 0
    for items in decoded:
        rows, rejected, watermark, latest = reader.read(items, watermark)
        newest = max(newest, latest)
        for part in rows:
            builder.add(part.reference, part.rows)
        for one in rejected:
            refused += len(decode_columnar(one.record.value)) if one.record.value is not None and is_columnar(one.record.value) else 1
    return msgspec.msgpack.encode(builder.parts(), order="deterministic"), refused, watermark, newest


def _reader() -> Reader:
    book = ReferenceBook()
    book.add(REFERENCES)
    return Reader(book, {}, 2_000, allowed_skew=60_000)


@settings(deadline=None)  # the first import of pyarrow takes its time
@given(logs(), forms, st.integers(0, 12))
def test_the_same_rows_as_json_or_columns_in_any_mixture_give_the_same_panes_to_the_byte(log: Log, cut: list[tuple[int, str]], batch: int) -> None:
    alone = _read([decode([log.json(row, row)]) for row in range(len(log.ids))], _reader())
    mixed = _records(log, cut)
    assert _read([decode(mixed)], _reader()) == alone
    pieces = [mixed[:batch], mixed[batch:]]
    assert _read([decode(piece) for piece in pieces], _reader()) == alone


@settings(deadline=None)  # the first import of pyarrow takes its time
@given(logs(), forms)
def test_events_read_into_structs_of_their_model_give_the_same_panes_to_the_byte(log: Log, cut: list[tuple[int, str]]) -> None:
    rows = range(len(log.ids))
    reader = _reader()
    # What was read once teaches the reader what to expect.
    reader.read(reader.decode([log.json(row, row) for row in rows]), 0)
    expected = _read([decode([log.json(row, row) for row in rows])], _reader())
    assert _read([reader.decode([log.json(row, row) for row in rows])], reader) == expected
    assert _read([reader.decode(_records(log, cut))], reader) == expected


@settings(deadline=None, max_examples=50)
@given(nested_logs(), forms)
def test_features_in_objects_give_the_same_panes_and_predictions_in_both_forms(log: Log, cut: list[tuple[int, str]]) -> None:
    columns = tuple(replace(c, name={"x": "user.x", "c": "user.deep.c"}[c.name]) for c in reference("1").columns)
    book = ReferenceBook()
    book.add([seal(replace(reference("1"), columns=(*columns, replace(columns[0], name="x"), replace(columns[1], name="absent.c")))), reference("2")])
    reader = Reader(book, {}, 2_000, allowed_skew=60_000, max_features=3)
    rows = [log.json(row, row) for row in range(len(log.ids))]
    alone = _read([decode([record]) for record in rows], reader)
    mixed = _records(log, cut)
    assert _read([decode(mixed)], reader) == alone
    assert _read([reader.decode(rows)], reader) == alone
    configured = build_settings({"defaults": {"max_features": 3, "pii": {"user.deep": "drop"}}})
    expected = [row for record in rows for row in PredictionReader()([record], configured).predictions]
    assert _bytes(PredictionReader()(mixed, configured).predictions) == _bytes(expected)
    assert not any("user.deep.c" in row.features for row in expected)


@settings(deadline=None)
@given(logs(), forms, st.integers(1, 4_000))
def test_pieces_hold_every_record_once_in_order_and_no_more_than_they_may(log: Log, cut: list[tuple[int, str]], budget: int) -> None:
    records = _records(log, cut)
    reader = _reader()
    pieces = list(reader.pieces(records, budget=budget))
    assert [record for piece in pieces for record in piece.records] == records
    for piece in pieces:
        sizes = [declared_bytes(record.value or b"") for record in piece.records if is_columnar(record.value)]
        assert sum(sizes) <= budget or len(sizes) == 1
    assert _read(pieces, reader) == _read([decode(records)], _reader())


def test_a_model_whose_events_seldom_fit_is_read_alike_once_no_more_tried() -> None:
    reader = _reader()
    odd = [event(i, T0 + i, features={"x": i, "c": "a", "new": 1}) for i in range(3_000)]
    first, second, third = (odd[i : i + 1_000] for i in (0, 1_000, 2_000))
    taught = [_read([reader.decode(records)], reader) for records in (first, second, third)]
    assert taught == [_read([decode(records)], _reader()) for records in (first, second, third)]
    assert msgspec.msgpack.decode(taught[2][0])[0][12] == {"extra_fields": 1_000}
    junk = [event(i, T0 + i, features=features) for i, features in enumerate([[1], {"x": 1, "c": "b"}, {"x": "text", "c": [1]}, None])]
    assert _read([reader.decode(junk)], reader) == _read([decode(junk)], _reader())


def test_of_too_many_features_each_row_keeps_its_own_while_a_model_is_learned() -> None:
    records = [event(i, T0, model="new", features={f"f{j:03d}": 1 for j in range(i, i + 40)}) for i in range(30)]
    reader = Reader(ReferenceBook(), {}, 2_000, 60_000, max_features=10)
    alone = _read([decode([record]) for record in records], reader)
    assert _read([decode(records)], reader) == alone
    (pane,) = msgspec.msgpack.decode(alone[0])
    assert {len(row[4]) for row in pane[11]} == {10}


@settings(deadline=None)
@given(logs(), forms, st.sampled_from([1.0, 0.5]))
def test_the_join_keeps_the_same_predictions_of_both_forms(log: Log, cut: list[tuple[int, str]], share: float) -> None:
    configured = build_settings({"defaults": {"outcome_sample": share, "max_features": 2, "pii": {"c": "drop"}}})
    read = PredictionReader()
    mixed = _records(log, cut)
    alone = [PredictionReader()([log.json(row, row)], configured) for row in range(len(log.ids))]
    for poll in (read(mixed, configured), read(mixed, configured)):  # the second time the model is known
        expected = [row for one in alone for row in one.predictions]
        assert _bytes(poll.predictions) == _bytes(expected)
        assert poll.watermark == max(one.watermark for one in alone)
        assert poll.newest == max(one.newest for one in alone)


@pytest.mark.parametrize("column", ODD.values(), ids=ODD)
def test_a_feature_of_any_type_lands_in_one_slot_of_its_column(column: pa.Array) -> None:
    columns = {"event_id": pa.array([f"e{i}" for i in range(8)]), "event_time": pa.array([T0] * 8), "features.x": column, "features.c": column}
    for model in (metadata(), metadata("new")):
        record = Record(0, stream(pa.table(columns).replace_schema_metadata(model)))
        ((part,), rejected, *_) = _reader().read(decode([record]), 0)
        builder = PartBuilder(PANE, 5, 7, {})
        builder.add(part.reference, part.rows)
        (pane,) = builder.parts()
        assert (rejected, pane.n) == ([], 8)
        assert sum(np.frombuffer(pane.counts, "<i8").tolist()) == (16 if pane.reference_id else 0)
        assert len(PredictionReader()([record], build_settings({})).predictions) == 8


def test_refused_rows_leave_in_one_letter_for_each_record_and_come_back_alike() -> None:
    ids = pa.array(["a", "", "c", "d", None, "f"])
    times = pa.array([T0, T0, T0 + 100 * DAY_MS, T0, T0, T0 - 100 * DAY_MS])
    columns = {"event_id": ids, "event_time": times, "features.x": pa.array([1.0, 2.0, None, 4.0, 5.0, 6.0])}
    record = Record(7, stream(pa.table(columns).replace_schema_metadata(metadata())), key=b"k", headers=[("trace", b"1")])
    rows, (one,), *_ = _reader().read(decode([record]), T0)
    assert [len(part.rows) for part in rows] == [2]
    assert (one.record.offset, one.record.key, one.record.headers) == (7, b"k", [("trace", b"1")])
    assert one.error.reason.startswith("4 of 6 rows: event_id")
    assert one.record.value is not None
    refused = decode_columnar(one.record.value).batch.to_pydict()
    assert refused == {name: [values[i] for i in (1, 2, 4, 5)] for name, values in pa.table(columns).to_pydict().items()}
    # Played back as it is, the letter counts nothing twice.
    again, (same,), *_ = _reader().read(decode([Record(8, one.record.value)]), T0)
    assert again == []
    assert same.record.value == one.record.value


def _bytes(content: object) -> bytes:
    return msgspec.msgpack.encode(content, order="deterministic")
