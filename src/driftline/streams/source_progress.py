"""How far a step is in each partition of one source topic, told and watched for idleness; the same for summarise and the join."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from aiokafka.errors import KafkaError
from faust.types import TP

from driftline.streams.progress import IdleWatch, ProgressTeller, Reached
from driftline.streams.transport import DriftApp
from driftline.streams.waking import Waking

#: For so long (ms) a partition that has come back moves no time by itself; where idleness itself takes less than four times that, a quarter of it.
_GRACE = 2_500


class SourceProgress:
    """Tells the progress of one source topic and, once a second, which of its partitions are idle."""

    def __init__(self, app: DriftApp, topic: str, teller: ProgressTeller, idle_timeout: int) -> None:
        self._app = app
        self._topic = topic
        self._teller = teller
        self._idle = IdleWatch(idle_timeout)
        self._waking = Waking(min(_GRACE, idle_timeout // 4) if teller.partitions > 1 else 0)

    async def tell(self, reached: dict[int, Reached]) -> None:
        """Tell how far partitions have been read, everything before it acknowledged."""
        now = time.monotonic_ns() // 1_000_000
        await self._teller.tell({p: replace(r, woken_from=self._waking.woken_from(p, r, now)) for p, r in reached.items()})

    async def look_for_idle(self, reached_of: Callable[[TP], Reached | None]) -> None:
        """Tell which partitions have been read to their end, and which have been back for long enough. ``reached_of`` gives None while something
        read has not left yet.
        """
        consumer, epoch = self._app.consumer, self._app.consumer.epoch
        tps = [tp for tp in consumer.assignment() if tp.topic == self._topic]
        if not tps:
            return
        try:
            ends = await consumer.end_offsets(*tps)
        except (KafkaError, TimeoutError):  # the broker is away: nobody can say where the partitions end
            return
        for tp in tps:
            if consumer.epoch != epoch:
                return
            reached = reached_of(tp)
            if reached is None:
                continue
            if self._teller.unsettled(tp.partition):
                await self.tell({tp.partition: reached})
            try:
                # What follows the last record (a transaction's marker, or what it took back) has been read with it.
                position = consumer.position_after(tp, reached.position)
            except KeyError:  # between two epochs
                return
            if self._idle.look(tp.partition, position, at_end=position >= ends.offsets[tp], asked_at=ends.asked_at):
                at_end = replace(reached, position=position)
                self._waking.asleep(tp.partition, at_end)
                await self._teller.tell_idle(tp.partition, at_end, self._idle.quiet(tp.partition))
