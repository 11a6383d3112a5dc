from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from driftline.contracts.deadletters import ATTEMPT, CUT_BYTES, Letter, dead_letter, open_letter
from driftline.contracts.errors import DecodeError

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=9) | st.sampled_from([
    "ce_id", "__connect.errors.topic", "driftline.letter.id", "driftline.letter.headers", "driftline.error.code", ATTEMPT,
])  # fmt: skip
headers = st.lists(st.tuples(names, st.none() | st.binary(max_size=9)), max_size=6)
contents = st.none() | st.binary(max_size=50)


def buried(key: bytes | None, value: bytes | None, came_with: list[tuple[str, bytes | None]], *, offset: int = 7, most: int = 1 << 20) -> Letter:
    error = DecodeError("half \ud800 a pair", code="not_json")
    return dead_letter(key, value, came_with, topic="a:b-c", partition=3, offset=offset, stage="join", error=error, most=most)


@given(contents, contents, headers)
def test_a_record_comes_out_of_its_letter_as_it_went_in(key: bytes | None, value: bytes | None, came_with: list[tuple[str, bytes | None]]) -> None:
    letter = buried(key, value, came_with)
    assert letter.headers[: len(came_with)] == [(name, content or b"") for name, content in came_with]
    assert letter.key is not None or letter.value is not None, "no client sends a record of nothing at all"
    # What went through an outbox has no nulls.
    for opened in (open_letter(letter.key, letter.value, letter.headers), open_letter(letter.key or b"", letter.value or b"", letter.headers)):
        assert opened is not None
        assert (opened.key, opened.value, list(opened.headers)) == (key, value, came_with)
        assert (opened.topic, opened.partition, opened.offset, opened.stage, opened.code) == ("a:b-c", 3, 7, "join", "not_json")
        assert opened.cut == ()


@given(contents, headers)
def test_a_letter_sent_again_has_the_same_id_and_another_record_has_another(value: bytes | None, came_with: list[tuple[str, bytes | None]]) -> None:
    first, again, other = (open_letter(le.key, le.value, le.headers) for le in (buried(b"k", value, came_with, offset=o) for o in (7, 7, 8)))
    assert first is not None
    assert other is not None
    assert first == again
    assert first.letter_id != other.letter_id


def test_tools_for_kafka_connect_find_their_headers() -> None:
    told = dict(buried(b"k", b"v", []).headers)
    assert {name.removeprefix("__connect.errors.") for name in told if name.startswith("__connect.errors.")} == {
        "topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name", "exception.class.name", "exception.message",
    }  # fmt: skip
    assert told["__connect.errors.offset"] == b"7"
    assert b"ud800" in (told["__connect.errors.exception.message"] or b"")
    assert told["ce_id"] == told["driftline.letter.id"]


def test_names_that_are_there_are_never_overwritten() -> None:
    letter = buried(b"k", b"v", [("__connect.errors.topic", b"first"), ("ce_id", b"mine"), ("trace", b"\xff")])
    assert dict(letter.headers)["__connect.errors.topic"] == b"first"
    assert dict(letter.headers)["ce_id"] == b"mine"


@given(st.binary(min_size=40, max_size=200).map(lambda b: b * 1000), st.booleans())
def test_a_record_that_is_too_large_leaves_its_beginning_its_length_and_its_hash(value: bytes, long_key: bool) -> None:
    letter = buried(b"k" * (2_000 if long_key else 2), value, [("h", b"x" * 20_000)], most=1 << 14)
    opened = open_letter(letter.key, letter.value, letter.headers)
    assert opened is not None
    assert opened.value == value[:CUT_BYTES]
    assert (opened.bytes, opened.sha256) == (len(value), sha256(value).hexdigest())
    assert ("value" in opened.cut) is (len(value) > CUT_BYTES)
    assert ("key" in opened.cut) is long_key
    assert "headers" in opened.cut
    assert opened.headers == ()


@given(contents, headers)
def test_what_is_no_letter_is_none(value: bytes | None, came_with: list[tuple[str, bytes | None]]) -> None:
    assert open_letter(b"k", value, came_with) is None
