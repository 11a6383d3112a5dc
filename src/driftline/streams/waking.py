"""Partitions that come back after they were told to be idle (decision 0031)."""

from __future__ import annotations

from driftline.streams.progress import Reached


class Waking:
    """Which partitions of a source have come back only just now: the others may be about to, and are not to be overtaken by them meanwhile. Pure;
    ``grace`` and ``now`` are in ms.

    >>> waking = Waking(grace=100)
    >>> waking.asleep(3, Reached(position=10, watermark=1_000))
    >>> [waking.woken_from(3, Reached(position, 2_000), now) for position, now in ((10, 0), (20, 5), (30, 104), (30, 105))]
    [None, 1000, 1000, None]
    """

    def __init__(self, grace: int) -> None:
        self._grace = grace
        self._asleep: dict[int, Reached] = {}
        #: Until when, and the watermark before.
        self._woken: dict[int, tuple[int, int]] = {}

    def asleep(self, partition: int, reached: Reached) -> None:
        """Note that a partition has been told to be idle there."""
        self._asleep[partition] = reached
        self._woken.pop(partition, None)

    def woken_from(self, partition: int, reached: Reached, now: int) -> int | None:
        """Return the watermark with which a partition was idle, while it has only just come back; else None."""
        slept = self._asleep.get(partition)
        if slept is not None and reached.position > slept.position:
            del self._asleep[partition]
            self._woken[partition] = now + self._grace, slept.watermark
        until, watermark = self._woken.get(partition, (now, 0))
        if now < until:
            return watermark
        self._woken.pop(partition, None)
        return None
