from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from driftline.contracts.summaries import Progress
from driftline.streams.detect.clock import FEATURE_SOURCES, JOIN_INFERENCE, JOIN_LABELS, OUTCOME_SOURCES, SUMMARISE, SourceClock


def _told(partition: int = 0, position: int = 1, watermark: int = 100, **changed: object) -> Progress:
    told = Progress(SUMMARISE, partition, 2, position, watermark, 0, idle=False, newest=watermark)
    return replace(told, **changed)


@dataclass
class Source:
    """What one partition tells over time: everything but idleness grows with the position."""

    told: list[Progress] = field(default_factory=list)


@st.composite
def _histories(draw: st.DrawFn, partitions: int = 2) -> list[Progress]:
    """Progress as it may arrive: each partition's own in order, the partitions interleaved."""
    lanes = []
    for source in (SUMMARISE, JOIN_INFERENCE, JOIN_LABELS):
        for p in range(partitions):
            lane: list[Progress] = []
            position = watermark = floor = newest = 0
            for _ in range(draw(st.integers(0, 3))):
                step = draw(st.integers(0, 3))
                if step:
                    position, floor = position + step, floor + draw(st.integers(0, step))
                    watermark += draw(st.integers(0, 50))
                    newest = max(newest, watermark + draw(st.integers(0, 20)))
                idle = draw(st.booleans())
                woken_from = draw(st.none() | st.integers(0, watermark)) if step and not idle else None
                lane.append(Progress(source, p, partitions, position, watermark, floor, idle, newest, woken_from=woken_from))
            lanes.append(lane)
    order = draw(st.permutations([i for i, lane in enumerate(lanes) for _ in lane]))
    return [lanes[i].pop(0) for i in order]


def _clock(history: list[Progress]) -> SourceClock:
    clock = SourceClock()
    for told in history:
        clock.advance(told)
    return clock


def _state(clock: SourceClock) -> object:
    floors = [clock.floor(p) for p in range(2)]
    return clock._known, clock.watermark(FEATURE_SOURCES), clock.watermark(OUTCOME_SOURCES), floors, clock.newest(), clock.positions()


# -- laws ---------------------------------------------------------------------------------------------------------------------


@given(_histories())
def test_nothing_known_of_a_partition_ever_goes_back(history: list[Progress]) -> None:
    clock = SourceClock()
    known: dict[tuple[str, int], Progress] = {}
    for told in history:
        key = (told.source, told.partition)
        now = clock.advance(told)
        before = known.get(key, now)
        for name in ("position", "watermark", "floor", "newest"):
            assert getattr(now, name) == max(getattr(before, name), getattr(told, name))
        known[key] = now
    for p in range(2):
        assert clock.floor(p) == (known[SUMMARISE, p].floor if (SUMMARISE, p) in known else 0)
    assert clock.newest() == max((told.newest for told in history), default=0)


@given(_histories(), st.data())
def test_old_news_of_a_zombie_or_repeated_changes_nothing(history: list[Progress], data: st.DataObject) -> None:
    clock = _clock(history)
    before = _state(clock)
    latest = {(told.source, told.partition): told for told in history}
    for told in history:
        # What was said at an earlier position, or at this one and less idle.
        if told.position < latest[told.source, told.partition].position or data.draw(st.booleans()):
            last = latest[told.source, told.partition]
            clock.advance(told if told.position < last.position else replace(told, idle=False, woken_from=last.woken_from))
            assert _state(clock) == before


@given(_histories(), st.randoms())
def test_the_partitions_may_be_heard_in_any_order(history: list[Progress], random: object) -> None:
    lanes: dict[tuple[str, int], list[Progress]] = {}
    for told in history:
        lanes.setdefault((told.source, told.partition), []).append(told)
    order = [key for key, lane in lanes.items() for _ in lane]
    random.shuffle(order)  # type: ignore[attr-defined]
    assert _state(_clock([lanes[key].pop(0) for key in order])) == _state(_clock(history))


@given(_histories())
def test_a_clock_that_was_stored_goes_on_where_it_stood(history: list[Progress]) -> None:
    half = len(history) // 2
    stored = list(_clock(history[:half])._known.values())
    resumed = SourceClock(stored)
    for told in history[half:]:
        resumed.advance(told)
    assert _state(resumed) == _state(_clock(history))


@given(_histories())
def test_while_nobody_is_idle_a_watermark_never_goes_back(history: list[Progress]) -> None:
    clock, last = SourceClock(), (0, 0)
    for told in history:
        clock.advance(replace(told, idle=False, woken_from=None))
        now = (clock.watermark(FEATURE_SOURCES)[0], clock.watermark(OUTCOME_SOURCES)[0])
        assert now[0] >= last[0]
        assert now[1] >= last[1]
        last = now


