from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.streams.records import PANE, T0, Record, event, reference

from driftline.contracts.cutting import Cut, Cuts
from driftline.contracts.summaries import BlockSummary, encode_summary
from driftline.contracts.times import DAY_MS
from driftline.detectors.parts import PartBuilder
from driftline.streams.blocks import Origin, Snapshot, SourceBlocks
from driftline.streams.reading import Reader, decode
from driftline.streams.references import ReferenceBook

BLOCK = 4
BY_OFFSETS = Cuts(((0, Cut(BLOCK, 0)),))
LATENESS = 2_000
REFERENCES = (reference("1"), reference("1", T0 + PANE), reference("2"), reference("1", model="n"))


def _blocks(position: int = 0, watermark: int = 0, cuts: Cuts = BY_OFFSETS) -> SourceBlocks:
    return begun(Origin(position, watermark, whole=position % BLOCK == 0), cuts)


def begun(origin: Origin, cuts: Cuts) -> SourceBlocks:
    book = ReferenceBook()
    book.add(REFERENCES)
    reader = Reader(book, {}, LATENESS, allowed_skew=60_000)
    return SourceBlocks(3, origin, cuts=cuts, reader=reader, new_builder=lambda _: PartBuilder(PANE, 8, 100, {}))


def _event(offset: int, kind: int, at: int, model: str, version: str) -> Record:
    if kind == 0:
        return Record(offset, b"not an event")
    if kind == 1:
        return event(offset, at, model=model, version=version, features=[])
    if kind in (2, 3):  # from a clock that is ahead: by an hour, by days
        return event(offset, at + (3_600_000, 10**9)[kind - 2], model=model, version=version, appended=at)
    # Few ids: an event may come twice.
    return event(offset, at, event_id=f"event-{offset % 7}", model=model, version=version)


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """A partition with gaps in its offsets, two models and a learning one, late events, skewed clocks and junk."""
    offset, found = 0, []
    for _ in range(draw(st.integers(1, 24))):
        offset += draw(st.sampled_from([1, 1, 1, 1, 2, 6]))
        at = T0 + draw(st.integers(0, 3 * PANE))
        found.append(_event(offset - 1, draw(st.integers(0, 9)), at, draw(st.sampled_from(["m", "n", "new"])), draw(st.sampled_from(["1", "2"]))))
    return found


def _batches(records: Sequence[Record], cuts: Sequence[int]) -> list[Sequence[Record]]:
    edges = sorted({0, len(records), *(cut % (len(records) + 1) for cut in cuts)})
    return [records[i:j] for i, j in pairwise(edges)]


def _read(blocks: SourceBlocks, batches: Sequence[Sequence[Record]]) -> list[Snapshot]:
    """Feed batches, taking a snapshot after each."""
    snapshots = []
    for batch in batches:
        blocks.feed(blocks._reader.decode(batch))
        snapshots.append(blocks.take())
    return snapshots


def _newest(summaries: Sequence[BlockSummary]) -> dict[tuple[str, int], bytes]:
    """What detect is left with: the last revision of each block. How far an open one reached is not told again when other models' records follow."""
    return {(s.model, s.start): encode_summary(s if s.final else replace(s, next=s.start)) for s in summaries}


def _summaries(snapshots: Sequence[Snapshot]) -> list[BlockSummary]:
    return [summary for snapshot in snapshots for summary in snapshot.summaries]


cuts = st.lists(st.integers(0, 30), max_size=6)


@given(logs(), cuts, cuts)
def test_any_batching_of_the_same_records_gives_the_same_blocks_rejects_and_time(log: list[Record], one: list[int], other: list[int]) -> None:
    first, second = _read(_blocks(), _batches(log, one)), _read(_blocks(), _batches(log, other))
    assert _newest(_summaries(first)) == _newest(_summaries(second))
    assert sorted(r.record.offset for s in first for r in s.rejected) == sorted(r.record.offset for s in second for r in s.rejected)
    assert first[-1].origin == second[-1].origin
    assert (first[-1].position, first[-1].watermark, first[-1].newest) == (second[-1].position, second[-1].watermark, second[-1].newest)


