from __future__ import annotations

from collections.abc import Mapping

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from driftline.streams.watchdog import Progress, Watch, look, verdict

A, B = TP("a", 0), TP("b", 1)


def after(*sights: tuple[float, Mapping[TP, Progress] | None]) -> Watch:
    watch = Watch(0.0, {})
    for now, seen in sights:
        watch = look(watch, now, seen)
    return watch


def test_a_partition_that_moves_is_not_stuck_however_far_behind() -> None:
    watch = after(*((float(i), {A: Progress(i, 10_000)}) for i in range(100)))
    assert verdict(watch, 100.0, patience_s=2.0) is None


def test_a_partition_read_to_its_end_is_not_stuck() -> None:
    watch = after(*((float(i), {A: Progress(7, 7)}) for i in range(100)))
    assert verdict(watch, 100.0, patience_s=2.0) is None


def test_patience_counts_from_when_there_was_something_to_read() -> None:
    idle = [(float(i), {A: Progress(7, 7)}) for i in range(100)]
    watch = after(*idle, *((100.0 + i, {A: Progress(7, 8)}) for i in range(5)))
    assert verdict(watch, 104.0, patience_s=6.0) is None
    assert verdict(look(watch, 106.5, {A: Progress(7, 9)}), 106.5, patience_s=6.0) == ("a[0] has stood at offset 7 for 8 s with more to read")


def test_a_partition_that_was_lost_and_came_back_starts_with_fresh_patience() -> None:
    watch = after((0.0, {A: Progress(7, 9), B: Progress(1, 1)}), (5.0, {B: Progress(1, 1)}), (6.0, {A: Progress(7, 9)}))
    assert verdict(watch, 10.0, patience_s=5.0) is None


def test_no_answer_for_too_long_is_a_verdict_and_an_answer_resets_it() -> None:
    watch = after((1.0, {}), (2.0, None), (11.5, None))
    assert verdict(watch, 11.5, patience_s=10.0) == "no word from the event loop, the consumer group or the broker for 10 s"
    assert verdict(look(watch, 11.6, {}), 12.0, patience_s=10.0) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_only_standing_still_with_work_for_the_whole_patience_is_a_verdict(steps: list[tuple[int, int]]) -> None:
    seen = [Progress(done, done + lag) for done, lag in steps]
    watch = after(*((float(i), {A: progress}) for i, progress in enumerate(seen)))
    patience = 4.0
    last = seen[-6:]
    stuck = len(last) == 6 and len({p.done for p in last}) == 1 and all(p.done < p.end for p in last[1:])
    assert (verdict(watch, len(seen) - 1.0, patience) is not None) == stuck
