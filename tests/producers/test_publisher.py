from __future__ import annotations

import logging
import socket
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.producers.conftest import Read

from driftline.cli.kafka_local import start_broker, stop_broker
from driftline.contracts.errors import SettingsError
from driftline.contracts.events import decode_inference, decode_label
from driftline.contracts.settings import SecuritySettings
from driftline.producers import Publisher


@pytest.fixture
def nowhere() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_prediction_and_its_label_arrive_as_the_contract_has_them(bootstrap: str, prefix: str, read: Read) -> None:
    with Publisher(bootstrap_servers=bootstrap, topic_prefix=prefix, model="m", version="3") as publisher:
        first = publisher.publish(
            {"distance": 1400, "carrier": "UA", "wet": True, "gate": None},
            prediction=1,
            score=0.75,
            event_time="2013-03-01T05:15:00Z",
            slice={"origin": "JFK"},
        )
        second = publisher.publish({"distance": 1}, event_id="mine", version="4", probabilities={"a": 0.5, "b": 0.5})
        publisher.publish_label(first, 0, event_time=datetime(2013, 3, 1, 7, tzinfo=UTC))
        publisher.publish_label(second, None)
        assert publisher.flush(20)
        assert (publisher.delivered, publisher.lost) == (4, 0)
    events = {e.event_id: e for e in (decode_inference(value) for _, _, value, _, _ in read(prefix + "inference-events"))}
    event = events[first]
    assert (event.model, event.version, event.event_time) == ("m", "3", 1362114900000)
    assert msgspec.json.decode(event.features) == {"distance": 1400, "carrier": "UA", "wet": True, "gate": None}
    assert (event.prediction, event.score, event.slice) == (1.0, 0.75, {"origin": "JFK"})
    assert (events["mine"].version, events["mine"].probabilities) == ("4", {"a": 0.5, "b": 0.5})
    labels = {e.event_id: e for e in (decode_label(value) for _, _, value, _, _ in read(prefix + "label-events"))}
    assert (labels[first].label, labels[first].event_time) == (0.0, 1362121200000)
    assert labels["mine"].label is None


def test_a_prediction_and_its_label_go_to_the_same_partition_by_their_id(bootstrap: str, prefix: str, read: Read) -> None:
    with Publisher(bootstrap_servers=bootstrap, topic_prefix=prefix, model="m") as publisher:
        for _ in range(20):
            publisher.publish_label(publisher.publish({"x": 1.0}), 1)
        assert publisher.flush(20)
    where = [{key: partition for partition, key, _, _, _ in read(prefix + topic)} for topic in ("inference-events", "label-events")]
    assert where[0] == where[1]
    assert len(where[0]) == 20
    assert set(where[0].values()) == {0, 1}


def test_a_flush_and_a_close_do_not_wait_for_the_linger(bootstrap: str, prefix: str, read: Read) -> None:
    with Publisher(bootstrap_servers=bootstrap, topic_prefix=prefix, model="m", linger_ms=10_000) as publisher:
        for event in range(20):
            publisher.publish({"x": event})
        assert publisher.flush(8)
        publisher.publish({"x": 20})
    assert (publisher.delivered, publisher.lost) == (21, 0)
    assert len(read(prefix + "inference-events")) == 21


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
def test_every_compression_arrives(bootstrap: str, prefix: str, read: Read, compression: str) -> None:
    with Publisher(bootstrap_servers=bootstrap, topic_prefix=prefix, model="m", compression=compression) as publisher:
        publisher.publish({"x": "y" * 1000})
    assert len(read(prefix + "inference-events")) == 1


