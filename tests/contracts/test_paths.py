from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.contracts.test_events import json_values

from driftline.contracts.json_values import MISSING, as_float, decode_features
from driftline.contracts.nested_values import NestedDecoder
from driftline.contracts.paths import MAX_DEPTH, flattened, parents_of, walked
from driftline.contracts.pii import rule_of
from driftline.detectors.sample import kept_features

NUMERIC, CATEGORICAL = ["user.age", "x"], ["user.home.zip", "user.name", "c"]
NAMES = [*NUMERIC, *CATEGORICAL]
keys = st.sampled_from(["user", "age", "home", "zip", "name", "x", "c", "user.age", "home.zip", "user.home", "new"])
objects = st.recursive(json_values | st.sampled_from([1, "a", None]), lambda inner: st.dictionaries(keys, inner, max_size=4), max_leaves=8)
events = st.dictionaries(keys, objects, max_size=5)
#: As they come as a rule.
whole = st.fixed_dictionaries({
    "user": st.fixed_dictionaries({"age": st.floats(0, 9), "name": st.text(max_size=3), "home": st.fixed_dictionaries({"zip": st.integers(0, 9)})}),
    "x": st.none() | st.integers(0, 9), "c": st.booleans(),
})  # fmt: skip


def _lookup(tree: Any, name: str) -> list[tuple[int, str, object]]:
    """Every place where a feature may stand: how deep, in which object."""
    found: list[tuple[int, str, object]] = [(0, "", tree[name])] if name in tree else []
    for cut in (i for i, letter in enumerate(name) if letter == "."):
        inside = tree.get(name[:cut])
        if isinstance(inside, dict):
            found += [(depth + 1, f"{name[:cut]}.{at}", value) for depth, at, value in _lookup(inside, name[cut + 1 :])]
    return found


@given(st.lists(events | whole, max_size=4), st.randoms())
def test_features_in_objects_are_found_by_their_paths_whatever_the_order_of_names(found: list[dict[str, Any]], random: Any) -> None:
    decoder = NestedDecoder(NUMERIC, CATEGORICAL)
    batch = decoder.decode([json.dumps(event).encode() for event in found])
    assert batch.bad == []
    assert {len(column) for column in batch.columns.values()} <= {len(found)}
    mixed = decoder.decode([json.dumps(_shuffled(event, random)).encode() for event in found])
    assert (_sorted(mixed.columns), mixed.missing, mixed.extra) == (_sorted(batch.columns), batch.missing, batch.extra)
    for i, event in enumerate(found):
        read = decode_features(json.dumps(event).encode())
        for name in NAMES:
            places = _lookup(read, name)
            value = batch.columns[name][i]
            if places:
                least = min(depth for depth, _, _ in places)
                wanted = [v for depth, _, v in places if depth == least]
                assert any(repr(value) == repr(as_float(v) if name in NUMERIC and type(v) is int else v) or value == v for v in wanted)
            else:
                assert value is None or value is MISSING
        assert batch.missing.get(i, 0) == sum(batch.columns[name][i] is MISSING for name in NAMES)


def _sorted(columns: dict[str, list[object]]) -> str:
    return json.dumps(columns, sort_keys=True, default=str)


def _shuffled(tree: Any, random: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    names = list(tree)
    random.shuffle(names)
    return {name: _shuffled(tree[name], random) for name in names}


@given(whole)
def test_what_comes_as_a_rule_is_read_at_once_and_alike(event: dict[str, Any]) -> None:
    decoder = NestedDecoder(NUMERIC, CATEGORICAL)
    raw = json.dumps(event).encode()
    fast, slow = decoder._read(raw), decoder._walk(decode_features(raw))
    assert fast is not None
    assert (list(fast), 0, 0) == slow


@pytest.mark.parametrize(("event", "row", "missing", "extra"), [
    ({"user": {"age": 1, "name": "a", "home": {"zip": 2}}, "x": 3, "c": 4}, [1.0, 3.0, 2, "a", 4], 0, 0),
    ({"user": None, "x": 3, "c": 4}, [None, 3.0, None, None, 4], 0, 0),
    ({"user": {"home": None, "age": 1, "name": "a"}, "x": 3, "c": 4}, [1.0, 3.0, None, "a", 4], 0, 0),
    ({"user": {"age": 1}, "user.age": 5, "x": 3, "c": 4}, [5.0, 3.0, MISSING, MISSING, 4], 2, 1),
    ({"user": 7, "x": {"y": 1, "z": 2}, "c": 4, "new": {"a": 1, "b": 2}}, [MISSING, {"y": 1, "z": 2}, MISSING, MISSING, 4], 3, 2),
    ({"user": {"new": 1, "newer": {"a": 1}}, "x": 1, "c": 1}, [MISSING, 1.0, MISSING, MISSING, 1], 3, 2),
])  # fmt: skip
def test_what_counts_as_missing_and_as_extra(event: dict[str, Any], row: list[object], missing: int, extra: int) -> None:
    batch = NestedDecoder(NUMERIC, CATEGORICAL).decode([json.dumps(event).encode()])
    assert [batch.columns[name][0] for name in NAMES] == row
    assert (batch.missing.get(0, 0), batch.extra.get(0, 0)) == (missing, extra)


@given(events)
@example({"user.age": {}, "age": {}, "user": {"age": None}})
@example({"user.age": {"x": 1}, "user": {"age": 5}})
@example({"user.age": 5, "user": {"age": {"x": 1}}})
def test_flattened_features_are_those_that_a_walk_finds_by_their_names(event: dict[str, Any]) -> None:
    flat = flattened(event)
    assert walked(event, flat.keys(), parents_of(flat)).found == flat


def test_objects_are_looked_into_no_deeper_than_is_sensible() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH + 3):
        deep = {"a": deep}
    (name,) = flattened(deep)
    assert name.count(".") == MAX_DEPTH
    assert NestedDecoder([f"{name}.a"], []).decode([json.dumps(deep).encode()]).columns[f"{name}.a"] == [MISSING]


def test_a_rule_for_an_object_holds_for_all_that_is_in_it() -> None:
    features = flattened({"user": {"email": "a@b.c", "age": 41, "home": {"zip": "1"}}, "x": 1})
    assert kept_features(features, {"user": "drop"}) == {"x": 1}
    assert kept_features(features, {"user": "drop", "user.age": "bucket:10"}) == {"x": 1, "user.age": 40.0}
    assert rule_of({"*": "hash", "user.home": "keep"}, "user.home.zip") == "keep"
