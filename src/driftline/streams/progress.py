"""Telling every summaries partition how far a source has been read, and when it has been read to its end for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from driftline.contracts.summaries import Progress, encode_summary
from driftline.contracts.times import MINUTE_MS
from driftline.contracts.topics import SUMMARIES
from driftline.streams.publishing import Message, Publisher


@dataclass(frozen=True)
class Reached:
    """How far one partition has been read, everything before it sent and acknowledged."""

    position: int
    watermark: int
    floor: int = 0
    newest: int = 0
    #: The watermark with which it was idle, while it has only just come back.
    woken_from: int | None = None


class IdleWatch:
    """When a partition may be left out of the watermark: it had been read to its end for the idle timeout. Pure.

    The clock is read before the broker is asked for the end, so that what arrived since can't be taken for nothing.
    """

    def __init__(self, idle_timeout: int) -> None:
        self._timeout = idle_timeout
        self._since: dict[int, tuple[int, int]] = {}
        self._told: dict[int, tuple[int, int]] = {}

    def look(self, partition: int, position: int, *, at_end: bool, asked_at: int) -> bool:
        """Return whether it is to be told that the partition is idle at this position: once when it has become so, and again when the quiet has
        grown by a tenth and a minute.
        """
        if not at_end:
            self._since.pop(partition, None)
            return False
        since, where = self._since.get(partition, (asked_at, position))
        if where != position:
            since = asked_at
        self._since[partition] = (since, position)
        quiet, (told, before) = asked_at - since, self._told.get(partition, (-1, 0))
        if quiet < self._timeout or (told == position and quiet < before + before // 10 + MINUTE_MS):
            return False
        self._told[partition] = (position, quiet)
        return True

    def quiet(self, partition: int) -> int:
        """Return for how long (ms) the partition had been read to its end when it was told last that it is idle."""
        return self._told.get(partition, (-1, 0))[1]


class ProgressTeller:
    """Sends progress of one source to every summaries partition."""

    def __init__(self, source: str, partitions: int, publisher: Publisher) -> None:
        self._source = source
        self.partitions = partitions
        self._publisher = publisher
        self._told: dict[int, Reached] = {}

    async def tell(self, reached: Mapping[int, Reached]) -> None:
        """Tell what has changed since it was told last."""
        news = {p: r for p, r in reached.items() if self._told.get(p) != r}
        await self._publisher.send(m for p, r in news.items() for m in self._messages(p, r, idle=False))
        self._told.update(news)

    def unsettled(self, partition: int) -> bool:
        """Say whether nothing has been told of a partition yet, by this process, or last that it has only just come back: an earlier
        owner may have said so too.
        """
        told = self._told.get(partition)
        return told is None or told.woken_from is not None

    async def tell_idle(self, partition: int, reached: Reached, quiet: int) -> None:
        """Tell that a partition has been read to its end, for ``quiet`` ms, and may be left out."""
        await self._publisher.send(self._messages(partition, reached, idle=True, quiet=quiet))

    def _messages(self, partition: int, r: Reached, *, idle: bool, quiet: int = 0) -> list[Message]:
        newest = max(r.newest, r.watermark)
        progress = Progress(self._source, partition, self.partitions, r.position, r.watermark, r.floor, idle, newest, quiet, r.woken_from)
        value = encode_summary(progress)
        return [Message(SUMMARIES.name, b"", value, q) for q in range(self.partitions)]
