from __future__ import annotations

from collections import Counter
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.detectors.strategies import PANE, START, Row, binary_outcomes, labels, outcomes, references, regression_outcomes, rows, rows_of, sealed

from driftline.contracts.reference import CategoricalColumn, NumericColumn, Reference, Task
from driftline.contracts.summaries import LEARNING, PanePart
from driftline.detectors.binning import fixed_point, slots_of
from driftline.detectors.layout import Layout, layout_of, reference_counts
from driftline.detectors.outcomes import Outcome
from driftline.detectors.parts import PartBuilder, outcome_parts
from driftline.detectors.rows import Values

TINY = sealed([NumericColumn(name="x", role="feature", edges=(0.0, 1.0), center=0.0, scale=1.0, counts=(1,) * 7)])
BINARY = sealed([], binary_outcomes())
REGRESSION = sealed([], regression_outcomes(), "regression")


def _row(event_id: str, x: object = 0.5, time: int = START) -> Row:
    return Row(event_id, time, late=False, version="1", x=x, c=None, prediction=None, score=None, extra=0)


def _built(reference: Reference | None, batches: list[list[Row]], sample: int = 3) -> list[PanePart]:
    builder = PartBuilder(PANE, sample, sample + 2, {})
    for batch in batches:
        builder.add(reference, rows_of(batch))
    return builder.parts()


def _bytes(parts: list[PanePart]) -> bytes:
    return msgspec.msgpack.encode(parts, order="deterministic")


@given(references(), st.lists(rows, max_size=25), st.integers(0, 4), st.booleans(), st.data())
@example(TINY, [_row("event-1"), _row("event-1"), _row("event-1", 0.7), _row("event-2"), _row("event-3")], 2, False, None)
@example(TINY, [_row("event-1"), _row("event-2")], 0, False, None)
def test_any_order_and_any_batching_of_a_block_give_the_same_bytes(
    reference: Reference, block: list[Row], sample: int, learning: bool, data: st.DataObject | None
) -> None:
    shuffled = data.draw(st.permutations(block)) if data else block[::-1]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(block)), max_size=4))) if data else list(range(len(block)))
    bounds = [0, *cuts, len(block)]
    batches = [shuffled[a:b] for a, b in pairwise(bounds)]
    met = None if learning else reference
    assert _bytes(_built(met, batches, sample)) == _bytes(_built(met, [block], sample))


