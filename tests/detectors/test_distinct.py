from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detectors.made import START
from tests.detectors.strategies import hostile
from tests.detectors.test_kinds import TIMES, N, built, pane_of, rows_of

from driftline.contracts.times import HOUR_MS
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.describe import column_findings
from driftline.detectors.distinct import MOST_COLUMNS, Sketches, counted_columns, estimate_of, united
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane, _Packed
from driftline.detectors.parts import PartBuilder
from driftline.detectors.rows import Coded
from driftline.detectors.values import canonical_text

KEYS = [f"key-{i % 390}" for i in range(N)]


def _bytes(values: list[Any]) -> dict[str, bytes]:
    sketches = Sketches()
    sketches.add("c", values)
    return sketches.encoded()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2_000), st.integers(0, 1 << 30), st.data())
def test_a_sketch_is_one_of_the_set_of_values_to_the_byte(n: int, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    values = [f"v{i}" for i in rng.permutation(n)]
    whole = _bytes(values)
    cut, again = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    assert united(_bytes(values[:cut][::-1]), _bytes(values[min(cut, again) :] * 2)) == whole
    stepwise = Sketches()
    for start in range(0, n, 300):
        stepwise.add("c", values[start : start + 300])
        stepwise.encoded()  # a flush in between
    assert stepwise.encoded() == whole
    if n:
        estimate = estimate_of(whole["c"])
        assert estimate.low <= estimate.value <= estimate.high
        assert abs(estimate.value - n) <= (0 if n <= 256 else 5 * 0.0625 * n)
        assert len(whole["c"]) <= 2_072


@given(st.lists(hostile, max_size=12))
def test_hostile_values_count_as_the_categories_that_they_are(values: list[object]) -> None:
    known = {canonical_text(v) for v in values if isinstance(v, str | int | float)} - {None}
    raw = _bytes(values)
    assert (round(estimate_of(raw["c"]).value) if raw else 0) == len(known)
    sketches = Sketches()
    sketches.add("c", Coded([*values, "not in any row"], np.arange(len(values))))
    assert sketches.encoded() == raw


def test_a_column_of_very_many_values_tells_how_many_then_and_now() -> None:
    few = ["a", "b"] * (N // 2)
    reference = built({"key": KEYS, "few": few})
    layout = layout_of(reference, "features")
    assert [c.name for c in counted_columns(layout)] == ["key"]
    pane = pane_of(reference, rows_of({"key": [f"new-{i % 120}" for i in range(N)], "few": few}))
    assert list(pane.distinct) == ["key"]
    key, other = column_findings(reference, Decider(reference, DeciderConfig(720)), "features", pane.counts, 1.0, distinct=pane.distinct)
    assert (key.distinct, key.distinct_low, key.distinct_high, key.reference_distinct) == (120, 120, 120, 390)
    assert other.distinct is None
    many = built({f"c{i}": KEYS for i in range(MOST_COLUMNS + 5)})
    assert len(counted_columns(layout_of(many, "features"))) == MOST_COLUMNS


def test_any_split_and_any_revisions_of_blocks_give_equal_panes() -> None:
    reference = built({"key": KEYS})
    live = rows_of({"key": KEYS}, np.full(N, START, np.int64))
    whole = pane_of(reference, live, sample=512)
    parts = []
    for cut in (np.arange(150), np.arange(300), np.arange(300, N)):  # a block, its newer revision, and another block
        builder = PartBuilder(HOUR_MS, 512, 512, {})
        builder.add(reference, live.take(cut))
        parts += builder.parts()
    pane = Pane(whole.layout)
    pane.add(parts[2])
    pane.replace(None, parts[0])
    pane.replace(parts[0], parts[1])
    assert pane.digest() == whole.digest()
    assert Pane.decode(pane.encode(), pane.layout).distinct == whole.distinct
    half = Pane(whole.layout)
    half.add(parts[1])
    other = Pane(whole.layout)
    other.add(parts[2])
    assert Pane.merged([half, other], whole.layout).digest() == whole.digest()
    pane.replace(parts[1], None)
    pane.replace(parts[2], None)
    assert pane.distinct == {}


def test_bytes_that_are_no_sketch_are_refused_before_anything_is_counted() -> None:
    reference = built({"key": KEYS})
    builder = PartBuilder(HOUR_MS, 64, 100, {})
    builder.add(reference, rows_of({"key": KEYS}, TIMES * 0 + START))
    (part,) = builder.parts()
    good = part.distinct["key"]
    for raw in (b"", b"junk", good[:100], b"\xff" * 2_072):
        pane = Pane(layout_of(reference, "features"))
        pane.add(part)
        before = pane.digest()
        part_of_junk = msgspec.structs.replace(part, distinct={"key": raw})
        with pytest.raises(ValueError, match="sketch"):
            pane.add(part_of_junk)
        assert pane.digest() == before


def test_a_pane_without_sketches_has_the_bytes_that_it_always_had() -> None:
    reference = built({"x": list(range(N))})
    raw = pane_of(reference, rows_of({"x": list(range(N))})).encode()
    assert len(msgspec.msgpack.decode(raw)) == len(_Packed.__struct_fields__)
