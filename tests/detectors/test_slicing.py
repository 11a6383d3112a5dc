from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.detectors.strategies import PANE, START, Row, hostile, rows, rows_of

from driftline.contracts.errors import SettingsError
from driftline.contracts.reference import NumericColumn, Reference, decode_reference, encode_reference, where_of
from driftline.contracts.settings import build_settings
from driftline.contracts.summaries import PanePart
from driftline.detectors.counting import Table
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.layout import Layout, layout_of
from driftline.detectors.outcomes import Outcome
from driftline.detectors.pane import Pane
from driftline.detectors.parts import PartBuilder, outcome_parts
from driftline.detectors.reference import build_reference
from driftline.detectors.rows import Held, Rows
from driftline.detectors.slicing import SLICE_BINS, Slicing, codes_of, group_of
from driftline.detectors.values import canonical_text
from driftline.detectors.weights import SLICE_SHARE, shares

MANY = 3_000
SLICING = Slicing({"c": 2, "x": ("1", "2.5")})


def _built(slicing: Slicing = SLICING, rng_seed: int = 1) -> Reference:
    rng = np.random.default_rng(rng_seed)
    score = rng.random(MANY)
    return build_reference(
        model="made",
        version="1",
        task="classification",
        effective_from=0,
        origin="built",
        times=START + np.arange(MANY) * 60_000,
        features={
            "x": rng.choice([1.0, 2.5, 3.0], MANY),
            "c": rng.choice(["a", "b", "rare"], MANY, p=[0.3, 0.5, 0.2]).tolist(),
            "z": rng.normal(size=MANY),
        },
        predictions=(score > 0.5).tolist(),
        scores=score.tolist(),
        labels=(rng.random(MANY) < score).tolist(),
        slicing=slicing,
    )


REFERENCE = _built()


def _parts(block: list[Row], reference: Reference = REFERENCE) -> list[PanePart]:
    builder = PartBuilder(PANE, 0, 10, {})
    builder.add(reference, rows_of(block))
    return builder.parts()


def _sum(parts: list[PanePart], layout: Layout) -> Pane:
    pane = Pane(layout)
    for part in parts:
        pane.add(part)
    return pane


def test_without_slices_a_reference_is_what_it_was() -> None:
    bare = _built(Slicing())
    assert b"where" not in encode_reference(bare)
    assert [c.role for c in bare.columns] == [c.role for c in REFERENCE.columns if c.role != "slice"]
    assert bare.columns == REFERENCE.columns[: len(bare.columns)]
    assert bare.terms == REFERENCE.terms[: len(bare.terms)]
    assert decode_reference(encode_reference(REFERENCE)) == REFERENCE


def test_every_slice_of_each_feature_is_there_for_all_that_is_watched() -> None:
    names = {c.name for c in REFERENCE.columns if c.role == "slice"}
    of_c = {f"{what} @ c{which}" for what in ("x", "z", "prediction", "score") for which in ("=a", "=b", ": all others")}
    of_x = {f"{what} @ x{which}" for what in ("c", "z", "prediction", "score") for which in ("=1", "=2.5", ": all others")}
    assert names == of_c | of_x
    assert {c.name for c in REFERENCE.outcomes if c.role == "slice"} == {
        f"{what} @ {which}" for what in ("loss", "error") for which in ("c=a", "c=b", "c: all others", "x=1", "x=2.5", "x: all others")
    }
    assert all(c.slots <= SLICE_BINS + 6 for c in REFERENCE.columns if c.role == "slice")


