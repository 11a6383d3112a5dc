"""The two events that services publish, and their one decode point each.

JSON (or CloudEvents, binary or structured) in; frozen structs out. Bytes that can't be used raise DecodeError, which keeps them. Values inside
``features`` are not judged here: a wrong type there is a data-quality finding, not a dead letter.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from driftline.contracts.cloudevents import Headers, is_structured, structured_data, with_binary_defaults
from driftline.contracts.errors import DecodeError
from driftline.contracts.json_values import loose_json
from driftline.contracts.times import parse_time

#: Larger records are dead letters: a scored row has no business being a megabyte.
MAX_EVENT_BYTES = 1 << 20
MAX_ID_CHARS = 256
#: More headers than any client sends, or entries than a model has classes or slices: bounded, for each is looked at.
MAX_HEADERS = 256
MAX_CLASSES = 10_000
MAX_SLICES = 64


class InferenceEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One prediction. ``features`` stays raw JSON until the model's own decoder reads it.

    ``score`` is the probability of the positive class (binary) or left out; ``probabilities`` maps class to probability (multiclass).
    ``event_time`` is epoch milliseconds here, whatever form it came in. Numbers outside ``features`` are finite: NaN and Infinity, which Python's
    ``json.dumps`` writes although JSON has neither, read as null.
    """

    event_id: str
    model: str
    version: str
    event_time: int
    features: msgspec.Raw
    prediction: float | str | bool | None = None
    score: float | None = None
    probabilities: dict[str, float] | None = None
    slice: dict[str, str] | None = None


class LabelEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What really happened to one prediction; ``label`` None withdraws an earlier label.

    Of several the one with the greatest ``event_time`` wins, whatever their order of arrival.
    """

    event_id: str
    model: str
    event_time: int
    label: float | str | bool | None


class _InferenceWire(msgspec.Struct, kw_only=True):
    event_id: str
    model: str
    event_time: int | float | str
    features: msgspec.Raw
    version: str = "1"
    prediction: float | str | bool | None = None
    score: float | None = None
    probabilities: dict[str, float] | None = None
    slice: dict[str, str] | None = None


class _LabelWire(msgspec.Struct, kw_only=True):
    event_id: str
    model: str
    event_time: int | float | str
    label: float | str | bool | None


_inference = msgspec.json.Decoder(_InferenceWire)
_label = msgspec.json.Decoder(_LabelWire)


def decode_inference(raw: bytes | None, headers: Headers = ()) -> InferenceEvent:
    """Return the inference event in a record's value, or raise DecodeError.

    >>> e = decode_inference(b'{"event_id":"a","model":"m","event_time":1362114900000,"features":{"x":1}}')
    >>> e.version, e.event_time, bytes(e.features)
    ('1', 1362114900000, b'{"x":1}')
    """
    wire: _InferenceWire = _decode(raw, headers, _inference)
    _check_names(raw, wire.event_id, wire.model, wire.version)
    _check_class(raw, "prediction", wire.prediction)
    if bytes(memoryview(wire.features)[:1]) != b"{":
        raise DecodeError("features is not an object", raw, code="wrong_field")
    if wire.probabilities is not None:
        _check_entries(raw, "probabilities", wire.probabilities, MAX_CLASSES)
    if wire.slice is not None:
        _check_entries(raw, "slice", wire.slice, MAX_SLICES)
    return InferenceEvent(
        event_id=wire.event_id,
        model=wire.model,
        version=wire.version,
        event_time=_time(wire.event_time, raw),
        features=wire.features.copy(),
        prediction=wire.prediction,
        score=wire.score,
        probabilities=wire.probabilities,
        slice=wire.slice,
    )


def decode_label(raw: bytes | None, headers: Headers = ()) -> LabelEvent:
    """Return the label event in a record's value, or raise DecodeError.

    >>> decode_label(b'{"event_id":"a","model":"m","event_time":"2013-03-01T05:15:00Z","label":1}').label
    1.0
    """
    wire: _LabelWire = _decode(raw, headers, _label)
    _check_names(raw, wire.event_id, wire.model)
    _check_class(raw, "label", wire.label)
    return LabelEvent(event_id=wire.event_id, model=wire.model, event_time=_time(wire.event_time, raw), label=wire.label)


def encode_event(event: InferenceEvent | LabelEvent) -> bytes:
    """Return the JSON of an event; what is None and may be left out is left out."""
    return msgspec.json.encode(event)


def _decode(raw: bytes | None, headers: Headers, decoder: msgspec.json.Decoder[Any]) -> Any:
    if raw is None:
        raise DecodeError("the record has no value", raw, code="no_value")
    if len(raw) > MAX_EVENT_BYTES:
        raise DecodeError(f"the record has {len(raw)} bytes; at most {MAX_EVENT_BYTES} are accepted", raw, code="too_large")
    if len(headers) > MAX_HEADERS:
        raise DecodeError(f"the record has {len(headers)} headers; at most {MAX_HEADERS} are accepted", raw, code="too_many_headers")
    try:
        return _read(structured_data(raw) if headers and is_structured(headers) else raw, headers, decoder)
    except msgspec.ValidationError as error:
        raise DecodeError(f"a field is wrong: {error}", raw, code="wrong_field") from error
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError) as error:
        raise DecodeError(f"not JSON: {error}", raw, code="not_json") from error
    except RecursionError as error:  # msgspec raises this, not DecodeError, on deep nesting
        raise DecodeError("nested too deeply", raw, code="too_deep") from error
    except DecodeError as error:
        raise DecodeError(error.reason, raw, code=error.code) from error


def _read(content: bytes, headers: Headers, decoder: msgspec.json.Decoder[Any]) -> Any:
    """Decode what is usual at once; what is not, once more with what may explain it."""
    try:
        return decoder.decode(content)
    except msgspec.ValidationError:
        completed = with_binary_defaults(content, headers) if headers else None
        if completed is None:
            raise
        return decoder.decode(completed)
    except msgspec.DecodeError:
        # A NaN label has no reading: as null it would withdraw the label before it.
        if decoder is not _inference or (b"NaN" not in content and b"Infinity" not in content):
            raise
        return _read_loosely(content, headers)


def _read_loosely(content: bytes, headers: Headers) -> Any:
    """Decode an inference event with Python's NaN and Infinity in it: null outside ``features``, left as they are inside."""
    fields = loose_json(content)
    if not isinstance(fields, dict):
        raise DecodeError("not an object", code="wrong_field")
    features = fields.get("features")
    strict = msgspec.json.encode({**fields, "features": {}} if "features" in fields else fields)
    wire: _InferenceWire = _read(strict, headers, _inference)
    wire.features = msgspec.Raw(json.dumps(features).encode())
    return wire


def _check_names(raw: bytes | None, *names: str) -> None:
    for name in names:
        if not name or len(name) > MAX_ID_CHARS or "\x00" in name:
            raise DecodeError(f"event_id, model and version have 1 to {MAX_ID_CHARS} characters, none of them NUL", raw, code="bad_name")


def _check_class(raw: bytes | None, field: str, value: object) -> None:
    if isinstance(value, str) and (len(value) > MAX_ID_CHARS or "\x00" in value):
        raise DecodeError(f"a {field} that is text has at most {MAX_ID_CHARS} characters, none of them NUL", raw, code="bad_name")


def _check_entries(raw: bytes | None, field: str, entries: dict[str, Any], most: int) -> None:
    if len(entries) > most:
        raise DecodeError(f"{field} has {len(entries)} entries; at most {most} are accepted", raw, code="too_many_entries")
    for name, value in entries.items():
        _check_class(raw, f"name in {field}", name)
        _check_class(raw, f"value in {field}", value)


def _time(value: object, raw: bytes | None) -> int:
    try:
        return parse_time(value)
    except DecodeError as error:
        raise DecodeError(error.reason, raw, code="bad_time") from None
