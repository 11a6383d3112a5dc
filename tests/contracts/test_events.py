from __future__ import annotations

import json
from base64 import b64encode
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.contracts.errors import DecodeError
from driftline.contracts.events import MAX_EVENT_BYTES, InferenceEvent, LabelEvent, decode_inference, decode_label, encode_event
from driftline.contracts.times import EARLIEST_MS, LATEST_MS

GOOD = {"event_id": "a", "model": "m", "event_time": 1362114900000, "features": {"x": 1}}
LABEL = {"event_id": "a", "model": "m", "event_time": 1362114900000, "label": 1}
STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
ids = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=256)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
classes = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | ids
events = st.builds(
    InferenceEvent,
    event_id=ids,
    model=ids,
    version=ids,
    event_time=st.integers(EARLIEST_MS, LATEST_MS - 1),
    features=st.dictionaries(texts, json_values, max_size=5).map(lambda f: msgspec.Raw(msgspec.json.encode(f))),
    prediction=classes,
    score=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    probabilities=st.none() | st.dictionaries(words, st.floats(0, 1), max_size=3),
    slice=st.none() | st.dictionaries(words, words, max_size=3),
)
labels = st.builds(LabelEvent, event_id=ids, model=ids, event_time=st.integers(EARLIEST_MS, LATEST_MS - 1), label=classes)


def good(**changes: object) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def without(field: str) -> bytes:
    return json.dumps({k: v for k, v in GOOD.items() if k != field}).encode()


@given(events)
def test_an_inference_event_survives_the_wire(event: InferenceEvent) -> None:
    assert decode_inference(encode_event(event)) == event


@given(labels)
def test_a_label_event_survives_the_wire(event: LabelEvent) -> None:
    assert decode_label(encode_event(event)) == event


@given(st.binary(max_size=200) | json_values.map(lambda v: json.dumps(v).encode()), st.sampled_from([(), STRUCTURED, [("ce_id", b"\xff")]]))
def test_any_bytes_are_an_event_or_a_decode_error_that_keeps_them(raw: bytes, headers: list[tuple[str, bytes | None]]) -> None:
    for decode in (decode_inference, decode_label):
        with pytest.raises(DecodeError) as caught:
            decode(raw, headers)
        assert caught.value.raw == raw


