"""Letting go of outcomes that are older than the retention, as fast as outcomes may come."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Engine

from driftline.store import join, outcomes
from driftline.streams.sql_thread import SqlThread

#: So long a round may take, a transaction of some thousand rows after the other: a third of the step's time at the most, where outcomes come as fast
#: as they can be joined. The join's own transactions wait for one of these, not for all.
_ROUND_S = 0.5
#: Where nothing was too old, nothing will be for a while.
_NOTHING_OLD_S = 60.0


class OldOutcomes:
    """The outcomes from before the retention ``keep`` (ms), let go of a round at a time; ``clock`` counts seconds.

    Old is what lies so far behind the greatest watermark of the ``source``'s partitions, whoever joins them: a silent partition stops nothing.
    """

    def __init__(self, sql: SqlThread, engine: Engine, source: str, keep: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._sql = sql
        self._engine = engine
        self._source = source
        self._keep = keep
        self._clock = clock
        self.rest_until = clock()

    async def let_go(self) -> int:
        """Delete what is older until nothing is or a round's time is over; return how many. Two at once do no harm, and no good."""
        now = self._clock()
        if now < self.rest_until:
            return 0
        before = await self._sql.run(join.watermark, self._engine, self._source) - self._keep
        total, until = 0, now + _ROUND_S
        while self._clock() < until:
            gone = await self._sql.run(outcomes.purge_some, self._engine, before)
            total += gone
            if not gone:
                self.rest_until = now + _NOTHING_OLD_S
                break
        return total
