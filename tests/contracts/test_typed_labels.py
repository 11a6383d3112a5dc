"""Labels that are read many at a time are those that ``decode_label`` reads one by one; plain features those that all the steps one by one leave."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.contracts.test_events import json_values

from driftline.contracts.errors import DecodeError
from driftline.contracts.events import MAX_EVENT_BYTES, LabelEvent, decode_label
from driftline.contracts.json_values import decode_features, decode_plain
from driftline.contracts.paths import flattened
from driftline.contracts.times import EARLIEST_MS, LATEST_MS
from driftline.contracts.typed_labels import decode_labels
from driftline.detectors.sample import MAX_TEXT, kept_features

NOW = 1_362_114_900_000
usual = st.fixed_dictionaries({
    "event_id": st.text(max_size=3) | st.just("x" * 300),
    "model": st.sampled_from(["m", "", "m\x00"]),
    "event_time": st.sampled_from([NOW, float(NOW), EARLIEST_MS - 1, LATEST_MS, "2013-03-01T05:15:00Z", "soon", True, None]),
    "label": json_values | st.sampled_from([1, True, "a", "a\x00", "a" * 300, 10**30, None]),
})  # fmt: skip
raws = st.none() | st.binary(max_size=40) | usual.map(lambda event: json.dumps(event).encode()) | json_values.map(lambda v: json.dumps(v).encode())


def _one(raw: bytes | None) -> LabelEvent | None:
    try:
        return decode_label(raw)
    except DecodeError:
        return None


@given(st.lists(raws, max_size=6))
@example([json.dumps({"event_id": "a", "model": "m", "event_time": NOW, "label": 1}).encode() + b" " * MAX_EVENT_BYTES])
def test_what_is_read_at_once_is_what_is_read_one_by_one(found: list[bytes | None]) -> None:
    at_once = decode_labels(found)

    assert len(at_once) == len(found)
    for raw, label in zip(found, at_once, strict=True):
        if label is not None:
            assert LabelEvent(event_id=label.event_id, model=label.model, event_time=label.event_time, label=label.label) == _one(raw)


@pytest.mark.parametrize("label", [1, 0.5, True, "late", None])
def test_what_is_usual_is_read_at_once(label: object) -> None:
    raw = json.dumps({"event_id": "a", "model": "m", "event_time": NOW, "label": label}).encode()
    (read,) = decode_labels([raw])
    assert read is not None
    assert (read.label, type(read.label)) == ((known := decode_label(raw)).label, type(known.label))


features = st.dictionaries(
    st.text(max_size=3),
    st.floats() | st.integers(-(1 << 70), 1 << 70) | st.text(max_size=5) | st.just("x" * 300) | st.booleans() | st.none() | json_values,
    max_size=5,
)


@given(features)
@example({"x": 1.5, "c": "FR", "n": -(1 << 63), "b": True, "nothing": None})
@example({"x": 1 << 63})
@example({"c": "x" * (MAX_TEXT + 1)})
def test_plain_features_are_what_is_kept_of_any(found: dict[str, object]) -> None:
    raw = json.dumps(found).encode()
    try:
        kept = kept_features(flattened(decode_features(raw)), {})
    except DecodeError:
        assert decode_plain(raw, MAX_TEXT) is None
        return
    plain = decode_plain(raw, MAX_TEXT)
    assert plain is None or [(k, v, type(v)) for k, v in plain.items()] == [(k, v, type(v)) for k, v in kept.items()]
    if all(type(v) in (bool, type(None)) or (type(v) is float and v - v == 0.0) for v in found.values()):
        assert plain is not None
