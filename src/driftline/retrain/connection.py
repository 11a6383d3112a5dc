"""How the worker reaches the broker, in kafka-python's words."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from driftline.contracts.errors import SetupError, TopicError
from driftline.contracts.knock import check_welcome
from driftline.contracts.security import open_security
from driftline.contracts.settings import KafkaSettings, Settings
from driftline.contracts.times import parse_duration
from driftline.contracts.topics import INFERENCE_EVENTS, LABEL_EVENTS, MAX_SUMMARY_BYTES, RETRAIN_TRIGGERS, topic_name

GROUP = "driftline-retrain"


def connection(kafka: KafkaSettings, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the keywords that any of kafka-python's clients takes, or raise SettingsError.

    >>> connection(KafkaSettings(bootstrap_servers="a:1,b:2"))
    {'bootstrap_servers': ['a:1', 'b:2'], 'security_protocol': 'PLAINTEXT'}
    """
    opened = open_security(kafka.security, environment)
    keywords: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap_servers.split(","),
        "security_protocol": opened.protocol,
    }
    if opened.tls is not None:
        keywords["ssl_context"] = opened.tls
    if opened.mechanism is not None:
        keywords |= {
            "sasl_mechanism": opened.mechanism,
            "sasl_plain_username": opened.username,
            "sasl_plain_password": opened.password,
        }
    return keywords


def open_consumer(settings: Settings) -> KafkaConsumer:
    """Return a consumer of the triggers that commits nothing by itself. Raises SetupError or TopicError."""
    name = topic_name(RETRAIN_TRIGGERS, settings.kafka)
    session = parse_duration(settings.worker.session_timeout)
    kafka = settings.kafka
    check_welcome(kafka.bootstrap_servers.split(","), open_security(kafka.security, os.environ))
    try:
        consumer = KafkaConsumer(
            group_id=settings.kafka.topic_prefix + GROUP,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=session,
            heartbeat_interval_ms=max(1, session // 3),
            max_poll_interval_ms=parse_duration(settings.retrain.max_poll_interval),
            isolation_level="read_committed",
            bootstrap_timeout_ms=10_000,
            **connection(kafka),
        )
    except KafkaError as error:
        raise SetupError(f"no broker answers at {kafka.bootstrap_servers}: {error}") from error
    if not consumer.partitions_for_topic(name):
        consumer.close()
        raise TopicError(f"the topic {name} does not exist: run `driftline topics create`")
    consumer.subscribe([name])
    return consumer


def open_producer(settings: Settings) -> KafkaProducer:
    """Return a producer whose records are acknowledged by all replicas."""
    return KafkaProducer(acks="all", max_request_size=MAX_SUMMARY_BYTES, **connection(settings.kafka))


def event_ends(consumer: KafkaConsumer, kafka: KafkaSettings) -> dict[tuple[str, int], int]:
    """Return the end offset of each partition that the join reads, by the topic's own name (no prefix) and partition;
    empty ones left out.
    """
    ends: dict[tuple[str, int], int] = {}
    for topic in (INFERENCE_EVENTS, LABEL_EVENTS):
        name = topic_name(topic, kafka)
        partitions = [TopicPartition(name, p) for p in sorted(consumer.partitions_for_topic(name) or ())]
        found: dict[TopicPartition, int] = consumer.end_offsets(partitions) if partitions else {}
        ends |= {(topic.name, tp.partition): end for tp, end in found.items() if end > 0}
    return ends
