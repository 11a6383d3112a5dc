"""How far the steps are behind the log, and whether all that was published has been dealt with.

``detect`` is the last of the chain and is told, over the same partitions as the summaries themselves, how far the others have read. So what SQL says
that it knows of a source partition is done altogether: read, summarised or joined, taken in by every detect partition, and committed with what
followed from it. The groups' offsets in Kafka are no measure: summarise commits at block starts only.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import msgspec

from driftline.contracts.settings import Settings
from driftline.contracts.summaries import Progress
from driftline.contracts.topics import INFERENCE_EVENTS, LABEL_EVENTS, SUMMARIES, topic_name

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from driftline.store.detect_rows import Position

Step = Literal["summarise", "join", "detect"]

_SOURCES: tuple[tuple[Step, str, str], ...] = (
    ("summarise", "summarise", INFERENCE_EVENTS.name),
    ("join", f"join/{INFERENCE_EVENTS.name}", INFERENCE_EVENTS.name),
    ("join", f"join/{LABEL_EVENTS.name}", LABEL_EVENTS.name),
)

#: The next offset of each partition, by topic name without prefix.
Ends = Mapping[tuple[str, int], int]


class PartitionLag(msgspec.Struct, frozen=True):
    """One partition that a step reads. ``position`` counts as done, ``end`` is the log's next offset, ``watermark`` the event time (ms) reached."""

    step: Step
    topic: str
    partition: int
    position: int
    end: int
    behind: int
    watermark: int
    idle: bool


class Lag(msgspec.Struct, frozen=True):
    """How far everything is behind at one moment. ``outbox`` counts records, by owner, that are decided and not yet published."""

    partitions: tuple[PartitionLag, ...]
    outbox: dict[str, int]
    open_triggers: tuple[str, ...]

    @property
    def behind(self) -> int:
        """Records that somebody has yet to read, over all steps."""
        return sum(p.behind for p in self.partitions)

    @property
    def caught_up(self) -> bool:
        """Whether all that was published is dealt with: read, decided, published, and every trigger settled."""
        return self.behind == 0 and not any(self.outbox.values()) and not self.open_triggers

    def of(self, step: Step) -> int:
        """Return how many records a step is behind."""
        return sum(p.behind for p in self.partitions if p.step == step)

    def watermark(self, step: Step) -> int | None:
        """Return the event time (ms) up to which a step has read everywhere, partitions without any left out; None before the first event."""
        reached = [p.watermark for p in self.partitions if p.step == step and not p.idle and p.end]
        reached = reached or [p.watermark for p in self.partitions if p.step == step]
        return min(reached, default=0) or None


def measure(
    ends: Ends, positions: Sequence[Position], sources: Mapping[int, Sequence[Progress]], outbox: Mapping[str, int], open_triggers: Sequence[str]
) -> Lag:
    """Return the lag from what the broker (``ends``) and then SQL said; ``sources`` by summaries partition. Pure.

    The ends have to be asked for first: then 0 means that what had been published by that time is done.
    """
    told = [{(p.source, p.partition): p for p in of_q} for of_q in sources.values()]
    found = [
        _source(step, topic, partition, ends[topic, partition], [known.get((source, partition)) for known in told])
        for step, source, topic in _SOURCES
        for partition in _partitions(ends, topic)
    ]
    at = {p.q: p for p in positions}
    for q in _partitions(ends, SUMMARIES.name):
        position, end = at[q].next_offset if q in at else 0, ends[SUMMARIES.name, q]
        watermark = at[q].watermark if q in at else 0
        found.append(PartitionLag("detect", SUMMARIES.name, q, position, end, max(end - position, 0), watermark, idle=False))
    return Lag(tuple(found), dict(outbox), tuple(open_triggers))


def _source(step: Step, topic: str, partition: int, end: int, news: Sequence[Progress | None]) -> PartitionLag:
    """Of what the detect partitions have been told, the least counts: only what all of them have is done."""
    there = [n for n in news if n is not None]
    whole = bool(there) and len(there) == len(news)
    position = min(n.position for n in there) if whole else 0
    watermark = min(n.watermark for n in there) if whole else 0
    idle = whole and all(n.idle for n in there)
    return PartitionLag(step, topic, partition, position, end, max(end - position, 0), watermark, idle)


def _partitions(ends: Ends, topic: str) -> list[int]:
    return sorted(p for t, p in ends if t == topic)


class LagWatch:
    """Measures the lag again and again over connections that stay open; some milliseconds a look. For one thread.

    Raises SetupError where no broker answers, TopicError where a topic is not there.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        from kafka import TopicPartition

        from driftline.cli.connection import open_consumer
        from driftline.cli.topics import missing

        self._engine = engine
        self._summaries = settings.kafka.partitions
        self._consumer = open_consumer(settings.kafka)
        self._tps: dict[TopicPartition, tuple[str, int]] = {}
        for topic in (INFERENCE_EVENTS, LABEL_EVENTS, SUMMARIES):
            name = topic_name(topic, settings.kafka)
            partitions = self._consumer.partitions_for_topic(name)
            if not partitions:
                self.close()
                raise missing(name)
            self._tps |= {TopicPartition(name, p): (topic.name, p) for p in partitions}

    def look(self) -> Lag:
        """Return the lag now: first the ends of the log, then one snapshot of SQL."""
        from kafka.errors import KafkaError

        from driftline.contracts.errors import SetupError
        from driftline.store import detection, outbox, triggers
        from driftline.store.transactions import reading

        try:
            ends = self._consumer.end_offsets(list(self._tps))
        except KafkaError as error:
            raise SetupError(f"the broker does not say where the topics end: {error}") from error
        with reading(self._engine) as conn:
            return measure(
                {self._tps[tp]: end for tp, end in ends.items()},
                detection.positions(conn),
                {q: detection.sources(conn, q) for q in range(self._summaries)},
                outbox.waiting(conn),
                [t.trigger_id for t in triggers.open_triggers(conn)],
            )

    def wait(self, timeout_s: float, every_s: float = 0.02) -> Lag:
        """Look until all is caught up, or the time is over; return the last look."""
        deadline = time.monotonic() + timeout_s
        while not (lag := self.look()).caught_up and time.monotonic() < deadline:
            time.sleep(every_s)
        return lag

    def close(self) -> None:
        """Close the connection to the broker; the engine is the caller's."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def caught_up(settings: Settings, engine: Engine) -> Lag:
    """Return the lag once; whoever asks again keeps a ``LagWatch``."""
    with LagWatch(settings, engine) as watch:
        return watch.look()
