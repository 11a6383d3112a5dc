"""The log of one topic, read as far as somebody asks, partition by partition; nothing is committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from driftline.cli.connection import open_consumer
from driftline.cli.topics import missing
from driftline.contracts.errors import SetupError
from driftline.contracts.settings import KafkaSettings
from driftline.contracts.topics import Topic, topic_name

if TYPE_CHECKING:
    from kafka import TopicPartition

    from driftline.streams.records import Record

Told = TypeVar("Told")

_POLL_MS = 1_000
_POLL_MOST = 2_000
#: Polls in a row that bring nothing although something has to be there.
_PATIENCE = 30


class Past:
    """One topic from where the broker still has it. Raises SetupError without a broker, TopicError without the topic."""

    def __init__(self, kafka: KafkaSettings, topic: Topic) -> None:
        from kafka import TopicPartition

        self.name = topic_name(topic, kafka)
        self._consumer = open_consumer(kafka)
        partitions = self._consumer.partitions_for_topic(self.name)
        if not partitions:
            raise missing(self.name)
        self._tps = {p: TopicPartition(self.name, p) for p in sorted(partitions)}
        self._consumer.assign(list(self._tps.values()))
        self._consumer.seek_to_beginning()
        self.begins = {tp.partition: offset for tp, offset in self._consumer.beginning_offsets(list(self._tps.values())).items()}
        self._ahead: dict[int, deque[Any]] = {p: deque() for p in self._tps}

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return len(self._tps)

    def ends(self) -> dict[int, int]:
        """Return the offset after the last committed record of each partition."""
        return self._told(lambda tps: {tp.partition: offset for tp, offset in self._consumer.end_offsets(tps).items()})

    def at(self, moment: int) -> dict[int, int]:
        """Return the offset of each partition's first record that was made (or appended, as the topic says) at a moment (ms) or later; all before it
        are older. Its end where there is none.
        """
        ends = self.ends()
        found = self._told(lambda tps: self._consumer.offsets_for_times(dict.fromkeys(tps, max(moment, 0))))
        return {tp.partition: ends[tp.partition] if one is None else one.offset for tp, one in found.items()}

    def between(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[tuple[int, int, list[Record]]]:
        """Yield the records from some offsets to before others, partition by partition and poll by poll, so that they fit in memory, each
        with its partition and the number of offsets that it went on by. Raises SetupError where retention takes them away meanwhile.
        """
        for partition, first in sorted(starts.items()):
            tp, at, end = self._tps[partition], first, ends[partition]
            if at < end:
                self._ahead[partition].clear()
                self._consumer.seek(tp, at)
            for records in self._polls(partition, end):
                if not records or records[0].offset > at:  # nothing but markers of transactions, or records that are gone
                    begin = self._told(self._consumer.beginning_offsets)[tp]
                    if begin > at:
                        raise SetupError(f"{self.name}[{partition}] lost its records before offset {begin:,} to the topic's retention as it was read")
                reached = min(self._consumer.position(tp), end)
                yield partition, reached - at, [record for record in records if record.offset < end]
                at = reached

    def _told(self, ask: Callable[[list[TopicPartition]], Told]) -> Told:
        from kafka.errors import KafkaError

        try:
            return ask(list(self._tps.values()))
        except KafkaError as error:
            raise SetupError(f"the broker does not say what {self.name} holds: {error}") from error

    def until(self, partition: int, position: int) -> list[Record]:
        """Return the records of a partition before an offset that were not returned yet."""
        ahead = self._ahead[partition]
        for found in self._polls(partition, position):
            ahead.extend(found)
        records = []
        while ahead and ahead[0].offset < position:
            records.append(ahead.popleft())
        return records

    def _polls(self, partition: int, position: int) -> Iterator[list[Record]]:
        """Yield what each poll of a partition brings, until it stands at an offset; nothing but markers of transactions may bring it there."""
        from kafka.errors import KafkaError

        tp, empty = self._tps[partition], 0
        try:
            self._consumer.pause(*(other for p, other in self._tps.items() if p != partition))
            self._consumer.resume(tp)
            while (before := self._consumer.position(tp)) < position:
                found = self._consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_MOST).get(tp, [])
                if found or self._consumer.position(tp) > before:
                    empty = 0
                    yield found
                    continue
                empty += 1
                if empty > _PATIENCE:
                    raise SetupError(f"{self.name}[{partition}] ends before offset {position:,}, up to which it is said to reach")
        except KafkaError as error:
            raise SetupError(f"{self.name} can't be read: {error}") from error

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()
