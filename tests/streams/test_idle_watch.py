from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftline.streams.progress import IdleWatch

TIMEOUT = 10


def test_a_partition_is_idle_once_it_has_stood_at_its_end_for_the_timeout() -> None:
    watch = IdleWatch(TIMEOUT)
    assert [watch.look(0, 5, at_end=True, asked_at=at) for at in (100, 109, 110, 111, 500)] == [False, False, True, False, False]


def test_that_it_is_still_idle_is_told_again_when_the_quiet_has_grown() -> None:
    watch, minute = IdleWatch(TIMEOUT), 60_000
    assert not watch.look(0, 5, at_end=True, asked_at=0)
    told = [(at, watch.quiet(0)) for at in range(10, 60 * minute, minute // 2) if watch.look(0, 5, at_end=True, asked_at=at)]
    assert told[0] == (10, 10)
    assert all(at == quiet for at, quiet in told)
    assert all(b - a >= minute + a // 10 for (a, _), (b, _) in itertools.pairwise(told))
    assert len(told) < 25
    # What arrives ends the quiet.
    assert not watch.look(0, 6, at_end=True, asked_at=61 * minute)
    assert watch.look(0, 6, at_end=True, asked_at=61 * minute + TIMEOUT)
    assert watch.quiet(0) == TIMEOUT


def test_what_arrives_begins_the_time_anew() -> None:
    watch = IdleWatch(TIMEOUT)
    assert not watch.look(0, 5, at_end=True, asked_at=100)
    assert not watch.look(0, 6, at_end=True, asked_at=109)
    assert not watch.look(0, 6, at_end=True, asked_at=118)
    assert watch.look(0, 6, at_end=True, asked_at=119)


def test_something_unread_begins_the_time_anew_too() -> None:
    watch = IdleWatch(TIMEOUT)
    assert not watch.look(0, 5, at_end=True, asked_at=100)
    assert not watch.look(0, 5, at_end=False, asked_at=105)
    assert not watch.look(0, 5, at_end=True, asked_at=112)
    assert watch.look(0, 5, at_end=True, asked_at=122)


def test_after_new_records_a_partition_may_become_idle_again() -> None:
    watch = IdleWatch(TIMEOUT)
    told = [watch.look(0, position, at_end=True, asked_at=at) for at, position in ((0, 5), (10, 5), (20, 6), (30, 6), (40, 6))]
    assert told == [False, True, False, True, False]


def test_partitions_are_watched_apart() -> None:
    watch = IdleWatch(TIMEOUT)
    assert not watch.look(0, 5, at_end=True, asked_at=0)
    assert not watch.look(1, 5, at_end=True, asked_at=9)
    assert watch.look(0, 5, at_end=True, asked_at=10)
    assert not watch.look(1, 5, at_end=True, asked_at=10)
    assert watch.look(1, 5, at_end=True, asked_at=19)


Looks = list[tuple[int, bool, bool]]


def idle_is_said_rightly(watch: IdleWatch, looks: Looks) -> None:
    at = position = 0
    since: int | None = None
    told: list[int] = []
    for wait, moved, at_end in looks:
        at += wait
        if moved:
            position, since = position + 1, None
        since = (at if since is None else since) if at_end else None
        said = watch.look(0, position, at_end=at_end, asked_at=at)
        assert said == (since is not None and at - since >= TIMEOUT and position not in told)
        told += [position] if said else []
    assert len(told) == len(set(told))


@given(st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.booleans()), max_size=30))
def test_idle_is_said_once_for_each_position_and_only_after_the_timeout_at_the_end(looks: Looks) -> None:
    idle_is_said_rightly(IdleWatch(TIMEOUT), looks)


class _NothingHeard(IdleWatch):
    """Idle is what has not moved: whether it has been read to its end is not asked."""

    def look(self, partition: int, position: int, *, at_end: bool, asked_at: int) -> bool:
        del at_end
        return super().look(partition, position, at_end=True, asked_at=asked_at)


def test_who_takes_a_partition_for_idle_of_which_nothing_is_heard_is_found_out() -> None:
    slow_reader: Looks = [(1, True, False), *[(4, False, False)] * 4]
    idle_is_said_rightly(IdleWatch(TIMEOUT), slow_reader)
    with pytest.raises(AssertionError):
        idle_is_said_rightly(_NothingHeard(TIMEOUT), slow_reader)
