"""A message that the broker did not take ends the step: nothing that comes after it may count as done."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from tests.transport.apps.harness import admin, commit

from driftline.cli.config import load_settings
from driftline.cli.connection import open_consumer
from driftline.cli.topics import ensure_topics
from driftline.contracts.settings import Settings
from driftline.contracts.topics import INFERENCE_EVENTS, SUMMARIES, topic_name
from driftline.producers import Publisher
from driftline.streams.app import group_id

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def settings(bootstrap: str, topic_prefix: str, tmp_path: Path) -> Settings:
    """Topics of their own, one event in them, and a database; in ``driftline.yaml``."""
    tree = {
        "kafka": {"bootstrap_servers": bootstrap, "topic_prefix": topic_prefix, "partitions": 1},
        "database": f"sqlite:///{tmp_path / 'd.db'}",
        "worker": {"flush_interval": "50ms", "commit_interval": "50ms"},
    }
    (tmp_path / "driftline.yaml").write_text(yaml.safe_dump(tree))
    loaded = load_settings(tmp_path / "driftline.yaml", {})
    ensure_topics(loaded)
    with Publisher(bootstrap_servers=bootstrap, topic_prefix=topic_prefix, model="m") as publisher:
        publisher.publish({"x": 1.0}, score=0.5)
    subprocess.run([*command(tmp_path), "db", "upgrade"], check=True, capture_output=True)
    return loaded


def command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "driftline", "--config", str(folder / "driftline.yaml")]


def takes(settings: Settings, longest: int) -> None:
    """Let the broker take summaries up to so many bytes."""
    name = topic_name(SUMMARIES, settings.kafka)
    with admin(settings.kafka.bootstrap_servers) as client:
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": str(longest)})])


def summaries(settings: Settings) -> int:
    """How many the broker has."""
    consumer = open_consumer(settings.kafka)
    try:
        ends: dict[TopicPartition, int] = consumer.end_offsets([TopicPartition(topic_name(SUMMARIES, settings.kafka), 0)])
        return sum(ends.values())
    finally:
        consumer.close()


def test_a_summary_that_the_broker_refuses_ends_the_step_and_comes_when_it_is_started_again(settings: Settings, tmp_path: Path) -> None:
    kafka = settings.kafka
    source = topic_name(INFERENCE_EVENTS, kafka)
    takes(settings, 20)
    step = [*command(tmp_path), "worker", "--step", "summarise"]
    done = subprocess.run(step, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 70
    assert "MessageSizeTooLarge" in done.stderr
    assert commit(kafka.bootstrap_servers, group_id(kafka, "summarise"), source) in (None, (0, "0"))
    assert summaries(settings) == 0
    takes(settings, 1 << 20)
    with (tmp_path / "log").open("wb") as log:
        again = subprocess.Popen(step, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 90
        while not summaries(settings):
            assert again.poll() is None, (tmp_path / "log").read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        again.terminate()
        assert again.wait(60) == 0
