"""The log of one topic, read as far as somebody asks, partition by partition; nothing is committed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from driftline.cli.connection import open_consumer
from driftline.cli.topics import missing
from driftline.contracts.errors import SetupError
from driftline.contracts.settings import KafkaSettings
from driftline.contracts.topics import Topic, topic_name

if TYPE_CHECKING:
    from driftline.streams.records import Record

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

    def until(self, partition: int, position: int) -> list[Record]:
        """Return the records of a partition before an offset that were not returned yet."""
        from kafka.errors import KafkaError

        tp, ahead = self._tps[partition], self._ahead[partition]
        try:
            self._consumer.pause(*(other for p, other in self._tps.items() if p != partition))
            self._consumer.resume(tp)
            empty = 0
            while self._consumer.position(tp) < position:
                found = self._consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_MOST)
                ahead.extend(found.get(tp, ()))
                empty = 0 if found else empty + 1
                if empty > _PATIENCE:
                    raise SetupError(f"{self.name}[{partition}] ends before offset {position:,}, up to which it was read live")
        except KafkaError as error:
            raise SetupError(f"{self.name} can't be read: {error}") from error
        records = []
        while ahead and ahead[0].offset < position:
            records.append(ahead.popleft())
        return records

    def close(self) -> None:
        """Let go of the broker."""
        self._consumer.close()
