"""What is read by a template is what ``TypedDecoder`` reads of the same bytes; whatever is odd is left to it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from driftline.contracts import template_reading, template_scan
from driftline.contracts.alike_decoding import AlikeDecoder, compiling
from driftline.contracts.alike_events import AlikeEvents, Column
from driftline.contracts.errors import DecodeError
from driftline.contracts.events import MAX_EVENT_BYTES, decode_inference
from driftline.contracts.json_values import FeatureDecoder
from driftline.contracts.templates import Kind, template_of
from driftline.contracts.times import EARLIEST_MS, LATEST_MS
from driftline.contracts.typed_events import Shape, TypedDecoder, TypedEvent

NOW = 1_362_114_900_000
SHAPE = Shape(("x", "y"), ("c", "d"))
OTHER = Shape(("x",), ())
SHAPES: dict[str, Shape | None] = {"m": SHAPE, "n": OTHER}
UNREAD: dict[str, Shape | None] = {"m": None, "n": None}

Members = list[tuple[str, str]]


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> None:
    assert compiling.wait()


# ---- events as texts, so that they may be anything


@dataclass(frozen=True)
class Style:
    """How a producer sets its spaces."""

    opened: str = ""
    colon: str = ":"
    comma: str = ","
    closed: str = ""
    before: str = ""
    after: str = ""

    def object(self, members: Members) -> str:
        inner = self.comma.join(f'"{name}"{self.colon}{value}' for name, value in members)
        return "{" + self.opened + inner + self.closed + "}" if members else "{}"


STYLES = [
    Style(),
    Style(colon=": ", comma=", "),
    Style("\n  ", ": ", ",\n  ", "\n"),
    Style(" ", " :\t", " , ", "\r\n", " \n", " "),
    Style(after="\n"),
]


@dataclass(frozen=True)
class Producer:
    """Who writes all its events alike."""

    model: str
    style: Style
    names: Sequence[str]
    features: Sequence[str]
    extra: Members

    def event(self, **values: str) -> bytes:
        """Write an event of the usual values, or of those given: JSON texts by name, features as ``f_x``."""
        texts = {**USUAL, "model": f'"{self.model}"', **values}
        texts["features"] = values.get("features", self.style.object([(name, texts[f"f_{name}"]) for name in self.features]))
        members = [(name, texts[name]) for name in self.names] + [(name, values.get(name, value)) for name, value in self.extra]
        return (self.style.before + self.style.object(members) + self.style.after).encode("utf-8", "surrogatepass")


USUAL = {
    "event_id": '"event-1"', "version": '"1"', "event_time": str(NOW), "prediction": "1", "score": "0.25", "slice": '{"region":"EU","shop":"7"}',
    "probabilities": "null", "f_x": "1.5", "f_y": "-7", "f_c": '"FR"', "f_d": "true",
}  # fmt: skip
SIMPLE = Producer("n", Style(), ("event_id", "model", "event_time", "features"), ("x",), [])
FULL = Producer("m", Style(), ("event_id", "model", "version", "event_time", "features", "prediction", "score", "slice"), ("x", "y", "c", "d"), [])
ALL = Producer("m", Style(), (*FULL.names, "probabilities"), FULL.features, [("trace", "false"), ("host", '"h"'), ("é", "1")])
EXTRAS = ['"a1b2"', "7", "0.5", "true", "null", '{"a":"b","n":{"z":1}}', "{}"]


@st.composite
def producers(draw: st.DrawFn) -> Producer:
    """One that writes what has a template."""
    model = draw(st.sampled_from("mmmn"))
    optional = draw(st.lists(st.sampled_from(["version", "prediction", "score", "slice", "probabilities"]), unique=True))
    names = draw(st.permutations(["event_id", "model", "event_time", "features", *optional]))
    features = draw(st.permutations(["x", "y", "c", "d"] if model == "m" else ["x"]))
    extra = draw(
        st.lists(st.tuples(st.sampled_from(["trace", "host", "é", "Event_id"]), st.sampled_from(EXTRAS)), max_size=2, unique_by=lambda e: e[0])
    )
    return Producer(model, draw(st.sampled_from(STYLES)), names, features, extra)


WORDS = [
    "", "x" * 256, "x" * 257, "é" * 256, "é" * 257, 'a"b', "a\\b", "a\x00b", "\x7f", "\x1f", "\t", "naïve", "日本", "😀", "/",
    "\x80", "a" * 7, "a" * 8, "a" * 9
]  # fmt: skip
words = st.text(max_size=6) | st.text(st.characters(codec="ascii"), max_size=20) | st.sampled_from(WORDS)
strings = st.builds(lambda word, ascii_only: json.dumps(word, ensure_ascii=ascii_only), words, st.booleans()) | words.map('"{}"'.format)
NUMBERS = [
    "0", "-0", "-0.0", "0.0", "1e5", "1E+5", "-1e-5", "1e999", "-1e999", "1e-999", "0e999", "00", "01", "+1", "1.", ".5", "-", "1e", "--1", "0x1",
    "NaN", "Infinity", "-Infinity", "9" * 19, "9" * 20, "9" * 400, "-" + "9" * 400, "0." + "0" * 30 + "12", "0." + "3" * 40, "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616", "9007199254740993", "1e23",
    "123456789012345678e-5", "2.2250738585072014e-308", "5e-324", "1.7976931348623157e308", "1.7976931348623159e308", "1_0", "1 0", "1 ",
]  # fmt: skip
numbers = st.floats().map(repr) | st.integers().map(str) | st.sampled_from(NUMBERS)
OTHERS = [
    "null", "true", "false", "nul", "nulll", "null null", "tru", "falsee", "True", "None", "", "{}", "[]", '{"a":1}', "[1,2]",
    "[" * 3_000, '{"a":' * 3_000,
    '"', '"a', "'a'", '"a"b', '"\\u0000"', '"\\ud800"', '"\\x"', "\x00", "1,", "1}", '1,"x":2', '1},"features":{"x":1',
]  # fmt: skip
others = st.sampled_from(OTHERS)
values = numbers | strings | others
TIMES = [
    str(EARLIEST_MS), str(EARLIEST_MS - 1), str(LATEST_MS), str(LATEST_MS - 1), f"{NOW}.0", f"{NOW}.5", "1.3621149e12", f"0{NOW}", f"-{NOW}",
    f"+{NOW}", "0", '"2013-03-01T05:15:00Z"', '"2013-03-01T05:15:00+01:00"', '"2013-03-01T05:15:00"', '"soon"', f'"{NOW}"', "9" * 15, "9" * 16,
    "9" * 60, "null", f"{NOW:020d}", "1" + "0" * 12, "true",
]  # fmt: skip
times = st.integers(EARLIEST_MS, LATEST_MS - 1).map(str) | st.sampled_from(TIMES)
slices = st.builds(lambda a, b: f'{{"region":{a},"shop":{b}}}', strings | values, strings) | values
ODD: dict[str, st.SearchStrategy[str]] = {
    "event_id": strings | strings | values,
    "version": strings | values,
    "event_time": times | values,
    "prediction": values,
    "score": numbers | values,
    "slice": slices,
    "probabilities": st.sampled_from(["{}", '{"a":0.5}', "{", "null"]) | values,
    "model": st.sampled_from(['"m"', '"n"', '"o"', '"m\\u0000"', "1"]),
    "f_x": numbers | values,
    "f_y": numbers,
    "f_c": strings | values,
    "f_d": values,
    "features": others,
    "trace": values,
    "host": values,
    "é": strings,
}


@st.composite
def mutated(draw: st.DrawFn, raw: bytes) -> bytes:
    """The bytes of an event with a flaw."""
    at = draw(st.integers(0, len(raw) - 1))
    byte = draw(st.binary(min_size=1, max_size=1) | st.sampled_from([b"\x00", b'"', b"\\", b"0", b" ", b",", b"}", b"\xff", b"\xc3", b"e", b"\x1f"]))
    how = draw(st.sampled_from(["cut", "changed", "inserted", "deleted", "followed", "twice", "preceded"]))
    return {
        "cut": raw[:at],
        "changed": raw[:at] + byte + raw[at + 1 :],
        "inserted": raw[:at] + byte + raw[at:],
        "deleted": raw[:at] + raw[at + 1 :],
        "followed": raw + draw(st.binary(min_size=1, max_size=9) | st.just(b" \n")),
        "twice": raw + raw,
        "preceded": byte + raw,
    }[how]


@st.composite
def events(draw: st.DrawFn, producer: Producer) -> bytes | None:
    """An event of a producer: usual, odd in one value or more, of a field named twice, or broken."""
    how = draw(st.sampled_from(["usual", "usual", "odd", "odd", "odd", "twice", "broken", "none"]))
    ids = json.dumps(draw(st.text(st.characters(codec="ascii", exclude_characters='\x00"\\', min_codepoint=0x20), min_size=1, max_size=40)))
    usual = {
        "event_id": ids,
        "f_x": repr(draw(st.floats(-1e9, 1e9))),
        "f_y": draw(st.sampled_from(["0", "null", "12"])),
        "event_time": str(NOW + len(ids)),
    }
    if how == "odd":
        known = [*producer.names, *(f"f_{name}" for name in producer.features), *(name for name, _ in producer.extra if name in ODD)]
        names = draw(st.lists(st.sampled_from([name for name in known if name in ODD]), min_size=1, max_size=2))
        return producer.event(**usual | {name: draw(ODD[name]) for name in names})
    if how == "twice":
        name = draw(st.sampled_from(list(producer.names)))
        twice = Producer(producer.model, producer.style, (*producer.names, name), producer.features, producer.extra)
        return twice.event(**usual)
    raw = producer.event(**usual)
    if how == "broken":
        return draw(mutated(raw))
    return None if how == "none" and draw(st.booleans()) else raw


@dataclass(frozen=True)
class Log:
    """Producers, and what is read of theirs."""

    producers: Sequence[Producer]
    raws: Sequence[bytes | None]


@st.composite
def logs(draw: st.DrawFn) -> Log:
    who = draw(st.lists(producers(), min_size=1, max_size=3))
    raws: list[bytes | None] = draw(st.lists(st.sampled_from(who).flatmap(events), max_size=10))
    for one in who:  # whatever else there is, of each there is one event that its template fits
        raws.insert(draw(st.integers(0, len(raws))), one.event())
    return Log(who, raws)


# ---- what is read


def taught(producers: Sequence[Producer], shapes: dict[str, Shape | None] = SHAPES) -> AlikeDecoder:
    """A decoder that knows how each producer writes."""
    decoder = AlikeDecoder(learned_after=1, few=1)
    for model, shape in shapes.items():
        decoder.expect(model, shape)
    for producer in producers:
        decoder.decode([producer.event()])
    return decoder


def exact(value: object) -> tuple[type, str]:
    """A value with its type, and minus zero told from zero."""
    return type(value), repr(value)


def of_struct(event: TypedEvent) -> list[object]:
    features = msgspec.structs.astuple(event.features) if event.shape is not None else ()
    return [event.model, event.version, event.event_id, event.event_time, *map(exact, (event.prediction, event.score, *features))]


def value_of(column: Column | None, row: int) -> object:
    if column is None:
        return None
    if column.codes is not None:
        return column.values[column.codes[row]]
    return None if column.nulls is not None and column.nulls[row] else float(column.numbers[row])


def of_row(events: AlikeEvents, row: int) -> list[object]:
    known = events.shape
    names = () if known is None else (*known.numeric, *known.categorical)
    assert list(events.features) == list(names)
    values = (value_of(column, row) for column in (events.prediction, events.score, *events.features.values()))
    return [events.model, events.versions[events.version_codes[row]], events.event_id(row), int(events.times[row]), *map(exact, values)]


def one_by_one(raws: Sequence[bytes | None], shapes: dict[str, Shape | None]) -> list[TypedEvent | None]:
    decoder = TypedDecoder()
    for model, shape in shapes.items():
        decoder.expect(model, shape)
    return [decoder.decode([raw])[0][0] for raw in raws]


def read_alike(decoder: AlikeDecoder, raws: Sequence[bytes | None], shapes: dict[str, Shape | None] = SHAPES) -> set[int]:
    """Compare what is read with what is read one by one; return the places of what was read by a template."""
    contents, unfit = decoder.decode(raws)
    expected = one_by_one(raws, shapes)
    alike = {i for i, content in enumerate(contents) if isinstance(content, AlikeEvents)}
    assert len(contents) == len(raws)
    assert unfit == [i for i, event in enumerate(expected) if event is None]
    for i, (content, event, raw) in enumerate(zip(contents, expected, raws, strict=True)):
        if isinstance(content, AlikeEvents):
            assert event is not None, raw
            (row,) = content.rows(np.array([i])).tolist()
            assert content.at[row] == i
            read = of_row(content, row)
            wanted = of_struct(event)
            # A template that leaves the features unread has no columns for prediction and score that anybody reads, but they are read all the same.
            assert read == wanted, raw
            assert not event.probabilities
        else:
            assert (content and of_struct(content)) == (event and of_struct(event)), raw
    for one in {id(content): content for content in contents if isinstance(content, AlikeEvents)}.values():
        assert (np.diff(one.at) > 0).all()
        assert set(one.at.tolist()) == {i for i in alike if contents[i] is one}
        assert {*one.versions_of(one.at)} == {one.versions[code] for code in one.version_codes.tolist()}
    return alike


@pytest.mark.parametrize("shapes", [SHAPES, UNREAD], ids=["read", "unread"])
@settings(max_examples=200)
@given(log=logs())
def test_whatever_a_template_reads_is_what_is_read_one_by_one(shapes: dict[str, Shape | None], log: Log) -> None:
    decoder = taught(log.producers, shapes)
    usual = {producer.event() for producer in log.producers}
    for _ in range(2):  # the second time more templates are known
        alike = read_alike(decoder, log.raws, shapes)
        assert {i for i, raw in enumerate(log.raws) if raw in usual} <= alike


@settings(max_examples=50)
@given(logs())
def test_whatever_a_template_reads_is_what_the_tolerant_ways_read(log: Log) -> None:
    contents, _ = taught(log.producers).decode(log.raws)
    decoders = {model: FeatureDecoder(shape.numeric, shape.categorical) for model, shape in SHAPES.items() if shape is not None}
    for i, (content, raw) in enumerate(zip(contents, log.raws, strict=True)):
        if isinstance(content, AlikeEvents):
            event = decode_inference(raw)
            batch = decoders[event.model].decode([event.features])
            values = (event.prediction, event.score, *(column[0] for column in batch.columns.values()))
            assert (batch.bad, batch.missing, batch.extra) == ([], {}, {})
            expected = [event.model, event.version, event.event_id, event.event_time, *map(exact, values)]
            assert of_row(content, int(content.rows(np.array([i]))[0])) == expected


@settings(max_examples=50)
@given(producers())
def test_usual_events_are_read_by_their_producers_template(producer: Producer) -> None:
    raws = [producer.event(event_id=f'"{i}"', f_x=repr(i / 7), f_c=f'"{i % 3}"') for i in range(50)]
    for shapes in (SHAPES, UNREAD):
        decoder = taught([producer], shapes)
        assert read_alike(decoder, raws, shapes) == set(range(50))


@pytest.mark.parametrize("shapes", [SHAPES, UNREAD], ids=["read", "unread"])
@pytest.mark.parametrize("producer", [SIMPLE, FULL], ids=["simple", "full"])
def test_an_event_that_is_cut_anywhere_is_read_by_no_template(producer: Producer, shapes: dict[str, Shape | None]) -> None:
    raw = producer.event()
    cut = [raw[:n] for n in range(1, len(raw))]
    decoder = taught([producer], shapes)
    assert read_alike(decoder, cut, shapes) == set()
    assert read_alike(decoder, [raw, *cut, raw], shapes) == {0, len(cut) + 1}
    for n in range(1, len(raw)):  # the last of all bytes that are read
        assert read_alike(decoder, [raw, raw[:n]], shapes) == {0}


EVERY = [*NUMBERS, *OTHERS, *TIMES, *(json.dumps(word, ensure_ascii=plain) for word in WORDS for plain in (True, False)), *map('"{}"'.format, WORDS)]


@pytest.mark.parametrize("shapes", [SHAPES, UNREAD], ids=["read", "unread"])
@pytest.mark.parametrize("name", ODD)
def test_whatever_stands_for_a_value_is_read_alike_or_left(name: str, shapes: dict[str, Shape | None]) -> None:
    raws = [ALL.event(**{name: text if name != "slice" else f'{{"region":{text},"shop":"7"}}'}) for text in EVERY]
    alike = read_alike(taught([ALL], shapes), raws, shapes)
    assert len(alike) < len(raws)
    # Whatever has a slot is read by the template where it is usual.
    assert (name in {"model", "features", "probabilities"}) or len(alike) >= 3


@pytest.mark.parametrize("producer", [SIMPLE, FULL, ALL], ids=["simple", "full", "all"])
def test_an_event_with_any_byte_another_inserted_or_deleted_is_read_alike_or_left(producer: Producer) -> None:
    raw = producer.event()
    bytes_ = [
        b"\x00",
        b"\t",
        b" ",
        b'"',
        b"\\",
        b"-",
        b".",
        b"0",
        b"1",
        b"e",
        b",",
        b":",
        b"}",
        b"]",
        b"{",
        b"n",
        b"\x1f",
        b"\x7f",
        b"\x80",
        b"\xc3",
        b"\xff",
    ]
    decoder = taught([producer])
    for changed in (
        [raw[:i] + byte + raw[i + 1 :] for i in range(len(raw)) for byte in bytes_],
        [raw[:i] + byte + raw[i:] for i in range(len(raw) + 1) for byte in bytes_],
        [raw[:i] + raw[i + n :] for i in range(len(raw)) for n in (1, 2, 8)],
    ):
        assert len(read_alike(decoder, changed)) > 10


@pytest.mark.parametrize("producer", [SIMPLE, FULL], ids=["simple", "full"])
@pytest.mark.parametrize("first", [None, b"", b" " * (MAX_EVENT_BYTES + 1)], ids=["none", "empty", "too large"])
def test_what_is_empty_is_no_event_wherever_it_stands(producer: Producer, first: bytes | None) -> None:
    raw = producer.event()
    for raws, alike in (
        ([first], set()),
        ([first, first], set()),
        ([first, b"junk"], set()),
        ([first, raw], {1}),
        ([first, b"junk", raw, first], {2}),
        ([raw, first], {0}),
        ([b"junk", first, raw], {2}),
    ):
        assert read_alike(taught([producer]), raws) == alike


def test_an_event_of_the_most_bytes_is_read_and_one_of_more_is_not() -> None:
    producer = Producer("m", Style(), ("event_id", "model", "event_time", "features"), ("x", "y", "c", "d"), [("trace", '"a"')])
    size = len(producer.event(trace='""'))
    raws = [producer.event(trace=f'"{"a" * (MAX_EVENT_BYTES - size + more)}"') for more in (0, 1)]
    assert read_alike(taught([producer]), [*raws, producer.event()]) == {0, 2}


@pytest.mark.parametrize("key", [b'"\xff":1,', b'"\xed\xa0\x80":1,', b'"\xc3":{"a":1},', b'"a":{"\xff":1},', b'"a":"\xff",'])
def test_a_name_or_a_value_that_is_no_text_stops_nobody(key: bytes) -> None:
    # Nobody reads an unknown field, so that it may hold what is no text.
    raw = FULL.event().replace(b"{", b"{" + key, 1)
    decoder = taught([FULL])
    for _ in range(2):
        read_alike(decoder, [raw, FULL.event()])
    assert read_alike(decoder, [FULL.event()]) == {0}


def test_two_events_or_more_in_one_value_and_runs_over_its_end_are_read_alike() -> None:
    simple = SIMPLE.event()
    start, end = simple[: simple.index(b"1.5")], simple[simple.index(b"1.5") :]
    # What is cut at a value goes on in the next one.
    raws = [simple + simple, start, end, start + b"1", b".5}}", simple[:14], simple[14:], simple, simple[:-1], b"}", simple[:-2], b"}}"]
    assert read_alike(taught([SIMPLE]), raws) == {7}


@given(st.lists(st.sampled_from(['"1"', '"2"', '"ü"', '"x"', '""', "1", "null", '"' + "v" * 257 + '"']), min_size=1, max_size=40), st.data())
def test_versions_and_categories_mixed_are_told_apart(versions: list[str], data: st.DataObject) -> None:
    categories = st.sampled_from(
        ['"a"', '"b"', "1", "1.0", "1.00", "true", "null", '"1"', "-0", "0", "-0.0", "[1]", "nul", '"\xe9"', "1e400", "9223372036854775808"]
    )
    raws = [FULL.event(version=version, f_c=data.draw(categories), f_d=data.draw(categories)) for version in versions]
    read_alike(taught([FULL]), raws)


@example([b'{"event_id":"a"}'])
@given(st.lists(st.binary(max_size=60)))
def test_any_bytes_may_stand_between_events(junk: list[bytes]) -> None:
    raws = [raw for one in junk for raw in (one, SIMPLE.event(), FULL.event())]
    assert read_alike(taught([SIMPLE, FULL]), raws) == {i for i in range(len(raws)) if i % 3}


# ---- templates


ONE = '{"event_id":"a","model":"m","event_time":1362114900000,"features":{"x":7}%s}'


@pytest.mark.parametrize(
    ("rest", "kinds"),
    [
        ("", ["ID", "TIME", "NUMBER"]),
        (',"score":1', ["ID", "TIME", "NUMBER", "NUMBER"]),
        (',"prediction":"a","score":null,"version":"1"', ["ID", "TIME", "NUMBER", "TOKEN", "NUMBER", "TOKEN"]),
        (',"slice":{"a":"b"},"z":{"y":{"event_id":1}}', ["ID", "TIME", "NUMBER", "TOKEN", "SKIPPED"]),
        (',"slice":null,"probabilities":null', ["ID", "TIME", "NUMBER"]),
        (',"slice":{},"probabilities":{},"z":{}', ["ID", "TIME", "NUMBER"]),
        (',"probabilities":{"a":1.0}', None),
        (',"z":[1]', None),
        (',"z":"\\n"', None),
        (',"event_id":"a"', None),
        (',"z":1,"z":2', None),
        (',"z":' + '{"z":' * 7 + "1" + "}" * 7, ["ID", "TIME", "NUMBER", "SKIPPED"]),
        (',"z":' + '{"z":' * 9 + "1" + "}" * 9, None),
        ("".join(f',"z{i}":1' for i in range(5_000)), None),
    ],
)
def test_a_template_has_a_slot_for_each_value_or_there_is_none(rest: str, kinds: list[str] | None) -> None:
    raw = (ONE % rest).encode()
    found = template_of(raw, "m", Shape(("x",), ()))
    assert (found and [slot.kind.name for slot in found.slots]) == kinds
    if found is not None:
        assert len(found.literals) == len(found.slots) + 1
        assert [slot.path for slot in found.of(Kind.ID)] == [("event_id",)]


def test_events_of_another_shape_have_no_template_of_this_one() -> None:
    raw = (ONE % "").encode()
    assert template_of(raw, "m", Shape(("x", "y"), ())) is None
    assert template_of(raw, "m", Shape((), ())) is None
    assert template_of(raw, "m", Shape((), ("x",))) is not None
    assert template_of(raw, "m", None) is not None


@given(
    st.dictionaries(st.text(max_size=4), st.none() | st.booleans() | st.floats(-9, 9) | st.text(max_size=4), max_size=5),
    st.booleans(),
    st.sampled_from([None, 1, 2]),
)
def test_literals_and_values_together_are_the_event(extra: dict[str, object], ascii_only: bool, indent: int | None) -> None:
    content = {**extra, "event_id": "e", "model": "m", "event_time": NOW, "features": {"x": 1}}
    raw = json.dumps(content, ensure_ascii=ascii_only, indent=indent).encode()
    found = template_of(raw, "m", None)
    if found is None:
        assert b"\\" in raw or {"slice", "probabilities", "score", "version"} & extra.keys()
        return
    at = 0
    for literal in found.literals:
        at = raw.index(literal, at) + len(literal)
    assert at == len(raw)
    assert raw.startswith(found.literals[0])


def test_a_shape_that_changes_has_no_old_template() -> None:
    decoder = taught([FULL, SIMPLE])
    raws = [FULL.event(), SIMPLE.event()]
    assert read_alike(decoder, raws) == {0, 1}
    decoder.expect("m", None)
    changed = {**SHAPES, "m": None}
    assert read_alike(decoder, raws, changed) == {1}
    assert read_alike(decoder, raws, changed) == {0, 1}
    decoder.expect("m", SHAPE)
    assert read_alike(decoder, raws) == {1}


def test_few_records_and_few_structs_are_not_worth_a_template() -> None:
    decoder = AlikeDecoder(learned_after=10, few=4)
    decoder.expect("m", SHAPE)
    known: dict[str, Shape | None] = {"m": SHAPE}
    raw = FULL.event()
    assert read_alike(decoder, [raw] * 9, known) == set()
    assert read_alike(decoder, [raw] * 9, known) == set()  # these are the ten from which it is learned
    assert read_alike(decoder, [raw] * 4, known) == {0, 1, 2, 3}
    assert read_alike(decoder, [raw] * 3, known) == set()


def test_of_too_many_templates_those_in_use_stay() -> None:
    many = [Producer("m", Style(after=" " * n), FULL.names, FULL.features, []) for n in range(30)]
    decoder = taught(many)
    assert read_alike(decoder, [one.event() for one in many[14:]]) == set(range(16))
    for one in many[:10]:
        decoder.decode([many[20].event()])
        decoder.decode([one.event()])
    assert read_alike(decoder, [many[20].event()]) == {0}


# ---- what it costs


def test_nothing_more_is_compiled_for_other_records() -> None:
    functions: list[Any] = [template_scan.scan, template_scan.gather, template_scan.code]
    decoder = taught([FULL, SIMPLE])
    for raws in ([FULL.event()], [FULL.event(), b"junk", FULL.event(), SIMPLE.event()], [FULL.event(version="1"), FULL.event(), FULL.event(f_c="[")]):
        read_alike(decoder, raws)
    assert [len(function.signatures) for function in functions] == [1, 1, 1]


def test_values_wrong_in_many_slots_do_not_have_the_records_read_over_and_over(monkeypatch: pytest.MonkeyPatch) -> None:
    names = tuple(f"c{i}" for i in range(60))
    producer = Producer("m", Style(), ("event_id", "model", "event_time", "features"), names, [])

    def event(wrong: int) -> bytes:
        return producer.event(**{f"f_{name}": "nul" if i == wrong else "null" for i, name in enumerate(names)})

    known: dict[str, Shape | None] = {"m": Shape((), names)}
    decoder = AlikeDecoder(learned_after=1, few=1)
    decoder.expect("m", known["m"])
    decoder.decode([event(-1)])
    scans = Counter[str]()

    def scan(*given: Any) -> int:
        scans["scan"] += 1
        return template_scan.scan(*given)

    monkeypatch.setattr(template_reading, "scan", scan)
    assert read_alike(decoder, [event(i) for i in range(-1, 60)], known) == {0}
    assert 0 < scans["scan"] <= 3


def _placed(text: bytes, seed: int) -> int:
    """Where ``template_scan.code`` looks for a text first, among 512."""
    found = 0xCBF29CE484222325
    for byte in text:
        found = (found ^ byte) * seed & (1 << 64) - 1
    return ((found ^ found >> 32) * 0x9E3779B97F4A7C15 & (1 << 64) - 1) >> 33 & 511


def test_texts_chosen_to_meet_in_a_hash_table_meet_in_no_other_processes() -> None:
    ours = int(template_reading._SEED)
    texts = (b'"%06d"' % i for i in range(1_000_000))
    meeting = [text for text, _ in zip((text for text in texts if _placed(text, ours) == 7), range(64), strict=False)]
    assert len(meeting) == 64
    assert len({_placed(text, ours ^ 1 << 40) for text in meeting}) > 40

    decoder = taught([FULL])
    raws = [FULL.event(f_c=text.decode()) for text in meeting * 2]
    assert len(read_alike(decoder, raws)) == 128  # they are told apart all the same


@pytest.mark.parametrize(("length", "read"), [(1_000, True), (1_100, False)])
def test_a_long_text_is_left_for_the_other_way(length: int, *, read: bool) -> None:
    decoder = taught([FULL])
    text = '"' + "y" * length + '"'
    assert read_alike(decoder, [FULL.event(f_c=text)] * 2) == ({0, 1} if read else set())


def test_what_the_join_reads_of_an_event_is_no_more_than_its_envelope() -> None:
    producer = Producer("m", Style(), ("event_id", "model", "event_time", "features"), ("x", "q"), [])
    raw = producer.event(f_x='"any"', f_q="null")
    decoder = taught([], UNREAD)
    decoder.decode([raw])
    (events,) = {id(c): c for c in decoder.decode([raw, producer.event(f_x="1", f_q="true")])[0]}.values()
    assert isinstance(events, AlikeEvents)
    assert (len(events), events.features, events.shape) == (2, {}, None)
    with pytest.raises(DecodeError):
        decode_inference(raw[:-1])