@given(st.sampled_from(sorted({**GOOD, "version": "", "prediction": 0, "score": 0, "probabilities": 0, "slice": 0})), json_values, st.booleans())
def test_any_json_in_any_field_is_an_event_or_a_decode_error(field: str, value: object, enveloped: bool) -> None:
    raw = good(**{field: value})
    if enveloped:
        raw = json.dumps({"specversion": "1.0", "id": value, "time": value, "data": json.loads(raw)}).encode()
    with suppress(DecodeError):  # any other error fails
        event = decode_inference(raw, STRUCTURED if enveloped else ())
        assert EARLIEST_MS <= event.event_time < LATEST_MS
        assert bytes(event.features).startswith(b"{")
        assert event.event_id.encode()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "no value"),
        (b"", "not JSON"),
        (b"null", "a field is wrong"),
        (b"[]", "a field is wrong"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (good() + b"x", "not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "a field is wrong|nested"),
        (good(features=0).replace(b"0}", b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
        (good(features=0).replace(b"0}", b'{"x":' * 100_000 + b"1" + b"}" * 100_001), "nested too deeply"),
        (good(extra=0).replace(b"0}", b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
        (good(x="y" * 10_000_000), "bytes; at most"),
        (b"x" * (MAX_EVENT_BYTES + 1), "bytes; at most"),
        (good(event_id="\ud800"), "not JSON"),
        (good(model="m\udfff"), "not JSON"),
        (good(event_id="\x00"), "NUL"),
        (good(event_id=""), "1 to 256"),
        (good(model="m" * 257), "1 to 256"),
        (good(version=""), "1 to 256"),
        (good(event_id=7), "Expected `str`"),
        (good(event_id=None), "Expected `str`"),
        (good(features=None), "features is not an object"),
        (good(features=[1]), "features is not an object"),
        (good(features="{}"), "features is not an object"),
        (good(score="0.5"), "score"),
        (good(score=True), "score"),
        (good(prediction=[1]), "prediction"),
        (good(prediction="x" * 257), "prediction"),
        (good(prediction="a\x00"), "prediction"),
        (good(probabilities={"a": "b"}), "probabilities"),
        (good(probabilities={"a": float("nan")}), "probabilities"),
        (good(slice={"a": 1}), "slice"),
        (good().replace(b'"m"', b'"\xff"'), "not JSON"),
        (good(score=0).replace(b'"score": 0', b'"score": 1e999'), "score"),
        (good(score=0).replace(b'"score": 0', b'"score": ' + b"9" * 5000), "score"),
        (good(event_time=0).replace(b'"event_time": 0', b'"event_time": ' + b"9" * 400), "1971 to 2199"),
        (good(event_time=0).replace(b'"event_time": 0', b'"event_time": ' + b"9" * 5000), "event_time"),
        (good(event_time=1e300), "1971 to 2199"),
        (good(event_time=float("nan")), "event_time"),
        (good(event_time=1362114900), "1971 to 2199"),
        (good(event_time=-5), "1971 to 2199"),
        (good(event_time=True), "event_time"),
        (good(event_time=None), "event_time"),
        (good(event_time="1362114900000"), "RFC 3339"),
        (good(event_time="0001-01-01T00:00:00+23:59"), "1971 to 2199"),
        (good(event_time="9999-12-31T23:59:59-23:59"), "1971 to 2199"),
        (good(event_time="2013-03-01T05:15:00"), "time zone"),
        (good(event_time="2013-02-30T05:15:00Z"), "RFC 3339"),
        (without("event_id"), "event_id"),
        (without("event_time"), "event_time"),
        (without("model"), "model"),
        (without("features"), "features"),
    ],
)
def test_what_is_wrong_with_an_event_is_said(raw: bytes | None, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason) as caught:
        decode_inference(raw)
    assert caught.value.raw == raw


@pytest.mark.parametrize("text", ["2013-03-01T05:15:00Z", "2013-03-01t05:15:00z", "2013-03-01T06:15:00+01:00", "2013-03-01 05:15:00.000+00:00"])
def test_times_of_every_usual_form_mean_the_same(text: str) -> None:
    assert decode_inference(good(event_time=text)).event_time == 1362114900000
    assert decode_inference(good(event_time=1362114900000.0)).event_time == 1362114900000


def test_unknown_fields_are_let_pass() -> None:
    assert decode_inference(good(colour="red", deep={"a": [1]})).model == "m"


def test_what_stands_in_a_feature_is_not_judged() -> None:
    raw = good(features={"x": "not a number", "y": [1, {}], "z": None})
    assert json.loads(bytes(decode_inference(raw).features)) == {"x": "not a number", "y": [1, {}], "z": None}


def test_bad_utf_8_in_a_feature_is_left_to_its_decoder() -> None:
    event = decode_inference(good(features={"x": "?"}).replace(b"?", b"\xff"))
    assert bytes(event.features) == b'{"x": "\xff"}'


def test_pythons_nan_and_infinity_stay_in_features_and_are_null_elsewhere() -> None:
    raw = good(features={"x": float("nan"), "y": float("-inf"), "n": 3}, score=float("nan"), prediction=float("inf"))
    event = decode_inference(raw)
    assert (event.score, event.prediction) == (None, None)
    assert bytes(event.features) == b'{"x": NaN, "y": -Infinity, "n": 3}'
    with pytest.raises(DecodeError, match="not JSON"):
        decode_inference(raw + b"]")
    with pytest.raises(DecodeError, match="nested"):
        decode_inference(good(features=float("nan"), deep=0).replace(b'"deep": 0', b'"deep": ' + b"[" * 100_000 + b"]" * 100_000))


def test_a_nan_label_does_not_withdraw_a_label() -> None:
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(DecodeError, match="not JSON"):
            decode_label(json.dumps({**LABEL, "label": wrong}).encode())
    with pytest.raises(DecodeError, match="label"):
        decode_label(json.dumps({k: v for k, v in LABEL.items() if k != "label"}).encode())
    assert decode_label(json.dumps({**LABEL, "label": None}).encode()).label is None


def test_a_structured_cloud_event_lends_its_id_and_time() -> None:
    data = {"model": "m", "features": {"x": 1}}
    envelope = {"specversion": "1.0", "id": "a", "source": "/s", "type": "t", "time": "2013-03-01T05:15:00Z", "data": data}
    event = decode_inference(json.dumps(envelope).encode(), STRUCTURED)
    assert (event.event_id, event.event_time, bytes(event.features)) == ("a", 1362114900000, b'{"x": 1}')
    own = {**envelope, "data": GOOD | {"event_id": "own"}}
    assert decode_inference(json.dumps(own).encode(), STRUCTURED).event_id == "own"
    coded = {**envelope, "data": 0} | {"data_base64": b64encode(json.dumps(data).encode()).decode()}
    del coded["data"]
    assert decode_inference(json.dumps(coded).encode(), STRUCTURED).event_id == "a"
    for broken in ({"data_base64": "!"}, {"data_base64": 7}, {}, {"data": [1]}, {"data": "{}"}):
        with pytest.raises(DecodeError):
            decode_inference(json.dumps({"specversion": "1.0", **broken}).encode(), STRUCTURED)


def test_a_binary_cloud_event_lends_its_id_and_time() -> None:
    headers: list[tuple[str, bytes | None]] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"a"),
        ("ce_time", b"2013-03-01T05:15:00Z"),
        ("content-type", b"application/json"),
    ]
    event = decode_inference(b'{"model":"m","features":{"x":1}}', headers)
    assert (event.event_id, event.event_time) == ("a", 1362114900000)
    assert decode_inference(good(event_id="own"), headers).event_id == "own"
    assert decode_label(b'{"model":"m","label":1}', headers).event_id == "a"
    mixed = decode_inference(b'{"model":"m","features":{"x":NaN}}', headers)
    assert (mixed.event_id, bytes(mixed.features)) == ("a", b'{"x": NaN}')
    with pytest.raises(DecodeError, match="utf-8"):
        decode_inference(b'{"model":"m","features":{}}', [("ce_id", b"\xff"), ("ce_time", None)])
    with pytest.raises(DecodeError, match="event_time"):
        decode_inference(b'{"model":"m","features":{}}', [("ce_id", b"a"), ("ce_time", b"soon")])
    with pytest.raises(DecodeError, match="event_id"):
        decode_inference(b'{"model":"m","features":{},"event_time":1362114900000}', [("ce_source", b"a")])
