"""Labels give way to predictions, so that a backlog of both is taken in as it came about: predictions first (decision 0029)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from driftline.store.join import Rivals

#: Two predictions are let ahead for each label in hand: its batch then uses up a part of the lead.
LEAD = 2
#: Way is given no longer than this: a rebalance waits for what is in hand, and leaves it twice that time.
MOST_S = 1.0
#: Predictions that have not come for so long are not waited for: they have been read to their end, or are another worker's.
PAUSE_S = 0.25
_LOOK_S = 0.01


class Way:
    """What the two halves of a worker's join know of each other. ``clock`` counts seconds, ``sleep`` lets them go by.

    Labels let predictions ahead once for each meeting of the two, and once when they begin: a backlog of both would meet at once. That costs time or
    saves it, and decides nothing: who meets whom, in this worker or in another, the database finds out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.rivals = Rivals()
        self._clock = clock
        self._sleep = sleep
        self._begun = False
        self._taken = 0
        self._at_work = False
        self._left = clock() - PAUSE_S

    @asynccontextmanager
    async def turn(self, predictions: int, labels: int) -> AsyncIterator[None]:
        """Around the transaction of so many rows of one half; labels may have to wait for it."""
        if not predictions:
            await self._give_way(labels)
            yield
            return
        self._at_work = True
        try:
            yield
        finally:
            self._at_work, self._left = False, self._clock()
            self._taken += predictions

    async def _give_way(self, labels: int) -> None:
        if not labels or (self._begun and not (self.rivals.about and self._coming())):
            return
        enough, until = LEAD * labels, self._clock() + MOST_S
        if self._begun:
            enough += self._taken
        else:
            self._begun, self._left = True, self._clock()  # which may not have come yet
        self.rivals.parted()  # the predictions meet nobody from now on
        while self._taken < enough and self._coming() and self._clock() < until:
            await self._sleep(_LOOK_S)

    def _coming(self) -> bool:
        return self._at_work or self._clock() - self._left < PAUSE_S
