from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic

from driftline.contracts.settings import KafkaSettings
from driftline.contracts.topics import TOPICS, partitions_of, topic_name

Read = Callable[[str], list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]], int]]]


@pytest.fixture
def prefix(bootstrap: str, topic_prefix: str) -> str:
    """The prefix of a fresh set of topics, two partitions each."""
    kafka = KafkaSettings(topic_prefix=topic_prefix, partitions=2)
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        # Some tests append records of long ago, which the broker's retention would take while they run.
        for_ever = {"retention.ms": "-1"}
        admin.create_topics([NewTopic(topic_name(t, kafka), partitions_of(t, kafka), 1, topic_configs=for_ever) for t in TOPICS])
    finally:
        admin.close()
    return topic_prefix


@pytest.fixture
def read(bootstrap: str) -> Read:
    """All records of a topic: (partition, key, value, headers, time stamp)."""

    def records(topic: str) -> list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]], int]]:
        consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, group_id=None)
        try:
            partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
            consumer.assign(partitions)
            consumer.seek_to_beginning()
            ends = consumer.end_offsets(partitions)
            found = []
            while any(consumer.position(tp) < end for tp, end in ends.items()):
                for tp, batch in consumer.poll(timeout_ms=200).items():
                    found += [(tp.partition, r.key, r.value, list(r.headers), r.timestamp) for r in batch]
            return found
        finally:
            consumer.close()

    return records
