from __future__ import annotations

from collections.abc import Callable

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from driftline.streams.transport.positions import LogBounds, PositionBeyondEnd, StartPosition, resuming, start_position
from driftline.streams.transport.tracker import METADATA_LIMIT, Commit, Tracker

A = TP("a", 0)


def start(offset: int = 0, committed: int | None = None, metadata: str = "") -> StartPosition:
    return StartPosition(offset, metadata, committed, earliest=0, end=1000, lost=0)


def tracker_at(offset: int = 0, committed: int | None = None, metadata: str = "") -> Tracker:
    tracker = Tracker()
    tracker.begin({A: start(offset, committed, metadata)})
    return tracker


def test_nothing_is_due_until_an_agent_names_an_offset() -> None:
    tracker = tracker_at()
    tracker.deliver(A, 10)
    tracker.ack(A, 10, epoch=0)
    assert tracker.due() == {}


def test_zero_can_be_committed() -> None:
    tracker = tracker_at()
    assert tracker.commit_to(A, 0, epoch=0, metadata="watermark")
    assert tracker.due() == {A: Commit(0, "watermark")}


def test_what_could_not_be_written_stays_due() -> None:
    tracker = tracker_at()
    tracker.deliver(A, 10)
    tracker.commit_to(A, 5, epoch=0)
    assert tracker.due() == tracker.due() == {A: Commit(5, "")}
    tracker.written(tracker.due(), epoch=0)
    assert tracker.due() == {}


def test_what_was_named_while_a_commit_was_under_way_is_due_after_it() -> None:
    tracker = tracker_at()
    tracker.deliver(A, 10)
    tracker.commit_to(A, 5, epoch=0)
    under_way = tracker.due()
    tracker.commit_to(A, 7, epoch=0)
    tracker.written(under_way, epoch=0)
    assert tracker.due() == {A: Commit(7, "")}


def test_new_metadata_for_the_same_offset_is_due_and_the_same_again_is_not() -> None:
    tracker = tracker_at(offset=5, committed=5, metadata="old")
    tracker.commit_to(A, 5, epoch=0, metadata="old")
    assert tracker.due() == {}
    tracker.commit_to(A, 5, epoch=0, metadata="new")
    assert tracker.due() == {A: Commit(5, "new")}


def test_an_epoch_that_is_over_can_neither_name_nor_write() -> None:
    tracker = tracker_at()
    tracker.deliver(A, 10)
    tracker.commit_to(A, 5, epoch=0)
    under_way = tracker.due()
    tracker.forget()
    assert tracker.due() == {}
    assert not tracker.commit_to(A, 6, epoch=0)
    tracker.begin({A: start(3, committed=3)})
    tracker.written(under_way, epoch=0)
    tracker.ack(A, 10, epoch=0)
    assert tracker.due() == {}
    assert tracker.progress_of(A) == 3
    tracker.deliver(A, 9)
    tracker.commit_to(A, 5, epoch=1)
    assert tracker.due() == {A: Commit(5, "")}
    assert not tracker.commit_to(A, 6, epoch=0)


@pytest.mark.parametrize("offset", [4, 8, 21])
def test_only_a_mistake_names_an_offset_before_the_last_one_or_beyond_what_was_delivered(offset: int) -> None:
    tracker = tracker_at(offset=5)
    tracker.deliver(A, 20)
    tracker.commit_to(A, 5 if offset == 4 else 9, epoch=0)
    with pytest.raises(ValueError, match="can't commit"):
        tracker.commit_to(A, offset, epoch=0)


