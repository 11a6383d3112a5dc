from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.detectors.strategies import PANE, START, Row, binary_outcomes, outcomes, references, rows, rows_of, sealed

from driftline.contracts.reference import NumericColumn, Reference
from driftline.contracts.summaries import BlockSummary, Counted, PanePart, SampleRow, decode_summary, encode_summary
from driftline.detectors.layout import Layout, layout_of
from driftline.detectors.outcomes import Outcome
from driftline.detectors.pane import Pane
from driftline.detectors.parts import PartBuilder, counted_parts, outcome_parts

SAMPLE = 3
Key = tuple[str, int, bool]
BINARY = sealed([], binary_outcomes())


def _parts(reference: Reference | None, found: list[Row]) -> list[PanePart]:
    builder = PartBuilder(PANE, SAMPLE, SAMPLE, {})
    builder.add(reference, rows_of(found))
    return builder.parts()


def _layout(reference: Reference | None) -> Layout:
    return layout_of(reference, "features") if reference is not None else Layout.of(())


class Panes:
    """Panes by key, as detect keeps them: a block's newer revision takes the place of the older, and one that covers less is passed over."""

    def __init__(self, reference: Reference | None) -> None:
        self._layout = _layout(reference)
        self._panes: dict[Key, Pane] = {}
        self._blocks: dict[int, tuple[int, dict[Key, PanePart]]] = {}

    def replace(self, old: PanePart | None, new: PanePart | None) -> None:
        part = new if new is not None else old
        assert part is not None
        self._panes.setdefault(_key(part), Pane(self._layout, SAMPLE)).replace(old, new)

    def take(self, block: int, covered: int, parts: list[PanePart]) -> None:
        known, old = self._blocks.get(block, (0, {}))
        if covered < known:
            return
        new = {_key(part): part for part in parts}
        for key in sorted(old.keys() | new.keys()):
            self.replace(old.get(key), new.get(key))
        self._blocks[block] = covered, new

    def digests(self) -> dict[Key, str]:
        return {key: pane.digest() for key, pane in self._panes.items()}


def _key(part: PanePart) -> Key:
    return part.reference_id, part.start, part.late


def _whole(reference: Reference | None, found: list[Row]) -> dict[Key, str]:
    """The digests of panes that got all rows at once."""
    panes = Panes(reference)
    for part in _parts(reference, found):
        panes.replace(None, part)
    return panes.digests()


some_references = st.one_of(st.none(), references())


@given(some_references, st.lists(st.tuples(rows, st.integers(0, 3)), max_size=25), st.randoms(use_true_random=False))
def test_any_split_over_partitions_in_any_order_gives_equal_panes(reference: Reference | None, found: list[tuple[Row, int]], random: object) -> None:
    parts = [part for p in range(4) for part in _parts(reference, [row for row, where in found if where == p])]
    random.shuffle(parts)  # type: ignore[attr-defined]
    panes = Panes(reference)
    for part in parts:
        panes.replace(None, part)
    assert panes.digests() == _whole(reference, [row for row, _ in found])


@given(some_references, st.lists(st.lists(rows, min_size=1, max_size=8), min_size=1, max_size=3), st.data())
def test_any_sequence_of_block_revisions_from_two_owners_gives_equal_panes(
    reference: Reference | None, blocks: list[list[Row]], data: st.DataObject
) -> None:
    panes = Panes(reference)
    # Each owner reads every block from its start and sends what it has when it pleases; the two overlap as they like.
    owners = [
        [(b, c) for b, block in enumerate(blocks) for c in sorted(data.draw(st.lists(st.integers(1, len(block)), max_size=3)))] for _ in range(2)
    ]
    while any(owners):
        owner = data.draw(st.sampled_from([o for o in owners if o]))
        block, covered = owner.pop(0)
        panes.take(block, covered, _parts(reference, blocks[block][:covered]))
    for block in data.draw(st.permutations(range(len(blocks)))):  # somebody ends each block at last
        panes.take(block, len(blocks[block]), _parts(reference, blocks[block]))
    assert panes.digests() == _whole(reference, [row for block in blocks for row in block])


