"""Filling topics fast, and reading whole topics back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from kafka import KafkaConsumer
from kafka.structs import TopicPartition
from tests.integration.stream import Record

from driftline.contracts.settings import Settings

#: Records of one batch: as many as a busy client gets together.
_BATCH = 200


def publish(settings: Settings, stream: Sequence[Record], *, compression: Sequence[str | None] = (None,)) -> float:
    """Publish the records as fast as the broker takes them, in order, each batch in the next of the codecs; return the records a second."""
    return asyncio.run(_publish(settings, stream, compression))


async def _publish(settings: Settings, stream: Sequence[Record], compression: Sequence[str | None]) -> float:
    producers = {}
    for codec in dict.fromkeys(compression):
        # One request at a time keeps the order within a partition.
        producers[codec] = AIOKafkaProducer(
            bootstrap_servers=settings.kafka.bootstrap_servers, compression_type=codec, linger_ms=0, max_batch_size=1 << 20
        )
        await producers[codec].start()
    began = time.monotonic()
    try:
        for i, (topic, partition, batch) in enumerate(_batches(stream)):
            producer = producers[compression[i % len(compression)]]
            builder = producer.create_batch()
            for record in batch:
                if builder.append(key=record.key, value=record.value, timestamp=None) is None:
                    raise ValueError("a batch is too large")
            sent = await producer.send_batch(builder, settings.kafka.topic_prefix + topic, partition=partition)
            await sent
    finally:
        for producer in producers.values():
            await producer.stop()
    return len(stream) / (time.monotonic() - began)


def _batches(stream: Sequence[Record]) -> Iterable[tuple[str, int, list[Record]]]:
    """Yield runs of each partition, so that all partitions advance together."""
    open_: dict[tuple[str, int], list[Record]] = {}
    for record in stream:
        batch = open_.setdefault((record.topic, record.partition), [])
        batch.append(record)
        if len(batch) == _BATCH:
            yield record.topic, record.partition, open_.pop((record.topic, record.partition))
    for (topic, partition), batch in open_.items():
        yield topic, partition, batch


def read_back(settings: Settings, topic: str) -> list[Any]:
    """Return every record of a topic, by partition and offset."""
    consumer = KafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False)
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
