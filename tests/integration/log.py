"""Reading whole topics back."""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer
from kafka.structs import TopicPartition

from driftline.contracts.settings import Settings


def read_back(settings: Settings, topic: str) -> list[Any]:
    """Return every record of a topic that was not taken back, by partition and offset."""
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False, isolation_level="read_committed"
    )
    try:
        name = settings.kafka.topic_prefix + topic
        tps = [TopicPartition(name, p) for p in sorted(consumer.partitions_for_topic(name) or ())]
        consumer.assign(tps)
        ends = consumer.end_offsets(tps)
        consumer.seek_to_beginning(*tps)
        found: list[Any] = []
        while any(consumer.position(tp) < ends[tp] for tp in tps):
            for records in consumer.poll(timeout_ms=500, max_records=5000).values():
                found += records
        return sorted(found, key=lambda r: (r.partition, r.offset))
    finally:
        consumer.close()
