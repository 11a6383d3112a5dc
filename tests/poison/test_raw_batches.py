"""Batches that no client makes: which of them a broker lets in, and that what it lets in is read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaError
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from tests.poison.raw_batches import RawBatch, Spoil, cut_short, garbled, of_unknown_codec, sealed, spoilt_batch, with_header_that_is_no_text

from driftline.cli.topics import ensure_topics
from driftline.contracts.settings import build_settings
from driftline.streams.transport.records import ReadableRecords

VALUES = [b"value %d " % i * 20 for i in range(20)]
CODECS = (None, "gzip", "snappy", "lz4", "zstd")


@pytest.fixture
def topic(bootstrap: str, topic_prefix: str) -> str:
    ensure_topics(build_settings({"kafka": {"bootstrap_servers": bootstrap, "topic_prefix": topic_prefix, "partitions": 1}}))
    return f"{topic_prefix}inference-events"


def as_it_is(content: bytearray) -> bytearray:
    return content


async def let_in(bootstrap: str, topic: str, codec: str | None, spoil: Spoil, headers: Sequence[tuple[str, bytes]] = ()) -> bool:
    """Send a spoilt batch; say whether the broker took it."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, compression_type=codec, linger_ms=0, request_timeout_ms=10_000)
    await producer.start()
    try:
        await (await producer.send_batch(spoilt_batch(producer, VALUES, spoil, headers), topic, partition=0))
    except KafkaError:
        return False
    finally:
        await producer.stop()
    return True


@pytest.mark.parametrize("codec", CODECS)
def test_a_broker_takes_a_batch_apart_before_it_lets_it_in(bootstrap: str, topic: str, codec: str | None) -> None:
    async def tried() -> dict[str, bool]:
        return {spoil.__name__: await let_in(bootstrap, topic, codec, spoil) for spoil in (as_it_is, cut_short, garbled, of_unknown_codec)}

    assert asyncio.run(tried()) == {"as_it_is": True, "cut_short": False, "garbled": False, "of_unknown_codec": False}


@pytest.mark.parametrize("ours", [False, True])
def test_a_header_whose_name_is_no_text_stops_aiokafka_and_not_us(bootstrap: str, topic: str, ours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", ReadableRecords if ours else MemoryRecords)

    async def read() -> list[Any]:
        assert await let_in(bootstrap, topic, None, with_header_that_is_no_text, [("poison", b"1"), ("other", b"2")])
        assert await let_in(bootstrap, topic, "gzip", as_it_is)
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic, 0)])
            found: list[Any] = []
            while len(found) < 2 * len(VALUES):
                for records in (await consumer.getmany(timeout_ms=1000)).values():
                    found += records
            return found
        finally:
            await consumer.stop()

    if not ours:
        with pytest.raises(UnicodeDecodeError):
            asyncio.run(read())
        return
    found = asyncio.run(read())
    assert [record.value for record in found] == 2 * VALUES
    assert [record.offset for record in found] == list(range(2 * len(VALUES)))
    assert [record.key for record in found] == 2 * [b"raw%d" % i for i in range(len(VALUES))]
    # One batch was spoilt at its first header only.
    assert found[0].headers == (("\\xff\\xfeison", b"1"), ("other", b"2"))
    assert found[1].headers == (("poison", b"1"), ("other", b"2"))
    assert all(abs(record.timestamp - found[0].timestamp) < 60_000 for record in found)


def test_a_sealed_batch_has_its_own_length() -> None:
    content = sealed(bytearray(100))
    assert int.from_bytes(content[8:12], "big") == 88
    assert RawBatch(content, 1).size() == 100