@given(references(), st.lists(rows, min_size=1, max_size=25))
def test_every_row_counts_once_in_each_column_of_the_pane_that_it_belongs_to(reference: Reference, block: list[Row]) -> None:
    layout = layout_of(reference, "features")
    expected = Counter((r.time // PANE * PANE, r.late) for r in block)
    for part in _built(reference, [block]):
        members = [r for r in block if (r.time // PANE * PANE, r.late) == (part.start, part.late)]
        assert part.n == expected.pop((part.start, part.late)) == len(members)
        counts = np.zeros(layout.slots, np.int64)
        counts[np.frombuffer(part.slots, "<u4")] = np.frombuffer(part.counts, "<i8")
        assert (counts >= 0).all()
        for column in layout.columns:
            assert counts[layout.slice_of(column.name)].sum() == part.n
        assert (part.first_time, part.last_time) == (min(r.time for r in members), max(r.time for r in members))
        assert part.versions == Counter(r.version for r in members)
        assert part.quality == {k: v for k, v in {"extra_fields": sum(r.extra for r in members)}.items() if v}
    assert not expected


@given(references(), st.lists(rows, min_size=1, max_size=25))
def test_counts_and_sums_are_those_of_each_column_by_itself(reference: Reference, block: list[Row]) -> None:
    layout = layout_of(reference, "features")
    for part in _built(reference, [block]):
        members = [r for r in block if (r.time // PANE * PANE, r.late) == (part.start, part.late)]
        values: dict[str, Values] = {
            "x": [r.x for r in members], "c": [r.c for r in members], "absent": [None] * len(members),
            "prediction": [r.prediction for r in members], "score": [r.score for r in members],
        }  # fmt: skip
        own = np.concatenate([np.bincount(slots_of(c, values[c.name]), minlength=c.slots) for c in layout.columns])
        counts = np.zeros(layout.slots, np.int64)
        counts[np.frombuffer(part.slots, "<u4")] = np.frombuffer(part.counts, "<i8")
        assert counts.tolist() == own.tolist()
        sums = [int(s.sum()) for c in layout.columns if isinstance(c, NumericColumn) for s in fixed_point(c, values[c.name])]
        assert np.frombuffer(part.sums, "<i8").tolist() == sums


@given(st.lists(rows, min_size=1, max_size=25))
def test_a_model_that_is_learning_leaves_samples_only(block: list[Row]) -> None:
    parts = _built(None, [block], 50)
    assert {part.reference_id for part in parts} == {LEARNING}
    assert all((part.slots, part.counts, part.sums) == (b"", b"", b"") for part in parts)
    assert sum(part.n for part in parts) == len(block)
    assert {row.event_id for part in parts for row in part.sample} == {r.event_id for r in block}


def test_rows_of_different_references_never_meet_in_a_part() -> None:
    other = sealed([CategoricalColumn(name="c", role="feature", values=("a",), counts=(1,) * 5)])
    builder = PartBuilder(PANE, 3, 3, {})
    for reference in (TINY, other, None, TINY):
        builder.add(reference, rows_of([_row("event-1")]))
    assert {part.reference_id: part.n for part in builder.parts()} == {TINY.reference_id: 2, other.reference_id: 1, LEARNING: 1}


def test_a_reference_without_columns_still_counts_its_rows() -> None:
    assert [part.n for part in _built(sealed([]), [[_row("event-1"), _row("event-2", time=START + 2 * PANE)]])] == [1, 1]


def test_a_builder_told_nothing_has_no_parts() -> None:
    assert _built(TINY, [[]]) == []


def test_features_that_may_not_be_kept_are_in_no_sample() -> None:
    builder = PartBuilder(PANE, 3, 3, {"x": "drop", "c": "hash"}, b"key")
    builder.add(TINY, rows_of([Row("event-1", START, late=False, version="1", x="secret", c="secret", prediction=True, score=0.5, extra=0)]))
    (row,) = builder.parts()[0].sample
    assert row.features.keys() == {"c"}
    assert b"secret" not in msgspec.msgpack.encode(row)
    assert (row.prediction, row.score) == ("1", 0.5)


def test_a_large_pane_is_counted_as_its_rows_are_however_many_batches_it_came_in() -> None:
    rng = np.random.default_rng(4)
    block = [_row(f"event-{i}", float(x)) for i, x in enumerate(rng.normal(size=3_000))]
    batches = [block[i : i + 70] for i in range(0, 3_000, 70)]
    assert _bytes(_built(TINY, batches)) == _bytes(_built(TINY, [block]))


def _kept(reference: Reference, late: bool = False) -> tuple[Reference, bool]:
    return reference, late


changes = st.lists(st.tuples(st.none() | outcomes, st.none() | outcomes), max_size=8)


@pytest.mark.parametrize("reference", [BINARY, REGRESSION])
@given(outcomes, outcomes)
def test_a_correction_leaves_what_the_corrected_outcome_alone_gives(reference: Reference, old: Outcome, new: Outcome) -> None:
    alone = _total(reference, outcome_parts(lambda _: _kept(reference), [(None, new)], PANE))
    both = [*outcome_parts(lambda _: _kept(reference), [(None, old)], PANE), *outcome_parts(lambda _: _kept(reference), [(old, new)], PANE)]
    assert _total(reference, both) == alone


@given(st.lists(outcomes, max_size=8))
def test_what_is_added_and_taken_back_in_one_transaction_leaves_no_part(found: list[Outcome]) -> None:
    assert outcome_parts(lambda _: _kept(BINARY), [(None, o) for o in found] + [(o, None) for o in reversed(found)], PANE) == []


@given(changes, st.integers(0, 8))
def test_transactions_may_be_cut_anywhere(found: list[tuple[Outcome | None, Outcome | None]], cut: int) -> None:
    one = outcome_parts(lambda _: _kept(BINARY), found, PANE)
    two = [*outcome_parts(lambda _: _kept(BINARY), found[:cut], PANE), *outcome_parts(lambda _: _kept(BINARY), found[cut:], PANE)]
    assert _total(BINARY, one) == _total(BINARY, two)


@given(st.lists(outcomes, min_size=1, max_size=8))
def test_an_outcome_is_late_where_its_label_was_and_counts_nowhere_without_a_reference(found: list[Outcome]) -> None:
    parts = outcome_parts(lambda o: _kept(BINARY, o.version == "2") if o.event_time % 2 else None, [(None, o) for o in found], PANE)
    assert sum(p.n for p in parts if p.late) == sum(o.version == "2" for o in found if o.event_time % 2)
    assert sum(p.n for p in parts) == sum(o.event_time % 2 for o in found)


@pytest.mark.parametrize("task", ["classification", "multiclass", "regression"])
@given(outcomes, labels)
def test_every_hostile_outcome_lands_in_one_slot_of_each_column_but_the_grid(task: Task, outcome: Outcome, label: float | str | bool) -> None:
    columns = regression_outcomes() if task == "regression" else binary_outcomes()
    if task == "multiclass":
        columns = tuple(c for c in columns if c.name in ("error", "label"))
    reference = sealed([], columns, task)
    layout = layout_of(reference, "outcomes")
    (part,) = outcome_parts(lambda _: _kept(reference), [(None, msgspec.structs.replace(outcome, label=label))], PANE)
    counts = np.zeros(layout.slots, np.int64)
    counts[np.frombuffer(part.slots, "<u4")] = np.frombuffer(part.counts, "<i8")
    for column in columns:
        assert counts[layout.slice_of(column.name)].sum() in ((0, 1) if column.name == "score_by_label" else (1,))


def test_a_layout_gives_each_column_its_own_slots_and_the_reference_its_own_counts() -> None:
    layout = Layout.of(binary_outcomes())
    slots = [i for column in layout.columns for i in range(layout.slots)[layout.slice_of(column.name)]]
    assert slots == list(range(layout.slots))
    assert layout.numeric == ("loss", "brier")
    assert reference_counts(layout).tolist() == [1] * layout.slots
    assert layout_of(BINARY, "outcomes") is layout_of(BINARY, "outcomes")
    with pytest.raises(KeyError):
        layout.slice_of("nobody")


def _total(reference: Reference, parts: list[PanePart]) -> dict[tuple[int, bool], tuple[int, dict[int, int], list[int], dict[str, int]]]:
    """What is left of each pane when all is added up; panes of nothing are left out."""
    layout = layout_of(reference, "outcomes")
    totals: dict[tuple[int, bool], tuple[int, Counter[int], np.ndarray[tuple[int], np.dtype[np.int64]], Counter[str]]] = {}
    for part in parts:
        n, counts, sums, versions = totals.get((part.start, part.late), (0, Counter(), np.zeros(2 * len(layout.numeric), np.int64), Counter()))
        slots = np.frombuffer(part.slots, "<u4").tolist()
        for slot, count in zip(slots, np.frombuffer(part.counts, "<i8").tolist(), strict=True):
            counts[slot] += count
        for version, count in part.versions.items():
            versions[version] += count
        totals[part.start, part.late] = (n + part.n, counts, sums + np.frombuffer(part.sums, "<i8"), versions)
    told = {
        key: (n, {s: c for s, c in counts.items() if c}, sums.tolist(), {v: c for v, c in versions.items() if c})
        for key, (n, counts, sums, versions) in totals.items()
    }
    return {key: total for key, total in told.items() if total[0] or total[1] or any(total[2]) or total[3]}
