from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from driftline.cli.topics import FoundTopic, absent_topics, check_topics, compare, ensure_topics, too_small, wanted_topics
from driftline.contracts.errors import TopicError
from driftline.contracts.settings import KafkaSettings, Settings, build_settings
from driftline.contracts.topics import TOPICS


@pytest.fixture
def settings(bootstrap: str, topic_prefix: str) -> Settings:
    return build_settings({"kafka": {"bootstrap_servers": bootstrap, "topic_prefix": topic_prefix, "partitions": 4}})


def as_wanted(kafka: KafkaSettings) -> dict[str, FoundTopic]:
    return {t.name: FoundTopic(t.partitions, t.configs) for t in wanted_topics(kafka)}


def test_topics_as_wanted_have_no_flaws() -> None:
    kafka = KafkaSettings()
    assert compare(wanted_topics(kafka), as_wanted(kafka)) == []


@pytest.mark.parametrize(
    ("topic", "found", "says", "fatal"),
    [
        ("alerts", None, "topic alerts is missing, expected with 4 partitions; run `driftline topics create`", True),
        ("summaries", FoundTopic(7, {}), "topic summaries: the number of partitions is 7, expected 4", True),
        ("model-versions", FoundTopic(1, {"cleanup.policy": "delete"}), "cleanup.policy is delete, expected compact", True),
        ("inference-events", FoundTopic(4, {"message.timestamp.type": "LogAppendTime"}), "is LogAppendTime, expected CreateTime", True),
        ("label-events", FoundTopic(4, {"retention.ms": "1"}), "retention.ms is 1, expected 2592000000", False),
    ],
)
def test_a_flaw_names_the_topic_what_is_found_and_what_is_expected(topic: str, found: FoundTopic | None, says: str, fatal: bool) -> None:
    kafka = KafkaSettings()
    there = as_wanted(kafka)
    if found is None:
        del there[topic]
    else:
        there[topic] = found
    (flaw,) = compare(wanted_topics(kafka), there)
    assert says in flaw.sentence
    assert flaw.fatal == fatal


def test_a_topic_that_would_refuse_a_dead_letter_stops_a_worker_before_the_letter_does() -> None:
    name, chosen = "dead-letters", build_settings({"limits": {"letter_bytes": 1 << 20}})
    assert too_small(chosen, {name: FoundTopic(4, {"max.message.bytes": str(2 << 20)})}) == []
    (flaw,) = too_small(chosen, {name: FoundTopic(4, {"max.message.bytes": "1048588"})})
    assert flaw.fatal
    assert "limits.letter_bytes to 983052 or less" in flaw.sentence


def test_missing_topics_are_made_as_the_table_says(settings: Settings) -> None:
    with pytest.raises(TopicError, match=f"{settings.kafka.topic_prefix}summaries is missing"):
        check_topics(settings)
    assert len(absent_topics(settings)) == len(TOPICS)
    made = ensure_topics(settings)
    assert made == [settings.kafka.topic_prefix + topic.name for topic in TOPICS]
    assert check_topics(settings) == []
    assert ensure_topics(settings) == []
    assert absent_topics(settings) == []


def test_many_may_make_them_at_once(settings: Settings) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ensure_topics, [settings] * 4))
    assert check_topics(settings) == []


def test_a_topic_with_other_partitions_is_an_error_and_nothing_is_made(settings: Settings) -> None:
    name = f"{settings.kafka.topic_prefix}summaries"
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    admin.create_topics({name: {"num_partitions": 3, "replication_factor": 1}}, wait_for_metadata=True)
    with pytest.raises(TopicError, match=f"topic {name}: the number of partitions is 3, expected 4"):
        ensure_topics(settings)
    assert len(absent_topics(settings)) == len(TOPICS) - 1
    admin.close()


def test_a_shorter_retention_is_told_and_borne(settings: Settings) -> None:
    ensure_topics(settings)
    name = f"{settings.kafka.topic_prefix}alerts"
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs={"retention.ms": "60000"})])
    admin.close()
    deadline = time.monotonic() + 10
    while not (flaws := check_topics(settings)) and time.monotonic() < deadline:  # a change takes a moment to get round
        time.sleep(0.05)
    (flaw,) = flaws
    assert (flaw.topic, flaw.what, flaw.found) == (name, "retention.ms", "60000")
