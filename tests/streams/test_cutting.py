"""Blocks that end by time, or full: whoever reads them, however often they change hands, the panes are those of one reader of the whole log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.streams.records import PANE, T0, Record, event
from tests.streams.test_blocks import begun

from driftline.contracts.cutting import Cut, Cuts
from driftline.contracts.summaries import BlockSummary, encode_summary
from driftline.streams.blocks import OpenBlock, Origin, Snapshot, SourceBlocks
from driftline.streams.detect.revisions import Revisions, Verdict
from driftline.streams.reading import Decoded
from driftline.streams.records import value_sizes

MINUTE = 60_000
#: The shortest block that time ends: 1, 2 and 4 offsets.
CUTS = (Cut(8, 2 * MINUTE), Cut(32, MINUTE), Cut(64, 5 * MINUTE), Cut(16, 0), Cut(4, 0), Cut(32, 2 * MINUTE, 700), Cut(16, 0, 150))
FRESH = Origin(0, 0, whole=True)


@st.composite
def slow_logs(draw: st.DrawFn) -> list[Record]:
    """A partition with few records an hour, of two models, whose timestamps jump back and ahead and may be none; late events, junk, gaps."""
    offset, written, found = 0, T0, []
    for _ in range(draw(st.integers(1, 60))):
        offset += draw(st.sampled_from([1, 1, 1, 1, 1, 1, 2, 7]))
        written += draw(st.sampled_from([0, 1_000, 20_000, MINUTE, 6 * MINUTE, 3 * 3_600_000, -2 * MINUTE, -3_600_000]))
        stamp = draw(st.sampled_from([written, written, written, written, -1, 0, 1 << 62]))
        at = T0 + draw(st.integers(0, 4 * PANE))
        if draw(st.integers(0, 9)) == 0:
            found.append(Record(offset - 1, draw(st.sampled_from([b"not an event", b"", None, b"?" * 150, b"?" * 2_000])), timestamp=stamp))
        else:
            found.append(event(offset - 1, at, model=draw(st.sampled_from(["m", "n"])), appended=max(at, stamp)))
    return found


@dataclass
class Detected:
    """What detect is left with: each block's revisions in the order in which they came, by its own rules."""

    blocks: Revisions = field(default_factory=Revisions)
    panes: Counter[tuple[object, ...]] = field(default_factory=Counter)
    floor: int = 0

    def take(self, snapshots: Iterable[Snapshot]) -> None:
        for snapshot in snapshots:
            for summary in snapshot.summaries:
                if self.blocks.judge(summary, self.floor) is Verdict.NEW:
                    for part, sign in ((p, s) for change in self.blocks.changes(summary) for p, s in zip(change, (-1, 1), strict=True)):
                        if part is not None:
                            self.panes[summary.model, part.reference_id, part.start, part.late, part.slots] += sign * part.n
                            self.panes[summary.model, part.reference_id, part.start, part.late] += sign * part.n
                    self.blocks.put(summary)
            self.floor = max(self.floor, snapshot.origin.start)
            self.blocks.drop_below({3: self.floor})

    @property
    def counts(self) -> dict[tuple[object, ...], int]:
        return {name: n for name, n in self.panes.items() if n and len(name) == 4}


def read(blocks: SourceBlocks, log: Sequence[Record], cuts: Iterable[int]) -> list[Snapshot]:
    """Read a log in batches; a snapshot is taken after each."""
    edges = sorted({0, len(log), *(cut % (len(log) + 1) for cut in cuts)})
    snapshots = []
    for i, j in pairwise(edges):
        records = log[i:j]
        items = blocks._reader.decode(records)
        blocks.feed(items.part(items.before(blocks.position)))
        snapshots.append(blocks.take())
    return snapshots


def settled(known: Cuts | None, cut: Cut, end: int) -> Cuts:
    """What `store.block_cuts` comes to, without a database."""
    since = [] if known is None else [(o, known.at(o)) for o in known._offsets]
    if known is None:
        since = [(0, cut)]
    elif known.last != cut:
        since.append((known.last.boundary(max(end, known.latest + 1)), cut))
    return Cuts(tuple(since))


