"""How fast summarise and the join read, as they told it themselves: positions and times stand on the summaries topic."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

from tests.integration.log import read_back

from driftline.contracts.settings import Settings
from driftline.contracts.summaries import Progress, decode_summary
from driftline.streams.detect.clock import JOIN_INFERENCE, JOIN_LABELS, SUMMARISE

_READERS: Final = {"summarise": (SUMMARISE,), "join": (JOIN_INFERENCE, JOIN_LABELS)}


class Told(NamedTuple):
    """That a source partition has been read up to ``position``, said ``at`` (epoch ms)."""

    at: int
    partition: tuple[str, int]
    position: int


class Rate(NamedTuple):
    """Records a second ``between`` the first word and the one that speaks of the last record, whatever happened meanwhile; in the ``best`` second."""

    between: int
    best: int


def rates(settings: Settings) -> dict[str, Rate]:
    """Return the rate of each step that reads a source."""
    told: dict[str, list[Told]] = {step: [] for step in _READERS}
    for record in read_back(settings, "summaries"):
        word = decode_summary(record.value) if record.partition == 0 and record.key == b"" else None
        for step, sources in _READERS.items():
            if isinstance(word, Progress) and word.source in sources:
                told[step].append(Told(record.timestamp, (word.source, word.partition), word.position))
    return {step: rate_of(words) for step, words in told.items()}


def rate_of(words: Sequence[Told]) -> Rate:
    """Return the rate that follows from what was said; 0 where less than a second lies between. What is read over again counts once.

    >>> rate_of([Told(at, ("log", 0), position) for at, position in ((0, 100), (1000, 900), (2000, 1100), (2000, 1000), (60_000, 1100))])
    Rate(between=500, best=800)
    """
    reached: dict[tuple[str, int], int] = {}
    total, times, totals = 0, list[int](), list[int]()
    for at, partition, position in sorted(words):
        grown = max(0, position - reached.get(partition, 0))
        if grown:
            reached[partition] = position
            total += grown
            times.append(at)
            totals.append(total)
    if not times or times[-1] - times[0] < 1000:
        return Rate(0, 0)
    best = 0.0
    for i, at in enumerate(times):
        j = bisect_left(times, at + 1000)
        if j < len(times):
            best = max(best, (totals[j] - totals[i]) / (times[j] - at) * 1000)
    return Rate(round((totals[-1] - totals[0]) / (times[-1] - times[0]) * 1000), round(best))