def test_metadata_that_kafka_would_refuse_is_refused_at_once() -> None:
    tracker = tracker_at()
    tracker.commit_to(A, 0, epoch=0, metadata="é" * (METADATA_LIMIT // 2))
    with pytest.raises(ValueError, match="4098 bytes"):
        tracker.commit_to(A, 0, epoch=0, metadata="é" * (METADATA_LIMIT // 2 + 1))


def test_a_smaller_commit_than_kafka_s_is_written_where_the_epoch_began_before_it() -> None:
    # SQL owns the position and was restored from a backup: Kafka's commit follows it.
    tracker = tracker_at(offset=50, committed=80)
    tracker.deliver(A, 60)
    assert tracker.commit_to(A, 60, epoch=0)
    assert tracker.due() == {A: Commit(60, "")}


def test_offsets_without_records_count_as_read_only_behind_the_last_batch() -> None:
    tracker = tracker_at()
    assert tracker.position_after(A, 0) == 0
    tracker.read_to(A, 3)
    assert tracker.position_after(A, 0) == 3  # markers before the first record
    assert tracker.deliver(A, 10) is None
    tracker.read_to(A, 11)
    assert tracker.deliver(A, 20) == 10
    assert tracker.position_after(A, 10) == 11  # as before: the batch that came since begins behind the marker
    assert tracker.position_after(A, 20) == 20
    tracker.read_to(A, 21)
    assert tracker.position_after(A, 19) == 19
    assert tracker.position_after(A, 20) == 21


@given(st.lists(st.sampled_from(["marker", "batch", "take", "look", "name"]), max_size=60), st.integers(0, 9))
def test_an_agent_may_name_where_it_stood_at_any_time_whatever_has_come_since(steps: list[str], offset: int) -> None:
    """It looks where it stands, has much to send, takes batches in meanwhile, and then names what it saw: several times, if nothing comes."""
    tracker = tracker_at(offset)
    end = taken = stood = offset  # where the log ends, where the agent is, where it was when it looked
    batches: list[tuple[int, int]] = []  # of each the first offset and the one after its last
    waiting: list[int] = []
    for step in steps:
        if step == "marker":
            end += 1
            tracker.read_to(A, end)
        elif step == "batch":
            batches.append((end, end + 2))
            end += 2
            tracker.deliver(A, end)
            waiting.append(end)
        elif step == "take" and waiting:
            taken = waiting.pop(0)
            tracker.ack(A, taken, epoch=0)
        elif step == "look":
            stood = taken
        elif step == "name":
            reached = tracker.position_after(A, stood)
            assert tracker.commit_to(A, reached, epoch=0)
            assert reached == next((first for first, _ in batches if first >= stood), end)  # every marker before the next record, and no record


def test_between_epochs_a_partition_is_unknown() -> None:
    tracker = tracker_at()
    tracker.forget()
    assert not tracker.begun
    with pytest.raises(KeyError):
        tracker.start_of(A)


class TrackerLaws(RuleBasedStateMachine):
    """Whatever happens in whatever order: Kafka never holds an offset that was not processed, and what was is due."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = Tracker()
        self.kafka: int | None = None
        self.processed = 0  # below this all is processed, in this epoch or an earlier one
        self.read = 0
        self.named: int | None = None
        self.under_way: tuple[dict[TP, Commit], int] | None = None

    @rule()
    def rewind(self) -> None:
        self.tracker.forget()
        self.named = None

    @precondition(lambda self: not self.tracker.begun and self.under_way is None)
    @rule()
    def seek(self) -> None:
        self.read = self.kafka or 0
        self.tracker.begin({A: start(self.read, self.kafka)})

    @precondition(lambda self: self.tracker.begun)
    @rule(n=st.integers(1, 5))
    def read_on(self, n: int) -> None:
        self.read += n
        self.tracker.deliver(A, self.read)

    @rule(epochs_ago=st.integers(0, 2))
    def process(self, epochs_ago: int) -> None:
        if self.tracker.commit_to(A, self.read, self.tracker.epoch - epochs_ago):
            self.named = self.read
            self.processed = max(self.processed, self.read)

    @precondition(lambda self: self.under_way is None)
    @rule()
    def begin_commit(self) -> None:
        self.under_way = (self.tracker.due(), self.tracker.epoch)

    @precondition(lambda self: self.under_way)
    @rule(success=st.booleans())
    def end_commit(self, success: bool) -> None:
        assert self.under_way is not None
        (commits, epoch), self.under_way = self.under_way, None
        if success and commits:
            self.kafka = commits[A].offset
            self.tracker.written(commits, epoch)

    @invariant()
    def what_is_committed_was_processed(self) -> None:
        assert (self.kafka or 0) <= self.processed

    @invariant()
    def what_was_named_is_due_unless_kafka_holds_it(self) -> None:
        due = self.tracker.due()
        assert due == ({} if self.named in (None, self.kafka) else {A: Commit(self.named or 0, "")})


TestTrackerLaws = TrackerLaws.TestCase


Begin = Callable[[TP, LogBounds, int | None], StartPosition]


def begins_rightly(begin: Begin, held: int | None, committed: int | None, earliest: int, length: int) -> None:
    bounds = LogBounds(committed, "m", earliest, earliest + length)
    wanted = next(o for o in (held, committed, earliest) if o is not None)
    if wanted > bounds.end:
        with pytest.raises(PositionBeyondEnd, match="SQL" if held is not None else "consumer group"):
            begin(A, bounds, held)
        return
    began = begin(A, bounds, held)
    assert began.offset == max(wanted, earliest)
    assert began.lost == began.offset - wanted
    assert (began.committed, began.metadata) == (committed, "m")


@given(st.none() | st.integers(0, 20), st.none() | st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_reading_begins_at_sql_s_offset_else_at_the_commit_else_at_the_beginning_and_within_the_log(
    held: int | None, committed: int | None, earliest: int, length: int
) -> None:
    begins_rightly(start_position, held, committed, earliest, length)


@pytest.mark.parametrize("committed", [None, 3, 9])
def test_who_begins_at_the_group_s_commit_whatever_sql_says_is_found_out(committed: int | None) -> None:
    with pytest.raises(AssertionError):
        begins_rightly(lambda tp, bounds, _: start_position(tp, bounds, None), 7, committed, 0, 20)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20), st.integers(0, 20), st.none() | st.integers(0, 20))
def test_a_commit_may_say_to_go_on_before_it(back: int, committed: int, earliest: int, length: int, held: int | None) -> None:
    at = max(0, committed - back)
    bounds = LogBounds(committed, resuming("17 of them", at), earliest, earliest + length)
    if (committed if held is None else held) > bounds.end:
        with pytest.raises(PositionBeyondEnd):  # that the block's start is still there says nothing of what has been read since
            start_position(A, bounds, held)
        return
    began = start_position(A, bounds, held)
    assert began.offset == max(at if held is None else held, earliest)
    assert (began.committed, began.note, began.resumed) == (committed, "17 of them", True)
    tracker = Tracker()
    tracker.begin({A: began})
    if bounds.end > began.offset:
        tracker.deliver(A, bounds.end)
        assert tracker.commit_to(A, bounds.end, 0, "18", resume_at=began.offset)
        assert tracker.due() == {A: Commit(bounds.end, resuming("18", began.offset))}
        with pytest.raises(ValueError, match="go on at"):
            tracker.commit_to(A, bounds.end, 0, "18", resume_at=bounds.end + 1)


def test_what_an_older_version_committed_says_nothing_of_it() -> None:
    for metadata in ("", "1700000000000", "@7", "@seven x", "x @7 y"):
        began = start_position(A, LogBounds(9, metadata, 0, 20), None)
        assert (began.offset, began.resumed, began.note) == (9, False, metadata)
