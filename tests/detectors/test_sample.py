from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.detectors.strategies import hostile, texts

from driftline.contracts.ids import sample_hash
from driftline.contracts.summaries import SampleRow
from driftline.detectors.columns import MAX_TEXT as LONGEST_CATEGORY
from driftline.detectors.sample import bottom_k, kept_features, scalar
from driftline.detectors.values import MISSING

# 1, 1.0 and True are equal to Python and are not the same content.
_values = st.sampled_from([0, 1, 1.0, True, None, "1", -0.0, 0.0])


def _row(name: str, time: int, value: float | str | None) -> SampleRow:
    return SampleRow(sample_hash(name), name, time, "1", {"x": value})


samples = st.lists(st.builds(_row, st.sampled_from("abcdefgh"), st.integers(1, 2), _values), max_size=12)


def _bytes(rows: list[SampleRow]) -> bytes:
    return msgspec.msgpack.encode(rows)


@given(samples, samples, samples, st.integers(0, 5))
def test_a_union_of_samples_is_commutative_associative_and_idempotent(
    one: list[SampleRow], two: list[SampleRow], three: list[SampleRow], k: int
) -> None:
    a, b, c = bottom_k(one, k), bottom_k(two, k), bottom_k(three, k)
    assert _bytes(bottom_k([*a, *b], k)) == _bytes(bottom_k([*b, *a], k))
    assert _bytes(bottom_k([*bottom_k([*a, *b], k), *c], k)) == _bytes(bottom_k([*a, *bottom_k([*b, *c], k)], k))
    assert _bytes(bottom_k([*a, *a], k)) == _bytes(a)
    assert _bytes(bottom_k([*a, *b], k)) == _bytes(bottom_k([*one, *two], k))


@given(samples, st.integers(0, 5))
def test_a_sample_is_the_events_with_the_least_places_each_once(rows: list[SampleRow], k: int) -> None:
    kept = bottom_k(rows, k)
    assert [row.event_id for row in kept] == sorted({row.event_id for row in rows}, key=sample_hash)[:k]
    assert all(row in rows for row in kept)


@given(st.dictionaries(texts, hostile, max_size=5))
def test_whatever_is_kept_can_be_written_and_read_again(features: dict[str, object]) -> None:
    kept = kept_features(features, {})
    row = SampleRow(0, "a", 0, "1", kept)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(row), type=SampleRow) == row
    assert kept.keys() == {name for name, value in features.items() if value is not MISSING}


def test_rules_keep_hash_or_drop_and_the_star_names_the_rest() -> None:
    kept = kept_features({"age": 41, "name": "Ada", "zip": "10115"}, {"age": "keep", "name": "hash", "*": "drop"}, b"key")
    assert kept["age"] == 41
    assert set(kept) == {"age", "name"}
    assert isinstance(kept["name"], str)
    assert len(kept["name"]) == 16
    assert "Ada" not in kept["name"]


def test_a_hash_depends_on_the_key_and_on_the_value_and_not_on_how_a_number_was_written() -> None:
    def hashed(value: object, secret: bytes = b"key") -> object:
        return kept_features({"x": value}, {"x": "hash"}, secret)["x"]

    assert hashed("Ada") == hashed("Ada")
    assert hashed("Ada") != hashed("Ada", b"other key")
    assert hashed("Ada") != hashed("Bob")
    assert hashed(41) == hashed(41.0)
    assert hashed(None) is None
    assert hashed(float("nan")) is None


@given(hostile)
def test_a_hash_is_made_of_every_hostile_value(value: object) -> None:
    hashed = kept_features({"x": value}, {"x": "hash"}, b"k" * 100).get("x")
    assert hashed is None or (isinstance(hashed, str) and len(hashed) == 16)


@pytest.mark.parametrize(("value", "kept"), [(2**63, float(2**63)), (10**400, None), (float("inf"), None), ([1], None), (True, True), (3, 3)])
def test_a_sample_holds_scalars_that_every_reader_has(value: object, kept: object) -> None:
    assert scalar(value) == kept
    assert type(scalar(value)) is type(kept)


def test_text_that_was_cut_is_still_too_long_for_a_category() -> None:
    assert len(str(scalar("x" * 10_000))) == LONGEST_CATEGORY + 1
