"""How far each source has been read, and the event time that follows from it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from driftline.contracts.summaries import Progress

SUMMARISE = "summarise"
JOIN_INFERENCE = "join/inference-events"
JOIN_LABELS = "join/label-events"
#: What has to be read before a pane of features closes, and one of outcomes.
FEATURE_SOURCES = (SUMMARISE,)
PREDICTION_SOURCES = (SUMMARISE, JOIN_INFERENCE)
OUTCOME_SOURCES = (*PREDICTION_SOURCES, JOIN_LABELS)


class SourceClock:
    """The latest progress of every source partition.

    A watermark is the least over the partitions of the greatest event time of each. A partition that had been read to its end for the idle timeout is
    left out; if all were, nothing is on its way and the greatest of them all holds, also while those that come back have only just done so: what the
    first of them brings must not close what the next will belong to. Until every partition has been heard of there is none (0).
    """

    def __init__(self, progress: Iterable[Progress] = ()) -> None:
        self._known: dict[tuple[str, int], Progress] = {(p.source, p.partition): p for p in progress}

    def advance(self, told: Progress) -> Progress:
        """Take progress in and return what is now known of that partition. Old news (of a zombie, or repeated) takes nothing back."""
        key = (told.source, told.partition)
        known = self._known.get(key)
        if known is not None:
            newer = told.position > known.position
            same = told.position == known.position
            told = msgspec.structs.replace(
                told,
                position=max(told.position, known.position),
                watermark=max(told.watermark, known.watermark),
                newest=max(told.newest, known.newest),
                floor=max(told.floor, known.floor),
                idle=told.idle if newer else (told.idle or known.idle) if same else known.idle,
                quiet=told.quiet if newer else max(told.quiet, known.quiet) if same else known.quiet,
                woken_from=told.woken_from if newer or (same and told.woken_from is None) else known.woken_from,
                partitions=told.partitions if newer or same else known.partitions,
            )
        self._known[key] = told
        return told

    def floor(self, partition: int) -> int:
        """Return the offset below which every block of the partition is final and here."""
        known = self._known.get((SUMMARISE, partition))
        return known.floor if known else 0

    def floors(self) -> dict[int, int]:
        """Return the floor of each partition that summarise reads."""
        return {p: told.floor for (s, p), told in self._known.items() if s == SUMMARISE}

    def positions(self, source: str = SUMMARISE) -> dict[str, int]:
        """Return how far each partition of a source has been read."""
        return {str(p): told.position for (s, p), told in sorted(self._known.items()) if s == source}

    def partitions(self, source: str = SUMMARISE) -> list[int]:
        """Return the partitions of a source that have been heard of."""
        return sorted(p for s, p in self._known if s == source)

    def watermark(self, sources: Iterable[str]) -> tuple[int, bool]:
        """Return the event time that all the sources have passed, and whether an idle partition was left out to say so."""
        marks = [self._of(source) for source in sources]
        return min(mark for mark, _ in marks), any(idle for _, idle in marks)

    def passed(self, source: str) -> int:
        """Return how far event time has come, events or not: where every partition of a source is idle, the greatest event time of them all and as
        long after it as the least quiet of them has lasted. Never less than the watermark.
        """
        mark, _ = self._of(source)
        known = [told for (s, _), told in self._known.items() if s == source]
        return mark + min((told.quiet for told in known), default=0) if mark and self.idle(source) else mark

    def idle(self, source: str) -> bool:
        """Say whether every partition of a source is idle."""
        known = [told for (s, _), told in self._known.items() if s == source]
        return bool(known) and len(known) >= max(told.partitions for told in known) and all(told.idle for told in known)

    def newest(self) -> int:
        """Return the greatest event time that any source has met."""
        return max((told.newest for told in self._known.values()), default=0)

    def _of(self, source: str) -> tuple[int, bool]:
        known = [told for (s, _), told in self._known.items() if s == source]
        if not known or len(known) < max(told.partitions for told in known):
            return 0, False
        busy = [told for told in known if not told.idle]
        if any(told.woken_from is None for told in busy):
            return min(told.watermark for told in busy), len(busy) < len(known)
        mark = max(told.watermark if told.woken_from is None else told.woken_from for told in known)
        return min([mark, *(told.watermark for told in busy)]), True