def test_scalars_of_numpy_are_numbers_and_what_is_not_finite_is_null(bootstrap: str, prefix: str, read: Read) -> None:
    with Publisher(bootstrap_servers=bootstrap, topic_prefix=prefix, model="m") as publisher:
        publisher.publish(
            {
                "f32": np.float32(0.5), "f64": np.float64(2.0), "i": np.int64(7), "b": np.bool_(True), "s": np.str_("UA"), "zero-d": np.array(3.0),
                "nan": float("nan"), "npnan": np.float32("nan"), "inf": float("inf"), "np64nan": np.float64("nan"),
            },
            prediction=np.int64(1), score=np.float32(0.25),
        )  # fmt: skip
    ((_, _, value, _, _),) = read(prefix + "inference-events")
    event = decode_inference(value)
    assert msgspec.json.decode(event.features) == {
        "f32": 0.5, "f64": 2.0, "i": 7, "b": True, "s": "UA", "zero-d": 3.0, "nan": None, "npnan": None, "inf": None, "np64nan": None,
    }  # fmt: skip
    assert (event.prediction, event.score) == (1.0, 0.25)


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, object(), datetime(2013, 1, 1, tzinfo=UTC), np.array([1.0, 2.0]), b"x", 1j, "\ud800"])
def test_a_feature_that_is_no_scalar_is_a_type_error_with_its_name(nowhere: str, value: object) -> None:
    publisher = Publisher(bootstrap_servers=nowhere, model="m")
    with pytest.raises(TypeError, match="dep_delay"):
        publisher.publish({"distance": 1, "dep_delay": value})
    with pytest.raises(TypeError, match="name of a feature"):
        publisher.publish({1: 2})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ({"event_id": ""}, ValueError),
        ({"event_id": "x" * 257}, ValueError),
        ({"event_id": "\ud800"}, ValueError),
        ({"event_id": 7}, TypeError),
        ({"event_time": "yesterday"}, ValueError),
        ({"event_time": 1362114900}, ValueError),
        ({"event_time": datetime(2013, 1, 1)}, ValueError),  # noqa: DTZ001 - the point of the case
        ({"score": "high"}, TypeError),
        ({"prediction": [1]}, TypeError),
        ({"prediction": "x" * 300}, ValueError),
        ({"probabilities": {"a": float("nan")}}, ValueError),
    ],
)
def test_what_no_consumer_would_accept_is_refused_at_once(nowhere: str, wrong: dict[str, object], kind: type[Exception]) -> None:
    publisher = Publisher(bootstrap_servers=nowhere, model="m")
    with pytest.raises(kind, match=next(iter(wrong)) if "\ud800" not in wrong.values() else "UTF-8"):
        publisher.publish({"x": 1}, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bytes"):
        publisher.publish({"x": "y" * (1 << 20)})
    with pytest.raises(ValueError, match="label"):
        publisher.publish_label("a", float("nan"))
    assert publisher.lost == 0


def test_a_compression_whose_package_is_missing_is_a_settings_error(nowhere: str) -> None:
    with pytest.raises(SettingsError, match="compression"):
        Publisher(bootstrap_servers=nowhere, model="m", compression="brotli")
    for odd in (-1, 10_001, True, 0.5):
        with pytest.raises(SettingsError, match="linger_ms"):
            Publisher(bootstrap_servers=nowhere, model="m", linger_ms=odd)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="SASL_SSL"):
        Publisher(bootstrap_servers=nowhere, model="m", security=SecuritySettings(protocol="SASL_PLAINTEXT", username="u"))


def test_without_a_broker_publishing_does_not_wait_and_every_loss_is_counted(nowhere: str, caplog: pytest.LogCaptureFixture) -> None:
    lost: list[tuple[str, str]] = []
    publisher = Publisher(
        bootstrap_servers=nowhere, model="m", max_events=10, max_block_ms=100, close_timeout=0.3, on_loss=lambda i, why: lost.append((i, why))
    )
    began = time.monotonic()
    ids = [publisher.publish({"x": i}) for i in range(15)]
    assert time.monotonic() - began < 0.5
    assert publisher.lost_by_reason == {"the buffer is full": 5}
    assert [i for i, _ in lost] == ids[10:]
    assert not publisher.flush(0.1)
    with caplog.at_level(logging.WARNING, "driftline.producers.losses"):
        publisher.close()
    assert "lost" in caplog.text
    deadline = time.monotonic() + 20  # the client may be in the middle of an attempt to connect
    while publisher.lost < 15 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert publisher.lost_by_reason == {"the buffer is full": 5, "closed before delivery": 10}
    with pytest.raises(RuntimeError, match="closed"):
        publisher.publish({"x": 1})


