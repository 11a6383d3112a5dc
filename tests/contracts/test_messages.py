from __future__ import annotations

import json
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.test_events import json_values, texts

from driftline.contracts.cloudevents import cloud_event_headers
from driftline.contracts.errors import DecodeError
from driftline.contracts.findings import Alert, Finding, ModelVersion, PaneClosing, RetrainDecision, RetrainTrigger, decode_json, encode_json
from driftline.contracts.ids import sample_hash, stable_id
from driftline.contracts.reference import Reference, decode_reference, encode_reference, seal
from driftline.contracts.summaries import BlockSummary, PanePart, Progress, SummaryMessage, decode_summary, encode_summary
from driftline.contracts.times import format_time, parse_time

small_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | texts | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
named = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20)
_SCALARS: dict[type, st.SearchStrategy[Any]] = {
    msgspec.inspect.FloatType: st.floats(allow_nan=False, allow_infinity=False),
    msgspec.inspect.StrType: named,
    msgspec.inspect.BytesType: st.binary(max_size=16),
    msgspec.inspect.BoolType: st.booleans(),
    msgspec.inspect.NoneType: st.none(),
}


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of any type that a contract is made of."""
    info = msgspec.inspect
    node = kind if isinstance(kind, info.Type) else info.type_info(kind)
    made: st.SearchStrategy[Any]
    match node:
        case info.StructType(cls=cls):
            made = struct(cls)
        case info.LiteralType(values=values):
            made = st.sampled_from(values)
        case info.UnionType(types=types):
            made = st.one_of([of(t) for t in types])
        case info.VarTupleType(item_type=item):
            made = st.lists(of(item), max_size=3).map(tuple)
        case info.TupleType(item_types=items):
            made = st.tuples(*map(of, items))
        case info.ListType(item_type=item):
            made = st.lists(of(item), max_size=3)
        case info.DictType(value_type=value):
            made = st.dictionaries(named, of(value), max_size=3)
        case info.IntType(ge=least):
            made = st.integers(-(2**63) if least is None else least, 2**63 - 1)
        case _:
            made = _SCALARS[type(node)]
    return made


@cache
def struct(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    names = {f.encode_name: f.name for f in msgspec.inspect.type_info(cls).fields}  # type: ignore[attr-defined]  # a StructType
    kinds = {f.encode_name: f.type for f in msgspec.inspect.type_info(cls).fields}  # type: ignore[attr-defined]
    return st.fixed_dictionaries({names[n]: of(t) for n, t in kinds.items()}).map(lambda values: cls(**_fitting(cls, values)))


def _fitting(cls: type[msgspec.Struct], values: dict[str, Any]) -> dict[str, Any]:
    """Make numbers that have to belong together do so."""
    if cls is PanePart:
        slots = values["slots"][: len(values["slots"]) // 4 * 4]
        return {**values, "slots": slots, "counts": slots * 2, "sums": values["sums"][:1] * 32}
    if cls is BlockSummary:
        return {**values, **dict(zip(("start", "first", "next"), sorted((values["start"], values["first"], values["next"])), strict=True))}
    if cls is Progress:
        return {**values, "partition": values["partition"] // 2, "partitions": values["partition"] // 2 + 1}
    return values


@pytest.mark.parametrize("kind", [Finding, Alert, RetrainTrigger, ModelVersion, PaneClosing, RetrainDecision])
@given(st.data())
def test_a_message_survives_the_wire(kind: Any, data: st.DataObject) -> None:
    message = data.draw(of(kind))
    assert decode_json(encode_json(message), kind) == message


@given(of(SummaryMessage))
def test_a_summary_survives_the_wire(message: SummaryMessage) -> None:
    assert decode_summary(encode_summary(message)) == message


@given(of(Reference))
def test_a_sealed_reference_survives_the_wire_and_is_named_by_its_content(reference: Reference) -> None:
    sealed = seal(reference)
    assert decode_reference(encode_reference(sealed)) == sealed
    assert seal(sealed) == sealed
    other = msgspec.structs.replace(reference, rows=reference.rows ^ 1)
    assert seal(other).reference_id != sealed.reference_id


@given(st.binary(max_size=100) | json_values.map(lambda v: json.dumps(v).encode()) | small_values.map(msgspec.msgpack.encode))
def test_any_bytes_are_a_message_or_a_decode_error(raw: bytes) -> None:
    kinds: list[Any] = [Finding, Alert, RetrainTrigger, ModelVersion, PaneClosing]
    for kind in kinds:
        with pytest.raises(DecodeError) as caught:
            decode_json(raw, kind)
        assert caught.value.raw == raw
    for decode in (decode_summary, decode_reference):
        with pytest.raises(DecodeError):
            decode(raw)


def test_deep_nesting_is_a_decode_error_everywhere() -> None:
    with pytest.raises(DecodeError):
        decode_json(b'{"x":' * 100_000, Alert)
    for decode in (decode_summary, decode_reference):
        with pytest.raises(DecodeError):
            decode(b"\x91" * 100_000)
        with pytest.raises(DecodeError):
            decode(b"\x81\xa1x" * 100_000)


@given(texts, texts)
def test_ids_depend_on_the_parts_and_on_where_they_end(a: str, b: str) -> None:
    assert stable_id(a, b) == stable_id(a, b)
    assert stable_id(a, b) != stable_id(a + b)
    assert (stable_id(a, b) == stable_id(b, a)) == (a == b)
    assert 0 <= sample_hash(a) < 2**63


@given(st.integers(31_536_000_000, 7_258_118_399_999), st.booleans())
def test_a_time_survives_being_written(millis: int, seconds: bool) -> None:
    assert parse_time(format_time(millis, seconds=seconds)) == millis


def test_what_we_say_carries_the_attributes_of_a_cloud_event() -> None:
    headers = dict(cloud_event_headers(event_id="i", kind="RetrainTrigger", model="m", time=1362114900000))
    assert headers == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": b"i",
        "ce_type": b"driftline.retrain_trigger",
        "ce_source": b"/driftline",
        "ce_subject": b"m",
        "ce_time": b"2013-03-01T05:15:00Z",
    }