@dataclass(frozen=True)
class Turn:
    """An owner: what it wants, how far the log had grown when it came and when it was gone, which of its flushes were the last sent and committed."""

    cut: Cut
    batches: list[int]
    grown: int
    sent: int
    committed: int
    zombie: bool


turns = st.lists(
    st.builds(
        Turn, st.sampled_from(CUTS), st.lists(st.integers(0, 60), max_size=5), st.integers(0, 60), st.integers(0, 6), st.integers(0, 6), st.booleans()
    ),
    max_size=5,
)


def histories(log: Sequence[Record], history: Sequence[Turn], first: Cut, last: list[int], *, change: bool) -> Detected:
    """Let owners follow each other over a growing log, each dying at some flush; the last one reads to the end."""
    detected, origin, cuts, seen = Detected(), FRESH, settled(None, first, 0), 0
    late: list[Snapshot] = []
    for turn in history:
        end = log[seen - 1].offset + 1 if seen else 0
        cuts = settled(cuts, turn.cut, end) if change else cuts
        seen = max(seen, min(len(log), seen + turn.grown % (len(log) + 1)))
        snapshots = read(begun(origin, cuts), [r for r in log[:seen] if r.offset >= origin.start], turn.batches)
        sent = snapshots[: turn.sent]
        # A zombie's flushes arrive when its successor is at work, or not at all.
        (late.extend if turn.zombie else detected.take)(sent)
        committed = [] if turn.zombie else sent[: turn.committed]
        origin = committed[-1].origin if committed else origin
    detected.take(_interleaved(read(begun(origin, cuts), [r for r in log if r.offset >= origin.start], last), late))
    return detected


def _interleaved(one: list[Snapshot], other: list[Snapshot]) -> list[Snapshot]:
    found = []
    for i in range(max(len(one), len(other))):
        found += one[i : i + 1] + other[i : i + 1]
    return found


def counted(log: Sequence[Record], cut: Cut) -> Detected:
    detected = Detected()
    detected.take(read(begun(FRESH, settled(None, cut, 0)), log, []))
    return detected


batches = st.lists(st.integers(0, 60), max_size=6)
few = settings(max_examples=25, deadline=None)


@few
@given(slow_logs(), turns, st.sampled_from(CUTS), batches)
def test_any_owners_and_restarts_give_the_panes_of_one_reader(log: list[Record], history: list[Turn], cut: Cut, last: list[int]) -> None:
    assert histories(log, history, cut, last, change=False).counts == counted(log, cut).counts


@few
@given(slow_logs(), turns, st.sampled_from(CUTS), batches)
def test_nor_does_it_matter_when_the_settings_change(log: list[Record], history: list[Turn], cut: Cut, last: list[int]) -> None:
    sleepless = [Turn(t.cut, t.batches, t.grown, t.sent, t.committed, zombie=False) for t in history]
    assert histories(log, sleepless, cut, last, change=True).counts == counted(log, cut).counts


@few
@given(slow_logs(), st.sampled_from(CUTS), batches, batches)
def test_any_batching_gives_the_same_blocks(log: list[Record], cut: Cut, one: list[int], other: list[int]) -> None:
    cuts = settled(None, cut, 0)
    first, second = (read(begun(FRESH, cuts), log, batched) for batched in (one, other))
    final = [sorted(encode_summary(s) for snapshot in run for s in snapshot.summaries if s.final) for run in (first, second)]
    assert final[0] == final[1]
    assert first[-1].origin == second[-1].origin