def test_bytes_bound_the_buffer_too(nowhere: str) -> None:
    publisher = Publisher(bootstrap_servers=nowhere, model="m", max_bytes=10_000, close_timeout=0)
    publisher.publish({"x": "y" * 8_000})
    publisher.publish({"x": "y" * 8_000})
    assert publisher.lost_by_reason == {"the buffer is full": 1}
    publisher.close()


def test_a_failing_callback_does_not_reach_the_service(nowhere: str) -> None:
    def fail(event_id: str, reason: str) -> None:
        raise OSError(event_id + reason)

    publisher = Publisher(bootstrap_servers=nowhere, model="m", max_events=1, close_timeout=0, on_loss=fail)
    publisher.publish({"x": 1})
    publisher.publish({"x": 1})
    assert publisher.lost == 1
    publisher.close()


def test_events_of_a_topic_that_does_not_exist_are_lost_after_the_delivery_timeout(bootstrap: str, topic_prefix: str) -> None:
    with Publisher(bootstrap_servers=bootstrap, topic_prefix=topic_prefix, model="m", max_block_ms=200, delivery_timeout=0.6) as publisher:
        publisher.publish({"x": 1})
        assert publisher.flush(20)
        assert publisher.lost_by_reason == {"not delivered in time": 1}


def test_a_record_that_the_client_refuses_is_lost_with_its_reason_and_the_next_one_arrives(bootstrap: str, prefix: str) -> None:
    with Publisher(bootstrap_servers=bootstrap, topic_prefix=prefix, model="m") as publisher:
        publisher.publish({"x": "y" * ((1 << 20) - 150)})  # an event within our bound, a request beyond Kafka's
        publisher.publish({"x": 1})
        assert publisher.flush(20)
        assert publisher.lost_by_reason == {"refused: MessageSizeTooLargeError": 1}
        assert publisher.delivered == 1


def test_what_is_published_before_the_broker_is_there_arrives_when_it_is(tmp_path: Path) -> None:
    broker = start_broker(tmp_path / "broker")
    try:
        from kafka import KafkaAdminClient
        from kafka.admin import NewTopic

        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        admin.create_topics([NewTopic("inference-events", 1, 1)])
        admin.close()
        stop_broker(tmp_path / "broker")
        with Publisher(bootstrap_servers=broker.bootstrap, model="m", max_block_ms=300) as publisher:
            for i in range(100):
                publisher.publish({"x": i})
            assert not publisher.flush(0.5)
            start_broker(tmp_path / "broker")
            assert publisher.flush(60)
            assert (publisher.delivered, publisher.lost) == (100, 0)
            stop_broker(tmp_path / "broker")
            for i in range(100):
                publisher.publish({"x": i})
            start_broker(tmp_path / "broker")
            assert publisher.flush(60)
            assert (publisher.delivered, publisher.lost) == (200, 0)
    finally:
        stop_broker(tmp_path / "broker")


def test_a_program_that_just_ends_has_sent_what_it_published(bootstrap: str, prefix: str, read: Read) -> None:
    program = """
        import sys
        from driftline.producers import Publisher
        publisher = Publisher(bootstrap_servers=sys.argv[1], topic_prefix=sys.argv[2], model="m")
        for i in range(1000):
            publisher.publish({"x": i})
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), bootstrap, prefix], check=True, timeout=60)
    assert len(read(prefix + "inference-events")) == 1000


def test_the_client_imports_nothing_heavy() -> None:
    program = "import sys, driftline.producers, driftline.producers.replay; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = set(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split())
    heavy = {"numpy", "scipy", "pandas", "river", "sklearn", "sqlalchemy", "alembic", "faust", "aiokafka", "evidently", "typer", "rich", "yaml"}
    assert not loaded & heavy
    assert "kafka" in loaded, "replay is for tools; a service loads it with its first Publisher"


def test_kafka_is_loaded_with_the_first_publisher_and_not_by_a_request() -> None:
    program = """
        import sys
        from driftline.producers import Publisher, Subscriber
        assert "kafka" not in sys.modules
        publisher = Publisher(bootstrap_servers="127.0.0.1:1", model="m", close_timeout=0)
        assert "kafka" in sys.modules
        before = set(sys.modules)
        publisher.publish({"x": 1}, prediction=1, score=0.5)
        publisher.publish_label("a", 1)
        assert not {name for name in set(sys.modules) - before if not name.startswith("kafka")}
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)