@given(logs(), cuts)
def test_every_record_is_in_exactly_one_block_or_rejected(log: list[Record], where: list[int]) -> None:
    snapshots = _read(_blocks(), _batches(log, where))
    newest = {(s.model, s.start): s for s in _summaries(snapshots)}
    counted = sum(part.n for summary in newest.values() for part in summary.panes)
    assert counted + sum(len(snapshot.rejected) for snapshot in snapshots) == len(log)


@given(logs(), cuts)
def test_a_commit_is_the_start_of_a_block_and_never_goes_back(log: list[Record], where: list[int]) -> None:
    snapshots = _read(_blocks(), _batches(log, where))
    commits = [snapshot.origin.start for snapshot in snapshots]
    assert commits == sorted(commits)
    assert all(commit % BLOCK == 0 for commit in commits)
    assert all(snapshot.origin.start <= snapshot.position for snapshot in snapshots)


@given(logs(), cuts)
def test_revisions_of_a_block_only_grow_and_the_final_one_is_the_last(log: list[Record], where: list[int]) -> None:
    seen: dict[tuple[str, int], BlockSummary] = {}
    for summary in _summaries(_read(_blocks(), _batches(log, where))):
        known = seen.get((summary.model, summary.start))
        if known is not None:
            assert not known.final
            assert (summary.first, summary.partition) == (known.first, 3)
            assert summary.next >= known.next
            assert sum(p.n for p in summary.panes) >= sum(p.n for p in known.panes)
        assert summary.start % BLOCK == 0
        assert summary.start <= summary.first < summary.next <= summary.start + BLOCK
        assert not summary.final or summary.next == summary.start + BLOCK
        seen[summary.model, summary.start] = summary


@given(logs(), cuts, cuts, st.integers(0, 30))
def test_a_new_owner_that_reads_again_from_the_commit_makes_the_same_blocks(log: list[Record], one: list[int], other: list[int], cut: int) -> None:
    whole = _newest(_summaries(_read(_blocks(), _batches(log, one))))
    until = cut % (len(log) + 1)
    old = _read(_blocks(), _batches(log[:until], one)) if until else []
    commit, watermark = (old[-1].origin.start, old[-1].origin.watermark) if old else (0, 0)
    rest = [record for record in log if record.offset >= commit]
    new = _read(_blocks(commit, watermark), _batches(rest, other)) if rest else []
    assert _newest([*_summaries(old), *_summaries(new)]) == whole
    # And whatever the former owner said of a block that it had finished is said no more.
    finished = {(s.model, s.start) for s in _summaries(old) if s.final}
    assert finished.isdisjoint((s.model, s.start) for s in _summaries(new))


@given(logs())
def test_what_has_not_left_is_not_committed(log: list[Record]) -> None:
    blocks = _blocks()
    for record in log:
        blocks.feed(decode([record]))
        assert not blocks.clean or record.value is None
    snapshot = blocks.take()
    assert blocks.clean
    assert blocks.pending == 0
    again = blocks.take()
    assert (again.summaries, again.rejected) == ([], [])
    assert (again.origin, again.position) == (snapshot.origin, snapshot.position)


@given(logs(), cuts, st.integers(1, 3))
def test_where_the_log_was_cut_inside_a_block_its_rest_goes_one_offset_a_piece(log: list[Record], where: list[int], ragged: int) -> None:
    start = log[0].offset // BLOCK * BLOCK + ragged
    rest = [record for record in log if record.offset >= start]
    snapshots = _read(_blocks(start), _batches(rest, where)) if rest else []
    aligned = start // BLOCK * BLOCK + BLOCK
    for summary in _summaries(snapshots):
        if summary.first < aligned:
            assert (summary.start, summary.next, summary.final) == (summary.first, summary.first + 1, True)
        else:
            assert summary.start % BLOCK == 0
    # The aligned blocks after it are those of a reader who saw the same watermark there, whatever came before.
    pieces = [s for s in _summaries(snapshots) if s.start < aligned]
    assert sum(p.n for s in pieces for p in s.panes) + sum(r.record.offset < aligned for snapshot in snapshots for r in snapshot.rejected) == sum(
        record.offset < aligned for record in rest
    )


