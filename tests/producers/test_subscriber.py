from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Protocol

import pytest
from kafka import KafkaProducer

from driftline.contracts.errors import SettingsError, TopicError
from driftline.contracts.findings import Alert, Finding, ModelVersion, RetrainTrigger, encode_json
from driftline.producers import Subscriber


class Send(Protocol):
    """Publishes values and waits until they are there."""

    def __call__(self, topic: str, *values: bytes | None, partition: int = 0, at: int | None = None) -> None: ...


def alert(name: str, revision: int = 0, model: str = "m") -> Alert:
    return Alert(
        alert_id=name, episode_id="e", revision=revision, status="opened", severity="warning", model=model, version="1", reference_id="r",
        onset=1, opened_at=2, at=3, n=4, evidence=5.0, budget=6.0, causes=(), sentence="It drifts.",
    )  # fmt: skip


def finding(name: str, revision: int) -> Finding:
    return Finding(
        finding_id=name, revision=revision, model="m", version="1", reference_id="r", state="ok", window_start=0, window_end=1, n=1, late=0,
        columns=(), evidence=0.0, budget=1.0, sentence="All is well.",
    )  # fmt: skip


@pytest.fixture
def send(bootstrap: str) -> Iterator[Send]:
    producer = KafkaProducer(bootstrap_servers=bootstrap)

    def sent(topic: str, *values: bytes | None, partition: int = 0, at: int | None = None) -> None:
        for value in values:
            producer.send(topic, key=b"m", value=value, partition=partition, timestamp_ms=at)
        producer.flush()

    yield sent
    producer.close()


def follow(bootstrap: str, prefix: str, **options: object) -> list[tuple[str, int, int]]:
    with Subscriber(Alert, bootstrap_servers=bootstrap, topic_prefix=prefix, idle_timeout=1.0, **options) as subscriber:  # type: ignore[arg-type]
        return [(r.message.alert_id, r.partition, r.offset) for r in subscriber]


def test_now_is_when_the_subscriber_was_made(bootstrap: str, prefix: str, send: Send) -> None:
    send(prefix + "alerts", encode_json(alert("old")))
    with Subscriber(Alert, bootstrap_servers=bootstrap, topic_prefix=prefix, idle_timeout=1.0) as subscriber:
        send(prefix + "alerts", encode_json(alert("new")), partition=1)
        send(prefix + "alerts", encode_json(alert("newer")))
        received = list(subscriber)
    assert {(r.message.alert_id, r.topic, r.partition, r.offset) for r in received} == {
        ("new", prefix + "alerts", 1, 0),
        ("newer", prefix + "alerts", 0, 1),
    }


def test_one_starts_where_one_says(bootstrap: str, prefix: str, send: Send) -> None:
    for i, hour in enumerate((5, 6, 7)):
        send(prefix + "alerts", encode_json(alert(f"a{i}")), at=int(datetime(2025, 3, 1, hour, tzinfo=UTC).timestamp() * 1000))
    send(prefix + "alerts", encode_json(alert("b0")), partition=1, at=int(datetime(2025, 3, 1, 5, tzinfo=UTC).timestamp() * 1000))

    def names(start: object) -> list[str]:
        return sorted(name for name, _, _ in follow(bootstrap, prefix, start=start))

    assert names("earliest") == ["a0", "a1", "a2", "b0"]
    assert names("2025-03-01T06:00:00Z") == ["a1", "a2"]
    assert names(datetime(2025, 3, 1, 7, tzinfo=UTC)) == ["a2"]
    assert names(int(datetime(2025, 3, 1, 6, tzinfo=UTC).timestamp() * 1000)) == ["a1", "a2"]
    assert names(1) == ["a1", "a2"]
    assert names({0: 2}) == ["a2", "b0"]
    assert names(99) == []
    with pytest.raises(SettingsError, match="start"):
        names("soon")
    with pytest.raises(SettingsError, match="start"):
        names("2025-03-01T06:00:00")


def test_what_can_not_be_decoded_is_counted_and_skipped(bootstrap: str, prefix: str, send: Send, caplog: pytest.LogCaptureFixture) -> None:
    deep = b"[" * 100_000
    send(prefix + "alerts", b"{", b"\xff", deep, b'{"alert_id": 1}', None, encode_json(alert("good")))
    with (
        caplog.at_level(logging.WARNING, "driftline.producers.subscriber"),
        Subscriber(Alert, bootstrap_servers=bootstrap, topic_prefix=prefix, start="earliest", idle_timeout=1.0) as subscriber,
    ):
        assert [r.message.alert_id for r in subscriber] == ["good"]
        assert subscriber.skipped == 4
    assert "offset 3" in caplog.text


def test_a_message_of_a_later_schema_version_with_more_fields_is_read(bootstrap: str, prefix: str, send: Send) -> None:
    later = encode_json(alert("a")).replace(b'{"schema_version":1', b'{"schema_version":2,"confetti":[1,2]')
    send(prefix + "alerts", later)
    assert [name for name, _, _ in follow(bootstrap, prefix, start="earliest")] == ["a"]


def test_latest_leaves_out_repeats_and_older_revisions(bootstrap: str, prefix: str, send: Send) -> None:
    rows = [("f", 0), ("f", 1), ("f", 1), ("f", 0), ("g", 3), ("f", 2)]
    send(prefix + "drift-findings", *(encode_json(finding(*row)) for row in rows))

    def seen(latest: bool) -> list[tuple[str, int]]:
        with Subscriber(Finding, bootstrap_servers=bootstrap, topic_prefix=prefix, start="earliest", idle_timeout=1.0, latest=latest) as subscriber:
            return [(r.message.finding_id, r.message.revision) for r in subscriber]

    assert seen(latest=False) == rows
    assert seen(latest=True) == [("f", 0), ("f", 1), ("g", 3), ("f", 2)]


def test_one_may_follow_one_model_alone(bootstrap: str, prefix: str, send: Send) -> None:
    send(prefix + "alerts", encode_json(alert("a", model="other")), encode_json(alert("b")))
    assert [name for name, _, _ in follow(bootstrap, prefix, start="earliest", model="m")] == ["b"]


def test_each_kind_has_its_topic(bootstrap: str, prefix: str, send: Send) -> None:
    version = ModelVersion(model="m", sequence=1, status="champion", version="2", reference_id="r", effective_from=5, sentence="Two is the champion.")
    trigger = RetrainTrigger(trigger_id="t", model="m", version="1", reason="manual", at=1, sentence="Somebody asked for it.")
    send(prefix + "model-versions", encode_json(version))
    send(prefix + "retrain-triggers", encode_json(trigger))
    with Subscriber(ModelVersion, bootstrap_servers=bootstrap, topic_prefix=prefix, start="earliest", idle_timeout=1.0) as versions:
        assert [r.message for r in versions] == [version]
    with Subscriber(RetrainTrigger, bootstrap_servers=bootstrap, topic_prefix=prefix, start="earliest", idle_timeout=1.0) as triggers:
        assert [r.message for r in triggers] == [trigger]


def test_a_topic_that_is_not_there_is_an_error_that_says_so(bootstrap: str, topic_prefix: str) -> None:
    with pytest.raises(TopicError, match="alerts"):
        Subscriber(Alert, bootstrap_servers=bootstrap, topic_prefix=topic_prefix)
    with pytest.raises(SettingsError, match="kind"):
        Subscriber(dict, bootstrap_servers=bootstrap)  # type: ignore[type-var]