@given(references(), st.lists(st.lists(rows, max_size=8), max_size=5), st.data())
def test_merging_is_commutative_and_associative_and_the_same_as_adding(reference: Reference, blocks: list[list[Row]], data: st.DataObject) -> None:
    layout = _layout(reference)
    parts = [_parts(reference, block) for block in blocks]
    panes = []
    for found in parts:
        pane = Pane(layout, SAMPLE)
        for part in found:
            pane.add(part)
        panes.append(pane)
    total = Pane(layout, SAMPLE)
    for part in (part for found in parts for part in found):
        total.add(part)
    shuffled = data.draw(st.permutations(panes))
    cut = data.draw(st.integers(0, len(panes)))
    halves = [Pane.merged(shuffled[:cut], layout, SAMPLE), Pane.merged(shuffled[cut:], layout, SAMPLE)]
    assert Pane.merged(halves, layout, SAMPLE).digest() == Pane.merged(panes, layout, SAMPLE).digest() == total.digest()


@given(st.lists(outcomes, max_size=6), outcomes, st.data())
def test_what_is_taken_back_has_never_been(kept: list[Outcome], gone: Outcome, data: st.DataObject) -> None:
    steps: list[tuple[Outcome | None, Outcome | None]] = [(None, o) for o in kept]
    without, with_ = Pane(layout_of(BINARY, "outcomes")), Pane(layout_of(BINARY, "outcomes"))
    for step in steps:
        for part in outcome_parts(lambda _: (BINARY, False), [step], PANE):
            without.add(part)
    # In any order, so that a correction may overtake what it corrects.
    for step in data.draw(st.permutations([*steps, (None, gone), (gone, None)])):
        for part in outcome_parts(lambda _: (BINARY, False), [step], PANE):
            with_.add(part)
    assert with_.digest() == without.digest()


@given(
    st.lists(st.tuples(outcomes, outcomes, st.sampled_from(["kept", "withdrawn", "corrected"]), st.sampled_from([1.0, 0.5])), max_size=8), st.data()
)
def test_any_batching_of_what_is_added_and_taken_back_gives_equal_panes(
    found: list[tuple[Outcome, Outcome, str, float]], data: st.DataObject
) -> None:
    def counted(outcome: Outcome, share: float) -> Counted:
        return Counted(BINARY.reference_id, outcome.event_time // PANE * PANE, late=False, sample=share)

    def digests(batches: list[list[tuple[Outcome, Counted, int]]]) -> dict[Key, str]:
        panes: dict[Key, Pane] = {}
        for part in (part for batch in batches for part in counted_parts({BINARY.reference_id: BINARY}, batch)):
            panes.setdefault(_key(part), Pane(layout_of(BINARY, "outcomes"))).add(part)
        empty = Pane(layout_of(BINARY, "outcomes")).digest()  # that something was once in a pane leaves no trace in it
        return {key: digest for key, pane in panes.items() if (digest := pane.digest()) != empty}

    steps, left = [], []
    for one, other, then, share in found:
        steps.append((one, counted(one, share), 1))
        if then != "kept":
            steps.append((one, counted(one, share), -1))
        if then == "corrected":
            steps.append((other, counted(other, share), 1))
        if then != "withdrawn":
            last = other if then == "corrected" else one
            left.append((last, counted(last, share), 1))
    shuffled = data.draw(st.permutations(steps))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(steps)), max_size=6)))
    batches = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(steps)], strict=True)]
    assert digests(batches) == digests([steps]) == digests([[step] for step in left])


@given(references(), st.lists(rows, min_size=1, max_size=8))
def test_a_pane_whose_only_part_is_taken_back_is_empty(reference: Reference, found: list[Row]) -> None:
    pane = Pane(_layout(reference), SAMPLE)
    parts = _parts(reference, found)
    for part in parts:
        pane.add(part)
    for part in parts:
        pane.replace(part, None)
    assert pane.digest() == Pane(_layout(reference), SAMPLE).digest()


@given(references(), st.lists(rows, max_size=12))
def test_a_pane_is_read_as_it_was_written(reference: Reference, found: list[Row]) -> None:
    layout = _layout(reference)
    pane = Pane(layout, SAMPLE)
    for part in _parts(reference, found):
        pane.add(part)
    again = Pane.decode(pane.encode(), layout, SAMPLE)
    assert again.encode() == pane.encode()
    assert (again.n, again.late, again.versions, again.quality) == (pane.n, pane.late, pane.versions, pane.quality)
    assert list(again.quality) == list(pane.quality) == sorted(pane.quality)
    assert list(again.versions) == list(pane.versions)
    assert again.counts.tolist() == pane.counts.tolist()
    assert again.sums.tolist() == pane.sums.tolist()
    assert (again.n, again.late) == (len(found), sum(r.late for r in found))