@given(st.lists(rows, min_size=1, max_size=30))
def test_a_slice_counts_what_the_whole_column_counts_of_its_rows(block: list[Row]) -> None:
    layout = layout_of(REFERENCE, "features")
    whole = Layout.of(layout.columns[: layout.whole])
    bare: dict[str, Held] = {"x": [r.x for r in block], "c": [r.c for r in block], "z": [None] * len(block)}
    values: dict[str, Held] = {**bare, "prediction": [r.prediction for r in block], "score": [r.score for r in block]}
    counts, sums = Table.of(layout, values, len(block), bare).counts()
    slots, numbers = Table.of(layout, values, len(block), bare).slots()
    assert counts.tolist() == np.bincount(slots[slots >= 0], minlength=layout.slots).tolist()
    assert sums.tolist() == numbers.sum(axis=1).tolist()
    for column in layout.columns[layout.whole :]:
        where = where_of(column)
        assert where is not None
        inside = np.flatnonzero(codes_of(layout.slicers[where.feature], bare[where.feature]) == where.number - 1)
        alone, own_sums = Table.of(whole, values, len(block)).take(inside).counts()
        parent = whole.column(where.column)
        expected = np.bincount(group_of(parent, column), alone[whole.slice_of(where.column)], minlength=column.slots)
        assert counts[layout.slice_of(column.name)].tolist() == expected.tolist()
        if isinstance(column, NumericColumn):
            i, j = layout.numeric.index(column.name), whole.numeric.index(where.column)
            assert sums[2 * i : 2 * i + 2].tolist() == own_sums[2 * j : 2 * j + 2].tolist()


@given(st.lists(hostile, max_size=20))
def test_the_slices_of_a_feature_share_out_the_rows_that_have_a_value(values: list[object]) -> None:
    codes = codes_of(("a", "1"), values).tolist()
    assert all(0 <= code <= 3 for code in codes)
    assert [code == 3 for code in codes] == [canonical_text(value) is None for value in values]
    assert [code for code, value in zip(codes, values, strict=True) if value == "a"] == [0] * values.count("a")


@given(st.lists(rows, max_size=25), st.data())
def test_any_order_and_any_split_give_equal_panes(block: list[Row], data: st.DataObject) -> None:
    layout = layout_of(REFERENCE, "features")
    shuffled = data.draw(st.permutations(block))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(block)), max_size=3)))
    parts = [part for a, b in pairwise([0, *cuts, len(block)]) for part in _parts(shuffled[a:b])]
    assert _sum(parts, layout).digest() == _sum(_parts(block), layout).digest()


def _outcome(event_id: str, label: int, carrier: object) -> Outcome:
    return Outcome(
        event_id=event_id, model="made", version="1", event_time=START, prediction=None, score=0.7, label=label, label_time=START,
        features={} if carrier is None else {"c": carrier},  # type: ignore[dict-item]
    )  # fmt: skip


@given(st.sampled_from(["a", "b", "other", None]), st.sampled_from(["a", "other", None]), st.integers(0, 1), st.integers(0, 1))
def test_a_correction_takes_back_in_the_slice_what_was_counted_there(before: object, after: object, first: int, last: int) -> None:
    old, new = _outcome("e", first, before), _outcome("e", last, after)
    layout = layout_of(REFERENCE, "outcomes")

    def told(changes: list[tuple[Outcome | None, Outcome | None]]) -> Pane:
        return _sum(outcome_parts(lambda _: (REFERENCE, False), changes, PANE), layout)

    corrected, alone = told([(None, old), (old, new)]), told([(None, new)])
    assert (corrected.counts.tolist(), corrected.sums.tolist()) == (alone.counts.tolist(), alone.sums.tolist())
    errors = alone.counts[layout.slice_of("error @ c=a")].sum()
    assert errors == (after == "a")


def test_slices_have_their_share_of_the_budget_and_the_rest_is_as_it_was() -> None:
    config = DeciderConfig(720.0)
    weights, _ = shares(REFERENCE, config, ())
    slices = {c.name for c in (*REFERENCE.columns, *REFERENCE.outcomes) if c.role == "slice"}
    mine = sum(weight for (_, column, _), weight in weights.items() if column in slices)
    assert sum(weights.values()) == pytest.approx(1.0)
    assert mine == pytest.approx(SLICE_SHARE)
    bare, _ = shares(_built(Slicing()), config, ())
    for key, weight in bare.items():
        assert weights[key] == pytest.approx(weight * (1 - SLICE_SHARE))
    off, _ = shares(REFERENCE, DeciderConfig(720.0, weights={"z": 0.0}), ())
    assert {column for (_, column, _), weight in off.items() if weight == 0} == {c.name for c in REFERENCE.columns if c.name.startswith("z")}


