"""TLS, client certificates, SCRAM and PLAIN on a real broker: the same settings for all that speaks to it, clear words where they are wrong."""

from __future__ import annotations

import base64
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.store.builders import alert, trigger
from tests.transport.secured import PASSWORD, Secured, secured_broker

from driftline.cli import topics as cli_topics
from driftline.cli.connection import open_admin, open_consumer
from driftline.contracts.errors import SetupError
from driftline.contracts.findings import Alert, encode_json
from driftline.contracts.knock import broker_answers, check_welcome
from driftline.contracts.security import ClientSecurity, open_security
from driftline.contracts.settings import KafkaSettings, Settings
from driftline.contracts.topics import ALERTS, RETRAIN_TRIGGERS, SUMMARIES, topic_name
from driftline.producers import Publisher, Subscriber
from driftline.retrain import connection as retrain

pytestmark = pytest.mark.timeout(300)

WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "tls": ("TLS", {}),
    "client certificate": ("MTLS", {}),
    "scram": ("SASL", {}),
    "plain": ("SASL", {"mechanism": "PLAIN"}),
}
WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "authority that nobody knows": ("TLS", {"ca_file": "other.pem"}, r"not one to trust \(.*local issuer.*ca_file"),
    "name that is not the broker's": ("TLS", {"host": "127.0.0.1"}, r"not one to trust \(.*127\.0\.0\.1.*bootstrap_servers"),
    "no client certificate": ("MTLS", {"cert_file": None, "key_file": None}, "TLS failed.*cert_file"),
    "wrong password, scram": ("SASL", {"password_file": "wrong"}, "does not take.*invalid credentials.*password_file"),
    "wrong password, plain": ("SASL", {"password_file": "wrong", "mechanism": "PLAIN"}, "does not take.*Invalid username or password"),
    "unknown user": ("SASL", {"username": "bob"}, "does not take"),
    "mechanism that is not offered": ("SASL", {"mechanism": "SCRAM-SHA-256"}, "does not offer the mechanism SCRAM-SHA-256"),
    "no TLS where TLS is spoken": ("TLS", {"protocol": "PLAINTEXT"}, "wants TLS.*protocol"),
}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    with secured_broker(tmp_path_factory.mktemp("secured")) as broker:
        (broker.folder / "wrong").write_text("wrong-horse-battery")
        yield broker


def reached(secured: Secured, way: str, prefix: str) -> KafkaSettings:
    listener, changes = WAYS[way]
    return secured.kafka(listener, prefix=prefix, **changes)


def refused(secured: Secured, wrong: str) -> tuple[KafkaSettings, str]:
    listener, changes, said = WRONG[wrong]
    files = {name: str(secured.folder / value) if name.endswith("_file") and value else value for name, value in changes.items()}
    return secured.kafka(listener, **files), said