@given(references(), st.lists(rows, min_size=1, max_size=12))
def test_a_part_counts_after_the_wire_as_before(reference: Reference, found: list[Row]) -> None:
    parts = _parts(reference, found)
    block = decode_summary(encode_summary(BlockSummary("made", 0, 0, 0, len(found), True, parts)))
    assert isinstance(block, BlockSummary)
    here, there = Pane(_layout(reference), SAMPLE), Pane(_layout(reference), SAMPLE)
    for part, sent in zip(parts, block.panes, strict=True):
        here.add(part)
        there.add(sent)
    assert here.digest() == there.digest()


def test_the_digest_tells_every_kind_of_difference() -> None:
    def digest(**change: object) -> str:
        pane = Pane(_layout(TINY), SAMPLE)
        pane.add(msgspec.structs.replace(part, **change))
        return pane.digest()

    (part,) = _parts(TINY, [Row("event-1", START, late=False, version="1", x=0.5, c=None, prediction=None, score=None, extra=1)])
    ones = np.ones(2, "<i8").tobytes()
    other: list[dict[str, object]] = [
        {"n": 2}, {"late": True}, {"slots": np.array([3], "<u4").tobytes()}, {"sums": ones}, {"first_time": START - 1}, {"last_time": START + 1},
        {"versions": {"2": 1}}, {"sample": []}, {"quality": {}},
    ]  # fmt: skip
    assert len({digest(), *(digest(**change) for change in other)}) == len(other) + 1
    # Where blocks end decides which repeats are seen: how often events came again is in the pane, and no part of its name.
    assert digest() == digest(quality={**part.quality, "duplicates": 1})
    assert digest(quality={}) == digest(quality={"duplicates": 2})


TINY = sealed([NumericColumn(name="x", role="feature", edges=(0.0, 1.0), center=0.0, scale=1.0, counts=(1,) * 7)])


def test_parts_and_panes_of_another_layout_are_refused_and_change_nothing() -> None:
    wide = sealed([*TINY.columns, NumericColumn(name="y", role="feature", edges=(0.0, 0.5, 1.0), center=0.0, scale=1.0, counts=(1,) * 8)])
    row = Row("event-1", START, late=False, version="1", x="text", c=None, prediction=None, score=None, extra=1)
    (part,) = _parts(wide, [row])
    pane = Pane(_layout(TINY), SAMPLE)
    before = pane.digest()
    with pytest.raises(ValueError, match="another layout"):
        pane.add(part)
    assert pane.digest() == before
    whole = Pane(_layout(wide), SAMPLE)
    whole.add(part)
    with pytest.raises(ValueError, match="another layout"):
        Pane.decode(whole.encode(), _layout(TINY), SAMPLE)


@given(st.lists(st.one_of(st.just(0), st.integers(-3, 300), st.integers(-(1 << 63), (1 << 63) - 1)), min_size=1, max_size=60))
def test_counts_of_any_size_come_back_from_as_few_bytes_as_they_take(counts: list[int]) -> None:
    layout = dataclasses.replace(Layout.of(()), slots=len(counts))
    pane = Pane(layout)
    pane.counts[:] = counts
    assert Pane.decode(pane.encode(), layout).counts.tolist() == counts


def test_a_pane_from_before_the_second_revision_is_read() -> None:
    layout = layout_of(BINARY, "outcomes")
    pane = Pane(layout)
    pane.counts[[1, 5]] = [3, -2]
    pane.sums[:] = range(len(pane.sums))
    pane.n = 3
    row = SampleRow(1, "a", 2, "1", {"x": 1.0, "y": None}, "p", 0.5)
    slots, counts = np.array([1, 5], "<u4").tobytes(), np.array([3, -2], "<i8").tobytes()
    old = msgspec.msgpack.encode([3, 0, slots, counts, pane.sums.astype("<i8").tobytes(), 0, 0, {"1": 3}, [row], {}])
    again = Pane.decode(old, layout)
    assert (again.counts.tolist(), again.sums.tolist(), again.sample) == (pane.counts.tolist(), pane.sums.tolist(), [row])
    assert Pane.decode(again.encode(), layout).sample == [row]
