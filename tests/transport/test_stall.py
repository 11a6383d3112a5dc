"""The watchdog in whole processes: what ends a worker, and what must not."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tests.transport.apps.harness import Reader, create_topics, publish, read_to

from driftline.cli.kafka_local import BrokerState, start_broker, stop_broker

PATIENCE_S = 6.0


def test_a_worker_whose_loop_hangs_is_ended_by_its_watchdog(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic)
    publish(bootstrap, topic, [b"v"] * 10)
    with Reader(
        tmp_path,
        "r",
        bootstrap=bootstrap,
        group=topic_prefix,
        topics=[topic],
        block_s=600.0,
        transport={"patience_s": PATIENCE_S},
    ) as reader:
        assert reader.wait_for_exit() == 70
    assert "no word from the event loop" in reader.output.read_text()


def test_a_worker_that_has_nothing_to_do_is_left_alone(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic)
    settings: dict[str, Any] = {"bootstrap": bootstrap, "group": topic_prefix, "topics": [topic]}
    with Reader(tmp_path, "r", **settings, transport={"patience_s": PATIENCE_S}) as reader:
        reader.wait_for(lambda r: r.events("assigned"))
        time.sleep(1.5 * PATIENCE_S)
        publish(bootstrap, topic, [b"v"])
        reader.wait_for(read_to(topic, 1))


def pause(broker: BrokerState) -> None:
    """It accepts connections still, for its kernel does; and answers nothing."""
    os.kill(broker.pid, signal.SIGSTOP)
    time.sleep(1.5 * PATIENCE_S)
    os.kill(broker.pid, signal.SIGCONT)


@pytest.mark.timeout(300)
def test_a_worker_outlives_a_broker_that_is_away(tmp_path: Path) -> None:
    broker = start_broker(tmp_path / "broker")
    try:
        settings: dict[str, Any] = {"bootstrap": broker.bootstrap, "group": "g", "topics": ["in"]}
        create_topics(broker.bootstrap, "in")
        publish(broker.bootstrap, "in", [b"v"])
        with Reader(tmp_path, "r", **settings, transport={"patience_s": PATIENCE_S}) as reader:
            reader.wait_for(read_to("in", 1))
            pause(broker)
            publish(broker.bootstrap, "in", [b"v"])
            reader.wait_for(read_to("in", 2), within_s=90.0)
    finally:
        stop_broker(tmp_path / "broker")