def worker(folder: Path, kafka: KafkaSettings) -> subprocess.Popen[bytes]:
    """The summarise step by the settings, in a process of its own; its log is ``log``."""
    tree = {"kafka": msgspec.to_builtins(kafka), "database": f"sqlite:///{folder / 'd.db'}", "worker": {"flush_interval": "50ms"}}
    (folder / "driftline.yaml").write_text(yaml.safe_dump(tree))
    command = [sys.executable, "-m", "driftline", "--config", str(folder / "driftline.yaml")]
    subprocess.run([*command, "db", "upgrade"], check=True, capture_output=True)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([*command, "worker", "--step", "summarise", "--log-level", "debug"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def assert_secret(told: str) -> None:
    for secret in (PASSWORD, "wrong-horse-battery"):
        assert secret not in told
        assert base64.b64encode(secret.encode()).decode() not in told


@pytest.mark.parametrize("way", WAYS)
def test_everything_that_speaks_to_kafka_does_so_by_the_same_settings(
    secured: Secured, topic_prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    caplog.set_level(logging.DEBUG)
    kafka = reached(secured, way, topic_prefix)
    settings = Settings(kafka=kafka, database=f"sqlite:///{tmp_path / 'd.db'}")
    own: dict[str, Any] = {"bootstrap_servers": kafka.bootstrap_servers, "topic_prefix": topic_prefix, "security": kafka.security}
    cli_topics.ensure_topics(settings)

    producer = retrain.open_producer(settings)
    producer.send(topic_name(ALERTS, kafka), value=encode_json(alert())).get(timeout=20)
    producer.send(topic_name(RETRAIN_TRIGGERS, kafka), value=encode_json(trigger())).get(timeout=20)
    producer.close()
    with Subscriber(Alert, **own, start="earliest", idle_timeout=20.0) as subscriber:
        assert next(iter(subscriber)).message == alert()
    consumer = retrain.open_consumer(settings)
    deadline = time.monotonic() + 40
    while not (polled := consumer.poll(timeout_ms=500)):
        assert time.monotonic() < deadline
    assert [record.value for records in polled.values() for record in records] == [encode_json(trigger())]
    consumer.close()

    with Publisher(**own, model="m") as publisher:
        publisher.publish({"x": 1.0}, score=0.5)
    assert (publisher.delivered, publisher.lost) == (1, 0)
    step = worker(tmp_path, kafka)
    reader = open_consumer(kafka)
    try:
        summaries = topic_name(SUMMARIES, kafka)
        reader.subscribe([summaries])
        deadline = time.monotonic() + 90
        while not any(b'"m"' in (r.value or b"") or r.key == b"m" for found in reader.poll(timeout_ms=500).values() for r in found):
            assert step.poll() is None, (tmp_path / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-3000:]
    finally:
        reader.close()
        step.terminate()
        assert step.wait(60) == 0
    assert_secret((tmp_path / "log").read_text() + caplog.text)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_the_broker_refuses_is_said_in_a_sentence_by_every_client(secured: Secured, wrong: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    kafka, said = refused(secured, wrong)
    settings = Settings(kafka=kafka)
    with pytest.raises(SetupError, match=said) as told:
        open_admin(kafka)
    with pytest.raises(SetupError, match=said):
        retrain.open_consumer(settings)
    with pytest.raises(SetupError, match=said):
        Subscriber(Alert, bootstrap_servers=kafka.bootstrap_servers, security=kafka.security)
    assert_secret(str(told.value) + caplog.text)


def test_a_step_that_is_refused_says_so_and_ends(secured: Secured, tmp_path: Path) -> None:
    kafka, _ = refused(secured, "wrong password, scram")
    step = worker(tmp_path, kafka)
    assert step.wait(90) == 2
    log = (tmp_path / "log").read_text()
    assert "look at username and password_file" in log
    assert_secret(log)


def test_a_publisher_that_is_refused_loses_nothing_silently_and_blocks_nobody(secured: Secured) -> None:
    kafka, _ = refused(secured, "wrong password, scram")
    with Publisher(bootstrap_servers=kafka.bootstrap_servers, security=kafka.security, model="m", close_timeout=1.0) as publisher:
        began = time.monotonic()
        for _ in range(20):
            publisher.publish({"x": 1.0}, score=0.5)
        assert time.monotonic() - began < 1.0
    assert (publisher.stats.delivered, publisher.stats.published) == (0, 20)


def test_whether_a_broker_answers_needs_no_login(secured: Secured) -> None:
    for listener in ("TLS", "SASL", "MTLS"):
        kafka = secured.kafka(listener)
        tls = open_security(kafka.security, {}).tls
        assert broker_answers([kafka.bootstrap_servers], tls, timeout_s=20.0)
    assert not broker_answers(["localhost:1"], None, timeout_s=5.0)


def test_where_nobody_answers_there_is_nothing_to_say() -> None:
    check_welcome(["localhost:1", "no-such-host.invalid:9092"], ClientSecurity("PLAINTEXT"), timeout_s=5.0)