def test_a_shift_in_one_slice_is_seen_there_first() -> None:
    rng, decider = np.random.default_rng(2), Decider(REFERENCE, DeciderConfig(24.0))
    state = decider.start()
    for pane in range(200):
        n = 60
        c = rng.choice(["a", "b", "rare"], n, p=[0.3, 0.5, 0.2])
        z = rng.normal(size=n) + np.where(c == "a", 1.5, 0.0)
        score = rng.random(n)
        rows_ = Rows(
            event_ids=[f"{pane}-{i}" for i in range(n)],
            places=np.arange(n),
            times=np.full(n, START + MANY * 60_000 + pane * 60_000),
            late=np.zeros(n, np.bool_),
            versions=["1"] * n,
            features={"x": rng.choice([1.0, 2.5, 3.0], n), "c": c.tolist(), "z": z},
            predictions=(score > 0.5).tolist(),
            scores=score.tolist(),
        )
        builder = PartBuilder(60_000, 0, 10, {})
        builder.add(REFERENCE, rows_)
        layout = layout_of(REFERENCE, "features")
        counts = _sum(builder.parts(), layout).counts
        state = decider.step(state, "features", counts, START + (MANY + pane + 1) * 60_000, 1 / 60)
        verdict = decider.verdict(state)
        if verdict.crossed:
            break
    assert verdict.crossed
    assert verdict.carriers[0].column == "z @ c=a"
    assert pane < 20


def test_values_that_are_not_kept_are_told_by_their_number() -> None:
    hidden = _built(Slicing({"c": ("b", "secret")}, hidden=frozenset({"c"})))
    names = [c.name for c in (*hidden.columns, *hidden.outcomes)]
    assert "z @ c=#1" in names
    assert not any("secret" in name for name in names)
    assert not [c for c in hidden.outcomes if c.role == "slice"]  # of outcomes a hash of it is kept, or nothing


@pytest.mark.parametrize(
    ("tree", "field"),
    [
        ({"slices": {"c": 0}}, "models.m.slices.c"),
        ({"slices": {"c": []}}, "models.m.slices.c"),
        ({"slices": {"c": ["a", "a"]}}, "models.m.slices.c"),
        ({"slices": {"c": ["a" * 201]}}, "models.m.slices.c"),
        ({"slices": {"c": 90, "d": 20}}, "models.m.slices"),
        ({"slices": {"c": 2}, "features": {"c": "ignore"}}, "models.m.slices.c"),
        ({"slices": {"c": 49}, "slice_features": [f"f{i}" for i in range(9)]}, "models.m.slice_features"),
        ({"slices": {"c": 80}}, "models.m.slice_features"),
        ({"slices": {"c": "UA"}}, "models.m.slices.c"),
    ],
)
def test_slices_that_can_not_be_are_refused_by_name(tree: dict[str, object], field: str) -> None:
    with pytest.raises(SettingsError) as refused:
        build_settings({"models": {"m": tree}})
    assert refused.value.field == field


def test_an_empty_reference_and_names_that_are_taken_make_no_trouble() -> None:
    reference = build_reference(
        model="m", version="1", task="regression", effective_from=0, origin="built", times=[START] * 3,
        features={"c": [None, "a", "a"], "z @ c=a": [1, 2, 3], "z": [float("nan"), "x", None]},
        slicing=Slicing({"c": ("a", "never"), "absent": 3, "z": 4}),
    )  # fmt: skip
    names = [c.name for c in reference.columns]
    assert len(set(names)) == len(names)
    assert "z @ c=a'" in names
    assert msgspec.structs.asdict(reference.columns[-1])
    Decider(reference, DeciderConfig(1.0))
