"""Records of a topic published again, bytes, headers and time stamps as they were: to answer what another configuration would have said."""

from __future__ import annotations

from collections.abc import Mapping

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from driftline.contracts.errors import TopicError
from driftline.contracts.settings import SecuritySettings
from driftline.producers.security import security_options

_POLL_MS = 500


def replay(
    source: str,
    target: str,
    ranges: Mapping[int, tuple[int, int]],
    *,
    bootstrap_servers: str,
    security: SecuritySettings | None = None,
) -> dict[int, int]:
    """Publish the records ``first`` to ``next - 1`` of each partition of ``source`` to the same partition of ``target``, in order.

    ``ranges`` maps a partition to (first, next); ``next`` is cut to where the partition ends when this begins. Returns how many records each
    partition gave: fewer than asked for where retention or compaction took some. Topic names are the broker's, prefix included. Raises
    TopicError where a topic lacks a partition, and what kafka-python raises where a record is not acknowledged.
    """
    options = {"bootstrap_servers": [server.strip() for server in bootstrap_servers.split(",")], **security_options(security)}
    # Without this, a first offset that retention took would be found at the other end.
    consumer = KafkaConsumer(**options, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", allow_auto_create_topics=False)
    try:
        for topic in (source, target):
            lacking = set(ranges) - set(consumer.partitions_for_topic(topic) or ())
            if lacking:
                raise TopicError(f"the topic {topic} has no partition {min(lacking)}")
        until = _begin(consumer, source, ranges)
        producer = KafkaProducer(**options, acks="all", allow_auto_create_topics=False, linger_ms=5)
        try:
            return _copy(consumer, producer, target, until)
        finally:
            producer.close(timeout=30)
    finally:
        consumer.close()


def _begin(consumer: KafkaConsumer, source: str, ranges: Mapping[int, tuple[int, int]]) -> dict[TopicPartition, int]:
    """Seek to the first offsets and return where to stop."""
    partitions = [TopicPartition(source, p) for p in sorted(ranges)]
    consumer.assign(partitions)
    first, end = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    for tp in partitions:
        consumer.seek(tp, min(max(ranges[tp.partition][0], first[tp]), end[tp]))
    return {tp: min(ranges[tp.partition][1], end[tp]) for tp in partitions}


def _copy(consumer: KafkaConsumer, producer: KafkaProducer, target: str, until: dict[TopicPartition, int]) -> dict[int, int]:
    copied = dict.fromkeys((tp.partition for tp in until), 0)
    while any(consumer.position(tp) < end for tp, end in until.items()):
        futures = []
        for tp, records in consumer.poll(timeout_ms=_POLL_MS).items():
            for record in records:
                if record.offset >= until[tp]:
                    consumer.pause(tp)
                    break
                futures.append(
                    producer.send(
                        target,
                        value=record.value,
                        key=record.key,
                        headers=[(name, value or b"") for name, value in record.headers],
                        partition=tp.partition,
                        timestamp_ms=record.timestamp,
                    )
                )
                copied[tp.partition] += 1
        producer.flush(60)
        for future in futures:
            future.get(timeout=60)
    return copied