@few
@given(slow_logs(), st.sampled_from([cut for cut in CUTS if cut.span and not cut.most_bytes]), batches)
def test_no_clock_makes_many_blocks_of_one_and_records_of_one_block_were_written_together(log: list[Record], cut: Cut, batched: list[int]) -> None:
    snapshots = read(begun(FRESH, settled(None, cut, 0)), log, batched)
    spans = {(s.start, s.next) for snapshot in snapshots for s in snapshot.summaries if s.final}
    assert all(start // cut.size == (next_ - 1) // cut.size for start, next_ in spans)
    most = Counter(start // cut.size for start, _ in spans)
    assert max(most.values(), default=0) <= 16
    written = {r.offset: r.timestamp for r in log}
    for start, next_ in spans:
        inside = [o for o in written if start <= o < next_]
        # But for the records that came before the next place at which time may end it.
        beyond = [o for o in inside if written[o] >= written[inside[0]] + cut.span]
        assert len({o // cut.shortest for o in beyond if o // cut.shortest != inside[0] // cut.shortest}) <= len(beyond)
        assert all(any(p < o and p // cut.shortest == o // cut.shortest for p in inside) for o in beyond)


@few
@given(slow_logs(), st.sampled_from([cut for cut in CUTS if cut.most_bytes]), batches)
def test_a_block_ends_with_the_record_that_fills_it(log: list[Record], cut: Cut, batched: list[int]) -> None:
    snapshots = read(begun(FRESH, settled(None, cut, 0)), log, batched)
    # Each model that has rows in a block has a summary of it; blocks of junk alone have none.
    for start, next_ in {(s.start, s.next) for snapshot in snapshots for s in snapshot.summaries if s.final}:
        inside = [r for r in log if start <= r.offset < next_]
        sizes = value_sizes(inside)
        assert sum(sizes[:-1]) < cut.most_bytes
        # It ends no sooner than that, but for its other two ends.
        late = cut.span > 0 and any(r.timestamp >= inside[0].timestamp + cut.span for r in log if r.offset >= next_)
        assert sum(sizes) >= cut.most_bytes or next_ % cut.size == 0 or late


def test_a_heavy_block_ends_at_whatever_offset_it_is_full() -> None:
    log = [event(i, T0 + i, appended=T0) for i in range(0, 24, 2)]
    sizes = value_sizes(log)
    assert max(sizes) < 150 <= 2 * min(sizes)
    [snapshot] = read(begun(FRESH, settled(None, Cut(16, 0, 150), 0)), log, [])
    # Offsets that the log left out belong to the block that comes next; an aligned offset ends one however little it weighs.
    assert [(s.start, s.first, s.next) for s in snapshot.summaries] == [(0, 0, 3), (3, 4, 7), (7, 8, 11), (11, 12, 15), (16, 16, 19), (19, 20, 23)]
    assert (snapshot.origin.start, snapshot.position) == (23, 23)


def test_a_block_of_a_slow_stream_ends_before_the_first_record_written_its_span_later() -> None:
    log = [event(i, T0 + i, appended=T0 + i * MINUTE) for i in range(12)]
    [snapshot] = read(begun(FRESH, settled(None, Cut(16, 5 * MINUTE), 0)), log, [])
    assert [(s.start, s.next, s.final) for s in snapshot.summaries] == [(0, 5, True), (5, 10, True), (10, 12, False)]
    assert snapshot.origin == Origin(10, T0 + 9, whole=True)
    assert snapshot.position == 12


def test_where_the_log_was_cut_inside_such_a_block_detect_drops_what_it_has() -> None:
    log = [event(i, T0 + i, appended=T0 + i * MINUTE) for i in range(40)]
    cuts = settled(None, Cut(16, 5 * MINUTE), 0)
    detected = Detected()
    former = read(begun(FRESH, cuts), log[:9], [7])
    detected.take(former)
    rest = read(begun(Origin(7, T0 + 4, whole=False), cuts), log[7:], [3])
    assert [s.next - s.start for snapshot in rest for s in snapshot.summaries if s.start < 16] == [1] * 9
    assert [snapshot.origin.whole for snapshot in rest] == [False, True]
    detected.take(rest)
    assert sum(detected.counts.values()) == 40
    # Its former owner, which still has the block, wakes up and goes on with it: what is in first counts.
    detected.take([former[-1]])
    assert sum(detected.counts.values()) == 40


def test_so_it_does_when_the_rest_comes_in_several_flushes() -> None:
    log = [event(i, T0 + i, appended=T0) for i in range(40)]
    cuts = settled(None, Cut(32, 0), 0)
    detected = Detected()
    detected.take(read(begun(FRESH, cuts), log[:20], []))
    # Each flush tells a floor, which passes the start of the block that was open and not yet its end.
    detected.take(read(begun(Origin(10, T0 + 9, whole=False), cuts), log[10:], [4, 8, 12, 16]))
    assert sum(detected.counts.values()) == 40


def test_a_block_begins_no_sooner_than_its_cut_holds_wherever_the_log_begins() -> None:
    """A gap before the offset from which larger blocks hold, and the log cut within the gap: the position stands before the block's own start."""
    log = [event(i, T0 + i, appended=T0) for i in (*range(5), *range(10, 40))]
    cuts = Cuts(((0, Cut(8, 0, 5 * len(log[0].value or b""))), (8, Cut(32, 0))))
    former = read(begun(FRESH, cuts), log[:8], [])
    assert [(s.start, s.first, s.next) for s in former[0].summaries] == [(0, 0, 5), (8, 10, 13)]
    for first in (5, 6, 8, 10):
        detected = Detected()
        detected.take(former)
        whole = first == 8
        detected.take(read(begun(Origin(first, T0 + 4, whole=whole), cuts), [r for r in log if r.offset >= first], [3, 9]))
        assert sum(detected.counts.values()) == 35, first


def test_a_zombie_that_goes_on_with_a_block_whose_rest_came_in_pieces_adds_nothing() -> None:
    whole = BlockSummary("m", 3, 0, 0, 4, final=False, panes=[])
    piece = BlockSummary("m", 3, 5, 5, 6, final=True, panes=[])
    revisions = Revisions([Revisions().put(whole), Revisions().put(piece)])
    assert revisions.judge(BlockSummary("m", 3, 0, 0, 5, final=False, panes=[]), 0) is Verdict.NEW
    assert revisions.judge(BlockSummary("m", 3, 0, 0, 8, final=True, panes=[]), 0) is Verdict.REPEATED
    assert revisions.judge(BlockSummary("n", 3, 0, 0, 8, final=True, panes=[]), 0) is Verdict.NEW
    assert revisions.judge(BlockSummary("m", 2, 0, 0, 8, final=True, panes=[]), 0) is Verdict.NEW


# -- what the suite would miss if it could


def _by_the_batch(self: OpenBlock, items: Decoded, i: int) -> int:
    """End a block where its time is over as of the batch in hand, not as of its own first record."""
    stop = items.before(self.end)
    limit = items.records[0].timestamp + self.cut.span
    return next((j for j in range(i + 1, stop) if items.records[j].timestamp >= limit), stop)


def _by_what_came_at_once(self: OpenBlock, items: Decoded, i: int) -> int:
    """End a block where the batch in hand comes to its weight, whatever the block weighed before."""
    stop = items.before(self.end)
    n, self.held = self.cut.room(0, value_sizes(items.records[i:stop]))
    return i + n


def _any_record(self: SourceBlocks) -> Snapshot:
    """Go on where the reader stands, as if a block began there."""
    return replace(TAKE(self), origin=Origin(self.position, self.watermark, whole=True))


TAKE = SourceBlocks.take


@pytest.mark.parametrize(
    ("cut", "owner", "name", "flaw"),
    [
        (Cut(32, 5 * MINUTE), OpenBlock, "admit", _by_the_batch),
        (Cut(32, 5 * MINUTE), SourceBlocks, "take", _any_record),
        (Cut(32, 0, 700), OpenBlock, "admit", _by_what_came_at_once),
    ],
)
def test_blocks_that_end_by_anything_but_their_own_records_are_found_out(
    monkeypatch: pytest.MonkeyPatch, cut: Cut, owner: type, name: str, flaw: object
) -> None:
    slow = [event(i, T0 + i, appended=T0 + i * MINUTE) for i in range(40)]
    whole = counted(slow, cut).counts
    monkeypatch.setattr(owner, name, flaw)
    owners = product((6, 9, 13, 30), (1, 2, 3), (0, 1, 2), (3, 11, 17))
    history = ([Turn(cut, [batch, 2 * batch], grown, sent, committed, zombie=False)] for grown, sent, committed, batch in owners)
    assert any(histories(slow, turn, cut, [7, 20], change=False).counts != whole for turn in history)


def test_settings_that_change_at_once_are_found_out() -> None:
    log = [event(i, T0 + i, appended=T0 + i * MINUTE) for i in range(40)]
    detected = Detected()
    detected.take(read(begun(FRESH, Cuts(((0, Cut(16, 0)),))), log[:14], []))
    detected.take(read(begun(FRESH, Cuts(((0, Cut(16, 5 * MINUTE)),))), log, []))
    assert sum(detected.counts.values()) < 40
