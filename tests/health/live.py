"""`driftline worker` with its endpoints, events and poison published to it, and what it said meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from kafka import KafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from driftline.cli.config import load_settings
from driftline.contracts.settings import Settings
from driftline.health.catalogue import BY_NAME, Process
from driftline.health.process import port_of

#: In the features, predictions and labels of everything that is published: no log line and no metric may have it.
CANARY = "canary-8675309"
NUMBER = 8675309.25
START = 1_700_006_400_000
STEPS: tuple[Process, ...] = ("summarise", "join", "detect")
BLOCK = 64


def free_ports(n: int) -> int:
    """Return the first of ``n`` ports in a row that nobody has."""
    for first in range(20_000 + os.getpid() % 20_000, 60_000, n):
        try:
            for port in range(first, first + n):
                with socket.create_server(("127.0.0.1", port)):
                    pass
        except OSError:
            continue
        return first
    raise RuntimeError("no ports are free")


def event(i: int, **changes: object) -> bytes:
    features = {"amount": float(i % 17), "kind": "ab"[i % 2], "secret": CANARY, "number": NUMBER + i}
    fields = {"event_id": f"e{i}", "model": "m", "event_time": START + i * 20_000, "features": features, "prediction": float(i % 3)}
    return json.dumps(fields | changes).encode()


def label(i: int, value: object) -> bytes:
    return json.dumps({"event_id": f"e{i}", "model": "m", "event_time": START + i * 20_000 + 1000, "label": value}).encode()


#: Each is a dead letter.
POISON = (
    f'{{"features": "{CANARY}", "event_id"'.encode(),
    CANARY.encode() + b"\xff\xfe",
    json.dumps({"event_id": "p", "model": "m", "event_time": CANARY, "features": {}}).encode(),
    json.dumps({"event_id": "p", "model": "m", "event_time": START, "features": CANARY}).encode(),
    event(0, prediction=[CANARY]),
    event(0, score=CANARY),
    event(0, probabilities={CANARY: CANARY}),
    b'{"features":' + b"[" * 5000 + f'"{CANARY}"'.encode() + b"]" * 5000 + b"}",
)
POISONED_LABELS = (f'{{"label": "{CANARY}"'.encode(), json.dumps({"event_id": "e1", "model": "m", "event_time": START, "label": [CANARY]}).encode())


class Live:
    """A worker under way in a folder of its own."""

    def __init__(self, folder: Path, tree: dict[str, Any], *arguments: str) -> None:
        (folder / "driftline.yaml").write_text(yaml.safe_dump(tree))
        self.settings: Settings = load_settings(folder / "driftline.yaml", {})
        self.config = folder / "driftline.yaml"
        self.log = folder / "log"
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(*arguments), stderr=log, stdout=log, stdin=subprocess.DEVNULL, env=environment)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "driftline", "--config", str(self.config), *arguments]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().split("\n")[:-1]]

    def wait_for(self, condition: Callable[[], object], within_s: float = 90.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def ask(self, process: Process, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(self.settings, process) or 0, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            return 0, str(error)
        finally:
            connection.close()

    def metrics(self, process: Process) -> dict[str, dict[tuple[str, ...], float]]:
        """Return the values by name and by the labels' values, in the catalogue's order."""
        status, text = self.ask(process, "/metrics")
        assert status == 200, text
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                metric = BY_NAME.get(sample.name)
                values = [sample.labels[name] for name in metric.labels] if metric else sample.labels.values()
                found.setdefault(sample.name, {})[tuple(values)] = sample.value
        return found

    def send(self, topic: str, values: list[bytes]) -> None:
        producer = KafkaProducer(bootstrap_servers=self.settings.kafka.bootstrap_servers, acks="all")
        for value in values:
            producer.send(self.settings.kafka.topic_prefix + topic, value)
        producer.flush(30)
        producer.close()

    def stop(self) -> float:
        """Tell it to stop; return the seconds until it has."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return time.monotonic() - begun


def tree(bootstrap: str, prefix: str, folder: Path, **worker: object) -> dict[str, Any]:
    return {
        "kafka": {"bootstrap_servers": bootstrap, "topic_prefix": prefix, "partitions": 2},
        "database": f"sqlite:///{folder / 'd.db'}",
        "http": {"port": free_ports(5), "ready_lag": 50},
        "worker": {"idle_timeout": "1s", "flush_interval": "50ms", "block_size": BLOCK, **worker},
        "models": {"m": {"task": "regression", "pane": "1h", "window": "2h", "learning_rows": 200, "label_wait": "1h"}},
    }
