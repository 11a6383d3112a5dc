from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from driftline.contracts.summaries import Progress, decode_summary
from driftline.streams.progress import ProgressTeller, Reached
from driftline.streams.source_progress import SourceProgress
from driftline.streams.waking import Waking

GRACE = 100


def test_who_was_never_idle_is_not_waking() -> None:
    waking = Waking(GRACE)
    assert [waking.woken_from(0, Reached(position, 5), position) for position in range(5)] == [None] * 5


def test_who_falls_asleep_again_begins_anew() -> None:
    waking = Waking(GRACE)
    waking.asleep(0, Reached(1, 10))
    assert waking.woken_from(0, Reached(2, 30), 0) == 10
    waking.asleep(0, Reached(2, 30))
    assert waking.woken_from(0, Reached(2, 30), 50) is None
    assert waking.woken_from(0, Reached(3, 40), 120) == 30


def test_without_a_grace_nobody_is_waking() -> None:
    waking = Waking(0)
    waking.asleep(0, Reached(1, 10))
    assert waking.woken_from(0, Reached(2, 30), 0) is None


@given(st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.booleans()), max_size=40))
def test_it_lasts_for_the_grace_from_the_first_record_after_the_sleep(steps: list[tuple[int, bool, bool]]) -> None:
    waking, now, position, slept, since = Waking(GRACE), 0, 0, -1, -GRACE
    for wait, reads, sleeps in steps:
        now += wait
        if reads:
            position += 1
            if 0 <= slept < position:
                since, slept = now, -1
        if sleeps:
            waking.asleep(0, Reached(position, position))
            slept, since = position, now - GRACE
        told = waking.woken_from(0, Reached(position, position), now)
        assert (told is not None) == (now - since < GRACE)


class _Standin:
    """What SourceProgress asks of an app and a publisher: partitions that end where they have been read to."""

    epoch = 1

    def __init__(self, partitions: int) -> None:
        self.consumer = self
        self.position = 10
        self.tps = [TopicPartition("t", p) for p in range(partitions)]
        self.sent: list[Any] = []

    def assignment(self) -> list[TopicPartition]:
        return self.tps

    async def end_offsets(self, *tps: TopicPartition) -> Any:
        self.asked_at = getattr(self, "asked_at", 0) + 1_000
        self.offsets = dict.fromkeys(tps, self.position)
        return self

    def position_after(self, _: TopicPartition, offset: int) -> int:
        return offset

    async def send(self, messages: Any) -> None:
        self.sent += list(messages)


def _told(partitions: int, grace_is_over: bool) -> list[int | None]:
    """Let a topic fall asleep and its first partition come back; return what was told of how it woke."""
    here = _Standin(partitions)
    teller: Any = ProgressTeller("s", partitions, here)  # type: ignore[arg-type]
    progress: Any = SourceProgress(here, "t", teller, 2_000)  # type: ignore[arg-type]

    async def run() -> None:
        for _ in range(4):
            await progress.look_for_idle(lambda _tp: Reached(here.position, 70))
        here.sent, here.position = [], 20
        await progress.tell({0: Reached(20, 900)})
        if grace_is_over:
            await asyncio.sleep(0.6)
        await progress.look_for_idle(lambda _tp: Reached(here.position, 900))

    asyncio.run(run())
    read = [decode_summary(m.value) for m in here.sent[::partitions]]
    return [one.woken_from for one in read if isinstance(one, Progress) and one.partition == 0]


def test_a_source_that_wakes_says_so_and_that_it_is_over_without_another_record() -> None:
    assert _told(2, grace_is_over=False) == [70]
    assert _told(2, grace_is_over=True) == [70, None]


def test_the_only_partition_of_a_topic_waits_for_nobody() -> None:
    assert _told(1, grace_is_over=False) == [None]