@given(_histories())
def test_outcomes_are_never_ahead_of_features(history: list[Progress]) -> None:
    clock = _clock(history)
    assert clock.watermark(OUTCOME_SOURCES)[0] <= clock.watermark(FEATURE_SOURCES)[0]


# -- idleness -----------------------------------------------------------------------------------------------------------------


def test_until_every_partition_has_been_heard_of_there_is_no_time() -> None:
    clock = _clock([_told(0, watermark=100)])
    assert clock.watermark(FEATURE_SOURCES) == (0, False)
    clock.advance(_told(1, watermark=50))
    assert clock.watermark(FEATURE_SOURCES) == (50, False)


def test_one_source_that_was_not_heard_of_holds_all_of_them() -> None:
    clock = _clock([_told(p, source=s) for s in (SUMMARISE, JOIN_LABELS) for p in (0, 1)])
    assert clock.watermark(FEATURE_SOURCES) == (100, False)
    assert clock.watermark(OUTCOME_SOURCES) == (0, False)


def test_an_idle_partition_is_left_out_until_it_is_read_further() -> None:
    clock = _clock([_told(0, watermark=100), _told(1, watermark=10, idle=True)])
    assert clock.watermark(FEATURE_SOURCES) == (100, True)
    clock.advance(_told(1, position=2, watermark=20))
    assert clock.watermark(FEATURE_SOURCES) == (20, False)


def test_where_all_are_idle_the_greatest_holds() -> None:
    clock = _clock([_told(0, watermark=100, idle=True), _told(1, watermark=10, idle=True)])
    assert clock.watermark(FEATURE_SOURCES) == (100, True)


def test_progress_told_again_at_the_same_position_does_not_end_idleness() -> None:
    clock = _clock([_told(0), _told(1, watermark=10, idle=True), _told(1, watermark=10)])
    assert clock.watermark(FEATURE_SOURCES) == (100, True)


def test_who_comes_back_alone_moves_no_time_until_it_has_been_back_for_long_enough() -> None:
    clock = _clock([_told(0, idle=True), _told(1, watermark=10, idle=True)])
    clock.advance(_told(0, position=2, watermark=900, woken_from=100))
    assert clock.watermark(FEATURE_SOURCES) == (100, True)
    clock.advance(_told(0, position=2, watermark=900))
    assert clock.watermark(FEATURE_SOURCES) == (900, True)


def test_who_comes_back_to_others_that_never_left_counts_at_once() -> None:
    clock = _clock([_told(0, position=9, watermark=500), _told(1, watermark=10, idle=True)])
    clock.advance(_told(1, position=2, watermark=400, woken_from=10))
    assert clock.watermark(FEATURE_SOURCES) == (400, False)


def test_others_that_fall_asleep_meanwhile_do_not_overtake_who_has_just_come_back() -> None:
    three = [_told(0, partitions=3), _told(1, watermark=10, idle=True, partitions=3), _told(2, watermark=50, partitions=3)]
    clock = _clock([*three, _told(1, position=2, watermark=60, woken_from=10, partitions=3)])
    assert clock.watermark(FEATURE_SOURCES) == (50, False)
    for p, watermark in ((0, 100), (2, 50)):
        clock.advance(_told(p, watermark=watermark, idle=True, partitions=3))
    assert clock.watermark(FEATURE_SOURCES) == (60, True)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 500)), min_size=1, max_size=30), st.data())
def test_partitions_that_come_back_together_never_overtake_one_another(reads: list[tuple[int, int]], data: st.DataObject) -> None:
    """A night's quiet, then each partition is read on, in whatever order, each at first as one that has only just come back."""
    clock = _clock([replace(_told(p, watermark=100 + p, idle=True), partitions=4) for p in range(4)])
    slept = dict.fromkeys(range(4), 100)
    back: dict[int, tuple[int, int]] = {}
    for p, on in reads:
        position, watermark = back.get(p, (1, 100 + p))
        assert clock.watermark(FEATURE_SOURCES)[0] <= max(103, watermark), "what is read now belongs to no pane that has closed"
        back[p] = position + 1, watermark + on
        # Once all are back the time of their coming back is over, as it comes.
        over = len(back) == len(slept) and data.draw(st.booleans())
        clock.advance(replace(_told(p, *back[p]), partitions=4, woken_from=None if over else 100 + p))


def test_a_topic_that_has_grown_waits_for_its_new_partitions() -> None:
    clock = _clock([_told(0), _told(1), _told(0, position=2, partitions=3)])
    assert clock.watermark(FEATURE_SOURCES) == (0, False)
    clock.advance(_told(2, watermark=70, partitions=3))
    assert clock.watermark(FEATURE_SOURCES) == (70, False)


def test_positions_are_those_of_one_source() -> None:
    clock = _clock([_told(0, position=7), _told(1, position=8), _told(0, position=9, source=JOIN_LABELS)])
    assert clock.positions() == {"0": 7, "1": 8}
    assert clock.positions(JOIN_LABELS) == {"0": 9}
