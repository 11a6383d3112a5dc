from __future__ import annotations

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contracts.test_events import json_values, texts

from driftline.contracts.errors import DecodeError
from driftline.contracts.json_values import MISSING, FeatureDecoder, decode_features

NUMERIC = ["distance", "dep delay (min)", "class", "f1"]
CATEGORICAL = ["carrier", "Start-Flughafen", ""]
NAMES = [*NUMERIC, *CATEGORICAL]
rows = st.lists(st.dictionaries(st.sampled_from(NAMES) | texts, json_values, max_size=9), max_size=6)


def same(a: object, b: object) -> bool:
    return type(a) is type(b) and (a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)))


@given(rows, st.booleans())
def test_decoding_fast_gives_what_reading_each_as_a_dict_gives(objects: list[dict[str, object]], compact: bool) -> None:
    raws = [json.dumps(o, separators=(",", ":") if compact else None).encode() for o in objects]
    batch = FeatureDecoder(NUMERIC, CATEGORICAL).decode(raws)
    assert list(batch.columns) == NAMES
    assert batch.bad == []
    for name, column in batch.columns.items():
        for o, value in zip(objects, column, strict=True):
            wanted = o.get(name, MISSING)
            if type(wanted) is int and (name in NUMERIC or not -(2**63) <= wanted < 2**63):
                try:
                    wanted = float(wanted)
                except OverflowError:
                    wanted = math.copysign(math.inf, wanted)
            assert same(value, wanted) or value == wanted
    missing = {i: sum(name not in o for name in NAMES) for i, o in enumerate(objects)}
    extra = {i: sum(name not in NAMES for name in o) for i, o in enumerate(objects)}
    assert batch.missing == {i: n for i, n in missing.items() if n}
    assert batch.extra == {i: n for i, n in extra.items() if n}


@given(st.lists(st.binary(max_size=30) | rows.map(lambda r: json.dumps(r[0] if r else {}).encode()), max_size=6))
def test_each_row_is_in_the_columns_or_named_as_bad(raws: list[bytes]) -> None:
    for decoder in (FeatureDecoder(NUMERIC, CATEGORICAL), FeatureDecoder(["f1"], [])):
        batch = decoder.decode(raws)
        assert {len(c) for c in batch.columns.values()} <= {len(raws) - len(batch.bad)}
        assert batch.bad == sorted(set(batch.bad))


@given(rows, rows)
def test_what_a_row_gives_does_not_depend_on_its_neighbours(left: list[dict[str, object]], right: list[dict[str, object]]) -> None:
    decoder = FeatureDecoder(NUMERIC, CATEGORICAL)
    a, b = (decoder.decode([json.dumps(o).encode() for o in part]) for part in (left, right))
    both = decoder.decode([json.dumps(o).encode() for o in (*left, *right)])
    assert both.columns == {name: a.columns[name] + b.columns[name] for name in NAMES}
    shift = len(left)
    assert both.missing == a.missing | {i + shift: n for i, n in b.missing.items()}
    assert both.extra == a.extra | {i + shift: n for i, n in b.extra.items()}


def test_a_raw_field_of_an_event_is_read_as_bytes_are() -> None:
    assert FeatureDecoder(["x"], []).decode([msgspec.Raw(b'{"x": 1}'), b'{"x": 2}']).columns == {"x": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1" + b"0" * 30, 1e30),
        (b"true", True),
        (b'"12"', "12"),
        (b"null", None),
        (b"[1]", [1]),
        (b'{"a":1}', {"a": 1}),
        (b"1e999", math.inf),
        (b"-1e999", -math.inf),
        (b"NaN", math.nan),
        (b"-Infinity", -math.inf),
        (b"9" * 400, math.inf),
        (b"-" + b"9" * 5000, -math.inf),
        (b"9007199254740993", 9007199254740992.0),
    ],
)
def test_hostile_values_come_out_as_they_are(text: bytes, value: object) -> None:
    batch = FeatureDecoder(["x", "y"], []).decode([b'{"x":' + text + b',"y":1}'])
    assert batch.bad == []
    assert same(batch.columns["x"][0], value)
    assert batch.columns["y"] == [1.0]
    as_category = FeatureDecoder(["y"], ["x"]).decode([b'{"x":' + text + b',"y":1}']).columns["x"][0]
    for found in (as_category, decode_features(b'{"x":' + text + b"}")["x"]):
        assert same(found, value) or text == b"9007199254740993"


@pytest.mark.parametrize("raw", [b"", b"[]", b"1", b"null", b'{"x":"\xff"}', b'{"x":"\\ud800"}', b'{"\\ud800":NaN}', b'{"x":01}', b'{"x":' * 100_000])
def test_what_can_not_be_read_is_bad(raw: bytes) -> None:
    batch = FeatureDecoder(["x"], []).decode([b'{"x":1}', raw, b'{"x":3}'])
    assert (batch.bad, batch.columns) == ([1], {"x": [1.0, 3.0]})
    with pytest.raises(DecodeError):
        decode_features(raw)


def test_fields_beyond_the_columns_are_counted_however_they_are_written() -> None:
    decoder = FeatureDecoder(["x"], ["c"])
    for raw, extra in (
        (b'{"x":1,"c":"a","e":1}', 1),
        (b'{"x" : 1, "c" : "a"}', 0),
        (b'{"x" : 1, "c" : "a", "e" :{"f":1}}', 1),
        (rb'{"x":1,"c":"a\":b"}', 0),
        (b'{"x":1,"c":"a","\xff":"b"}', 1),
        (b'{"x":1,"c":"a","x":2}', 0),
    ):
        assert decoder.decode([raw]).extra == ({0: extra} if extra else {})


def test_a_field_beyond_the_columns_whose_name_is_no_text_harms_nobody() -> None:
    decoder = FeatureDecoder(["x"], [])
    for raw in (b'{"x":1,"\\ud800":1}', b'{"x" : 1, "\\ud800" : 1}', b'{"x" : 1, "\xff" : 1}'):
        batch = decoder.decode([raw, b'{"x":2}'])
        assert (batch.bad, batch.columns["x"]) in (([], [1.0, 2.0]), ([0], [2.0]))
        assert all(n > 0 for n in batch.extra.values())


def test_a_name_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="twice"):
        FeatureDecoder(["x"], ["x"])


def test_thousands_of_features_are_no_trouble() -> None:
    names = [f"n{i}" for i in range(3000)]
    batch = FeatureDecoder(names, []).decode([json.dumps(dict.fromkeys(names, 1)).encode()])
    assert (len(batch.columns), batch.missing, batch.extra) == (3000, {}, {})
