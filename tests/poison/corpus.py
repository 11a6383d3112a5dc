"""Bad input by hand: each kind of record that somebody has thought of, with what has to become of it.

``fate`` is the code of its dead letter or, where the record is used in part, ``used``.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from driftline.contracts.times import DAY_MS, HOUR_MS

NOW: Final = time.time_ns() // 1_000_000
#: The hour in which the good events lie.
AT: Final = NOW - 2 * HOUR_MS
USED: Final = "used"
MEGABYTE: Final = 1 << 20

Headers = list[tuple[str, bytes | None]]
STRUCTURED: Final[Headers] = [("content-type", b"application/cloudevents+json")]


class Bad(NamedTuple):
    """One record for one topic."""

    name: str
    topic: str
    value: bytes | None
    fate: str
    key: bytes | None = b"k"
    headers: Headers | None = None


def event(**changes: Any) -> bytes:
    """Return a good inference event with some fields changed; ``...`` leaves one out."""
    made = {"event_id": "c", "model": "m", "version": "1", "event_time": AT, "features": {"x": 0.1, "c": "a"}, "score": 0.5, **changes}
    return json.dumps({k: v for k, v in made.items() if v is not ...}).encode("utf-8", "surrogatepass")


def label(**changes: Any) -> bytes:
    """Return a good label with some fields changed."""
    made = {"event_id": "c", "model": "m", "event_time": AT, "label": 1, **changes}
    return json.dumps({k: v for k, v in made.items() if v is not ...}).encode("utf-8", "surrogatepass")


def corpus() -> list[Bad]:
    """Return all of it, for both source topics."""
    return [*_inference(), *_labels()]


def _inference() -> Iterator[Bad]:
    deep = event(features=0).replace(b'"features": 0', b'"features": @')
    letters: dict[str, tuple[bytes | None, str]] = {
        "tombstone": (None, "no_value"),
        "nothing": (b"", "not_json"),
        "noise": (bytes(range(256)) * 3, "not_json"),
        "bad UTF-8": (event().replace(b'"m"', b'"\xff\xfe"'), "not_json"),
        "half a surrogate pair": (event(event_id="@").replace(b'"@"', b'"\\ud800"'), "not_json"),
        "truncated": (event()[:40], "not_json"),
        "truncated gzip": (gzip.compress(event() * 20)[:30], "not_json"),
        "two objects": (event() + event(), "not_json"),
        "a list": (b"[1, 2]", "wrong_field"),
        "text": (b'"event"', "wrong_field"),
        "10 MB": (event(features={"x": "y" * (10 * MEGABYTE)}), "too_large"),
        "18 MB": (event(features={"x": "y" * (18 * MEGABYTE)}), "too_large"),
        "depth 10,000 in an array": (deep.replace(b"@", b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"), "too_deep"),
        "depth 10,000 in objects": (deep.replace(b"@", b'{"a":' * 10_000 + b"1" + b"}" * 10_000), "too_deep"),
        "depth 10,000 in a field nobody knows": (event(more=0).replace(b'"more": 0', b'"more": ' + b"[" * 10_000 + b"]" * 10_000), "too_deep"),
        "no model": (event(model=...), "wrong_field"),
        "no id": (event(event_id=...), "wrong_field"),
        "no time": (event(event_time=...), "wrong_field"),
        "no features": (event(features=...), "wrong_field"),
        "features is a list": (event(features=[1]), "wrong_field"),
        "features is text": (event(features="{}"), "wrong_field"),
        "features is null": (event(features=None), "wrong_field"),
        "an id that is a number": (event(event_id=7), "wrong_field"),
        "an empty id": (event(event_id=""), "bad_name"),
        "an id of 10,000 characters": (event(event_id="x" * 10_000), "bad_name"),
        "an id with NUL": (event(event_id="a\x00"), "bad_name"),
        "a model with NUL": (event(model="m\x00"), "bad_name"),
        "a version of 10,000 characters": (event(version="v" * 10_000), "bad_name"),
        "a score that is text": (event(score="0.5"), "wrong_field"),
        "a score that is infinite": (event(score=0).replace(b'"score": 0', b'"score": 1e999'), "wrong_field"),
        "a prediction that is an object": (event(prediction={"a": 1}), "wrong_field"),
        "20,000 classes": (event(probabilities={str(i): 0.1 for i in range(20_000)}), "wrong_field|too_many_entries"),
        "1,000 slices": (event(slice={str(i): "a" for i in range(1_000)}), "wrong_field|too_many_entries"),
        "year 1": (event(event_time="0001-01-01T00:00:00Z"), "bad_time"),
        "year 9999": (event(event_time="9999-12-31T23:59:59Z"), "bad_time"),
        "beyond year 9999": (event(event_time=253_402_300_800_000), "bad_time"),
        "seconds for milliseconds": (event(event_time=AT // 1000), "bad_time"),
        "nanoseconds for milliseconds": (event(event_time=AT * 1_000_000), "bad_time"),
        "a time without zone": (event(event_time="2026-01-01T00:00:00"), "bad_time"),
        "a time that is a truth value": (event(event_time=True), "wrong_field"),
        "a time of 400 digits": (event(event_time=0).replace(b'"event_time": 0', b'"event_time": ' + b"9" * 400), "wrong_field|bad_time|not_json"),
        "next week": (event(event_time=NOW + 7 * DAY_MS), "time_ahead"),
        "year 2100": (event(event_time="2100-01-01T00:00:00Z"), "time_ahead"),
        "long ago": (event(event_time=AT - 100 * DAY_MS), "time_behind"),
        "1971": (event(event_time=31_536_000_000), "time_behind"),
        "an Arrow stream that is none": (b"\xff\xff\xff\xff" + b"\x10\x00\x00\x00" * 40, "not_arrow"),
        "an Arrow stream of a huge length": (b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(64), "not_arrow"),
    }  # fmt: skip
    used: dict[str, bytes] = {
        "NaN": event(features={"x": float("nan"), "c": "a"}),
        "infinity": event(features={"x": float("inf"), "c": "a"}),
        "a NaN score": event(score=float("nan")),
        "1e999": event(features={"x": 0, "c": "a"}).replace(b'"x": 0', b'"x": 1e999'),
        "a number of 400 digits": event(features={"x": 0, "c": "a"}).replace(b'"x": 0', b'"x": ' + b"9" * 400),
        "a number as text": event(features={"x": "0.5", "c": "a"}),
        "wrong types": event(features={"x": [1, {"a": 2}], "c": {"b": 1}}),
        "missing fields": event(features={}),
        "extra fields": event(features={"x": 0.1, "c": "a", **{f"extra{i}": i for i in range(500)}}),
        "5,000 features": event(features={f"f{i}": i for i in range(5_000)}),
        "a feature's name of 10,000 characters": event(features={"x" * 10_000: 1}),
        "a category of half a megabyte": event(features={"x": 0.1, "c": "z" * (MEGABYTE // 2)}),
        "a category with NUL": event(features={"x": 0.1, "c": "\x00"}),
        "a field twice": event().replace(b'"score": 0.5', b'"score": 0.5, "score": 0.25'),
        "an unknown field": event(unknown={"deep": [1, 2, 3]}),
        "an unknown version": event(version="7"),
        "a clock three hours ahead": event(event_time=NOW + 3 * HOUR_MS),
    }
    for name, (value, fate) in letters.items():
        yield Bad(name, "inference-events", value, fate)
    for name, value in used.items():
        yield Bad(name, "inference-events", value, USED)
    odd: tuple[tuple[str, bytes | None, bytes | None, Headers | None, str], ...] = (
        ("nothing at all", None, None, None, "no_value"),
        ("a key that is no text", b"\xff" * 1000, event(), None, USED),
        ("a header that is null", b"k", b"{", [("ce_id", None), ("x", None)], "not_json|wrong_field"),
        ("a header that is no text", b"k", event(event_id=...), [("ce_id", b"\xff")], "not_json"),
        ("10,000 headers", b"k", event(), [(f"h{i}", b"x") for i in range(10_000)], "too_many_headers"),
        (
            "headers that are named like ours",
            b"k",
            b"no",
            [("__connect.errors.topic", b"x"), ("driftline.letter.id", b"x"), ("ce_id", b"x")],
            "not_json",
        ),
        ("an envelope that is none", b"k", b"{}", STRUCTURED, "wrong_field"),
        ("an envelope of noise", b"k", b'{"data_base64": "!!!"}', STRUCTURED, "wrong_field"),
    )
    for name, key, value, headers, fate in odd:
        yield Bad(name, "inference-events", value, fate, key, headers)


def _labels() -> Iterator[Bad]:
    letters: dict[str, tuple[bytes | None, str]] = {
        "tombstone": (None, "no_value"),
        "nothing": (b"", "not_json"),
        "an object for a label": (label(label={"a": 1}), "wrong_field"),
        "no label": (label(label=...), "wrong_field"),
        "a NaN label": (label(label=float("nan")), "not_json"),
        "a label with NUL": (label(label="\x00"), "bad_name"),
        "an id with NUL": (label(event_id="\x00"), "bad_name"),
        "10 MB": (label(label="y" * (10 * MEGABYTE)), "too_large"),
        "next week": (label(event_time=NOW + 7 * DAY_MS), "time_ahead"),
        "year 1": (label(event_time="0001-01-01T00:00:00Z"), "bad_time"),
    }
    for name, (value, fate) in letters.items():
        yield Bad(f"label: {name}", "label-events", value, fate)
    yield Bad("label: nothing at all", "label-events", None, "no_value", None)
    yield Bad("label: a header that is null", "label-events", b"{", "not_json", b"k", [("h", None)])
    yield Bad("label: a kind the model does not have", "label-events", label(event_id="odd", label="maybe"), USED)
    yield Bad("label: of nobody", "label-events", label(event_id="nobody", model="nobody"), USED)
    yield Bad("label: of 1971", "label-events", label(event_id="old", event_time=31_536_000_000), USED)
