from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.streams.columnar_log import metadata, stream

from driftline.contracts.columnar_decoding import MAX_ROWS, decode_columnar, is_columnar
from driftline.contracts.errors import DecodeError

T0 = 1_600_000_000_000


def _table(n: int = 8, **columns: Any) -> pa.Table:
    held: dict[str, Any] = {
        "event_id": pa.array([f"event-{i}" for i in range(n)]),
        "event_time": pa.array(range(T0, T0 + n)),
        "features.x": pa.array(np.arange(n) / 3),
        "features.c": pa.array(["a", "b"] * (n // 2)).dictionary_encode(),
    }
    return pa.table({k: v for k, v in {**held, **columns}.items() if v is not None}).replace_schema_metadata(metadata())


GOOD = {form: stream(_table(), compression) for form, compression in (("plain", None), ("lz4", "lz4"), ("zstd", "zstd"))}


@pytest.mark.parametrize("raw", GOOD.values(), ids=GOOD)
def test_a_record_is_read_whatever_its_compression(raw: bytes) -> None:
    events = decode_columnar(raw)
    assert is_columnar(raw)
    assert [events.event_id(i) for i in range(len(events))] == [f"event-{i}" for i in range(8)]
    assert events.times.tolist() == list(range(T0, T0 + 8))
    assert not events.flawed.any()


@settings(deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.integers(0, 10**6), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4))
@example("plain", 0, [])
def test_a_record_cut_short_or_with_wrong_bytes_is_read_or_refused_and_nothing_else(form: str, cut: int, wrong: list[tuple[int, int]]) -> None:
    raw = bytearray(GOOD[form][: cut % len(GOOD[form]) if cut else None])
    for place, value in wrong:
        if raw:
            raw[place % len(raw)] = value
    _read(bytes(raw))


@settings(deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_behind_the_marker_are_read_or_refused_and_nothing_else(head: bytes, tail: bytes) -> None:
    for raw in (b"\xff\xff\xff\xff" + head, b"\xff\xff\xff\xff" + struct.pack("<i", len(head)) + head + tail, GOOD["plain"] + head):
        _read(raw)


def _read(raw: bytes) -> None:
    try:
        events = decode_columnar(raw)
    except DecodeError:
        return
    assert len(events.times) == len(events.flawed) == len(events.id_offsets) - 1 <= MAX_ROWS


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_bomb_is_refused_before_it_goes_off(codec: str) -> None:
    zeros = pa.array(np.zeros(60_000))
    columns = {f"features.z{i}": zeros for i in range(200)} | {"event_id": pa.array(["a"] * 60_000), "event_time": pa.array([T0] * 60_000)}
    raw = stream(pa.table(columns).replace_schema_metadata(metadata()), codec)
    assert len(raw) < 1 << 20
    before = pa.total_allocated_bytes()
    with pytest.raises(DecodeError, match="decompresses to"):
        decode_columnar(raw)
    assert pa.total_allocated_bytes() - before < 1 << 20


@pytest.mark.parametrize("size", [1 << 62, -2, 1 << 40])
def test_a_buffer_that_declares_a_huge_length_costs_nothing(size: int) -> None:
    raw = stream(_table(1_000, event_time=pa.array([T0] * 1_000)), "zstd")
    body = raw.index((8_000).to_bytes(8, "little"))  # the decompressed length of the times
    with pytest.raises(DecodeError):
        decode_columnar(raw[:body] + size.to_bytes(8, "little", signed=True) + raw[body + 8 :])


def _nested(depth: int) -> pa.Array:
    array = pa.array([1] * 8)
    for _ in range(depth):
        array = pa.StructArray.from_arrays([array], ["a"])
    return array


def _twice() -> bytes:
    table = _table()
    return stream(
        pa.Table.from_arrays([*table.columns, table["features.x"]], names=[*table.column_names, "features.x"]).replace_schema_metadata(metadata())
    )


def _bad_text() -> bytes:
    offsets = pa.py_buffer(np.array(range(9), np.int32).tobytes())
    text = pa.Array.from_buffers(pa.string(), 8, [None, offsets, pa.py_buffer(b"abc\xffdefg")])
    return stream(_table(**{"features.c": text}))


def _lying_offsets() -> bytes:
    offsets = pa.py_buffer(np.array([0, 1, 2, 3, 2_000_000_000, 5, 6, 7, 8], np.int32).tobytes())
    return stream(_table(**{"features.c": pa.Array.from_buffers(pa.string(), 8, [None, offsets, pa.py_buffer(b"abcdefgh")])}))


REFUSED: dict[str, bytes] = {
    "no Arrow": b"\xff\xff\xff\xff",
    "no id": stream(_table(event_id=None)),
    "no time": stream(_table(event_time=None)),
    "ids of numbers": stream(_table(event_id=pa.array(range(8)))),
    "times without a zone": stream(_table(event_time=pa.array([T0] * 8, pa.timestamp("ms")))),
    "times as texts": stream(_table(event_time=pa.array(["2020-01-01T00:00:00Z"] * 8))),
    "scores as texts": stream(_table(score=pa.array(["1"] * 8))),
    "scores of truth": stream(_table(score=pa.array([True] * 8))),
    "predictions as lists": stream(_table(prediction=pa.array([[1]] * 8))),
    "probabilities as texts": stream(_table(probabilities=pa.array([{"a": "1"}] * 8))),
    "slices of numbers": stream(_table(**{"slice.country": pa.array(range(8))})),
    "columns without end": stream(_table(**{f"features.f{i}": pa.array(range(8)) for i in range(600)})),
    "a column twice": _twice(),
    "text that is none": _bad_text(),
    "offsets that lie": _lying_offsets(),
    "no model": stream(_table().replace_schema_metadata({"driftline.schema_version": "1"})),
    "another schema": stream(_table().replace_schema_metadata(metadata() | {"driftline.schema_version": "2"})),
    "no metadata": stream(_table().replace_schema_metadata(None)),
    "a long model": stream(_table().replace_schema_metadata(metadata("m" * 257))),
    "a text that stands for much": stream(_table(60_000, event_id=pa.array(["x" * 2_000] * 60_000).dictionary_encode(), **{"features.c": None})),
    "too many rows": stream(pa.table({"event_id": pa.nulls(70_000), "event_time": pa.nulls(70_000)}).replace_schema_metadata(metadata())),
    "too large": stream(_table(50_000)),
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_read_is_refused_with_its_bytes(raw: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_columnar(raw)
    assert caught.value.raw == raw
    assert caught.value.reason


ODD: dict[str, pa.Array] = {
    "nested": _nested(20),
    "dates": pa.array([T0] * 8, pa.timestamp("us", "UTC")),
    "bytes": pa.array([b"a"] * 8),
    "views": pa.array(["a"] * 8, pa.string_view()),
    "runs": pa.array([1] * 8).dictionary_encode(),
    "run ends": pa.RunEndEncodedArray.from_arrays([8], [1.0]),
    "decimals": pa.array([1] * 8, pa.decimal128(10, 2)),
    "a union": pa.UnionArray.from_sparse(pa.array([0] * 8, pa.int8()), [pa.array([1] * 8)]),
    "half floats": pa.array(np.arange(8).astype(np.float16)),
}


@pytest.mark.parametrize("column", ODD.values(), ids=ODD)
def test_a_feature_of_any_type_is_no_reason_to_refuse_the_record(column: pa.Array) -> None:
    assert not decode_columnar(stream(_table(**{"features.x": column}))).flawed.any()


def test_rows_that_can_not_be_used_are_flawed_and_written_apart_unchanged() -> None:
    ids = pa.array(["a", None, "", "b\0", "x" * 257, "é" * 256, "c", "d"])
    times = pa.array([T0, T0, T0, T0, T0, T0, None, 5])
    events = decode_columnar(stream(_table(event_id=ids, event_time=times, prediction=pa.array(["p", *"abcdef", "q" * 300]))))
    assert events.flawed.tolist() == [False, True, True, True, True, False, True, True]
    assert events.flaw is not None
    refused = decode_columnar(events.encoded(np.flatnonzero(events.flawed)))
    assert len(refused) == 6
    assert refused.batch.to_pylist() == [row for row, bad in zip(events.batch.to_pylist(), events.flawed.tolist(), strict=True) if bad]
    assert (refused.model, refused.version) == (events.model, events.version)


@pytest.mark.parametrize(("unit", "per"), [("s", 0.001), ("ms", 1), ("us", 1_000), ("ns", 1_000_000)])
def test_times_of_any_unit_are_milliseconds(unit: str, per: float) -> None:
    times = pa.array([int(T0 * per)] * 8, pa.timestamp(unit, "UTC"))
    assert decode_columnar(stream(_table(event_time=times))).times.tolist() == [T0] * 8


def test_a_version_may_be_left_out() -> None:
    told = {key: value for key, value in metadata().items() if key != "driftline.version"}
    assert decode_columnar(stream(_table().replace_schema_metadata(told))).version == "1"