def test_lateness_is_decided_by_the_log_alone_and_carried_over_a_commit() -> None:
    log = [event(0, T0 + PANE), event(1, T0), event(2, T0 + PANE - LATENESS), event(3, T0 + PANE - LATENESS - 1), event(4, T0)]
    summaries = _summaries(_read(_blocks(), [log]))
    late = sorted((part.start, part.n) for s in summaries for part in s.panes if part.late)
    assert late == [(T0, 1), (T0, 2)]
    resumed = _read(_blocks(4, T0 + PANE), [log[4:]])
    assert [part.late for s in _summaries(resumed) for part in s.panes] == [True]


def test_a_clock_ahead_makes_nobody_late_and_is_counted() -> None:
    log = [event(0, T0 + 3_600_000, appended=T0), event(1, T0)]
    [snapshot] = _read(_blocks(), [log])
    assert (snapshot.watermark, snapshot.newest) == (T0, T0 + 3_600_000)
    parts = [part for s in snapshot.summaries for part in s.panes]
    assert not any(part.late for part in parts)
    assert sum(part.quality.get("clock_skew", 0) for part in parts) == 1


@pytest.mark.parametrize(("at", "reason"), [(T0 + 60_001 + DAY_MS, "ahead"), (T0 - 90 * DAY_MS - 1, "further back")])
def test_an_event_out_of_all_time_is_a_dead_letter_and_opens_no_pane(at: int, reason: str) -> None:
    log = [event(0, T0), event(1, at, appended=T0), event(2, T0)]
    [snapshot] = _read(_blocks(), [log])
    assert [(r.record.offset, reason in r.error.reason) for r in snapshot.rejected] == [(1, True)]
    assert {(part.start, part.n) for s in snapshot.summaries for part in s.panes} == {(T0, 2)}
    assert snapshot.watermark == T0


def test_an_event_meets_the_reference_of_its_version_and_time() -> None:
    log = [event(0, T0), event(1, T0 + PANE), event(2, T0, version="2"), event(3, T0, version="3"), event(4, T0, model="new")]
    [snapshot] = _read(_blocks(), [log])
    parts = [part for s in snapshot.summaries for part in s.panes]
    ids = [r.reference_id for r in REFERENCES]
    by_version = {next(iter(part.versions)): part.reference_id for part in parts if part.start == T0 and part.reference_id}
    assert by_version["2"] == ids[2]
    assert by_version["3"] in ids[:3]
    assert {part.reference_id for part in parts if part.start == T0 + PANE} == {ids[1]}
    assert [part.n for part in parts if part.reference_id == ""] == [1]
    assert sum(part.quality.get("unknown_version", 0) for part in parts) == 1


def test_features_that_cannot_be_read_are_rejected_and_the_rest_of_the_block_counts() -> None:
    bad = Record(1, b'{"event_id":"b","model":"m","event_time":%d,"features":{"x":' % T0 + b"[" * 2000 + b"]" * 2000 + b"}}", timestamp=T0)
    [snapshot] = _read(_blocks(), [[event(0, T0), bad, event(2, T0)]])
    assert [r.record.offset for r in snapshot.rejected] == [1]
    assert sum(part.n for s in snapshot.summaries for part in s.panes) == 2


def test_what_the_former_owner_had_read_of_an_open_block_makes_nobody_late_for_the_next_one() -> None:
    log = [event(0, T0), event(1, T0 + 2 * PANE), event(2, T0)]
    [old] = _read(_blocks(), [log[:2]])
    assert (old.origin, old.watermark) == (Origin(0, 0, whole=True), T0 + 2 * PANE)
    [new] = _read(begun(old.origin, BY_OFFSETS), [log])
    counted = sorted((part.start, part.late, part.n) for s in new.summaries for part in s.panes)
    assert counted == [(T0, False, 1), (T0, True, 1), (T0 + 2 * PANE, False, 1)]
