"""Starts readers (``reader.py``, ``stock.py``) as processes and looks at what they wrote down; makes and fills topics."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

_ROOT = Path(__file__).parents[3]
_PROGRAMS = {"ours": Path(__file__).with_name("reader.py"), "stock": Path(__file__).with_name("stock.py")}


class Reader:
    """One process of ``reader.py``, or ``stock.py``; killed, if it still runs, at the end of the ``with`` block."""

    def __init__(self, folder: Path, name: str, kind: str = "ours", **settings: object) -> None:
        self.log = folder / f"{name}.jsonl"
        self.output = folder / f"{name}.out"
        self.log.touch()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(_PROGRAMS[kind]), json.dumps({"commit": "each", **settings}), str(self.log)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder,
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(_ROOT / "src")},
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """What was written down, whole lines only, since the log began."""
        lines = self.log.read_text().split("\n")[:-1]
        return [event for event in map(json.loads, lines) if kind is None or event["event"] == kind]

    def offsets(self, topic: str, partition: int = 0) -> list[int]:
        """Offsets of the records that were processed, in the order of processing."""
        batches = [event for event in self.events("batch") if event["tp"] == [topic, partition]]
        return [offset for batch in batches for offset in batch["offsets"]]

    def wait_for(self, condition: Callable[[Reader], object], within_s: float = 40.0, *, ended_is_fine: bool = False) -> None:
        """Wait until ``condition`` holds of this reader."""
        deadline = time.monotonic() + within_s
        while not condition(self):
            ended = self.process.poll()
            if (ended is not None and not ended_is_fine) or time.monotonic() > deadline:
                tail = self.output.read_text(errors="replace")[-3000:]
                raise AssertionError(f"not within {within_s} s, exit code {ended}:\n{tail}")
            time.sleep(0.02)

    def wait_for_exit(self, within_s: float = 40.0) -> int:
        """Wait until the process ends by itself; return its exit code."""
        return self.process.wait(within_s)

    def stop(self) -> int:
        """End it as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """End it as a failing machine would."""
        self.process.kill()
        self.process.wait(10)


def read_to(topic: str, end: int, partition: int = 0) -> Callable[[Reader], bool]:
    """Whether a reader's last record of the partition is the one before ``end``."""
    return lambda reader: reader.offsets(topic, partition)[-1:] == [end - 1]


def create_topics(bootstrap: str, *names: str, partitions: int = 1) -> None:
    """Make the topics, or fail."""
    with admin(bootstrap) as client:
        client.create_topics({name: {"num_partitions": partitions, "replication_factor": 1} for name in names})


def publish(bootstrap: str, topic: str, values: Iterable[bytes | None], partition: int = 0, **settings: object) -> None:
    """Write the values to one partition, in order."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, **settings)
    try:
        for sent in [producer.send(topic, value=value, key=b"k", partition=partition) for value in values]:
            sent.get(timeout=20)
    finally:
        producer.close()


def publish_transactions(bootstrap: str, topic: str, transactions: int, records: int) -> None:
    """Write ``transactions`` of ``records`` each: every one leaves a marker, which takes an offset and is no record."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=topic)
    try:
        producer.init_transactions()
        for _ in range(transactions):
            producer.begin_transaction()
            for _ in range(records):
                producer.send(topic, value=b"v", partition=0)
            producer.commit_transaction()
    finally:
        producer.close()


def commit(bootstrap: str, group: str, topic: str, partition: int = 0) -> tuple[int, str] | None:
    """What the group has committed: offset and metadata."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    try:
        found = consumer.committed(TopicPartition(topic, partition), metadata=True)
    finally:
        consumer.close()
    return None if found is None else (found.offset, found.metadata)


@contextmanager
def admin(bootstrap: str) -> Iterator[KafkaAdminClient]:
    """Yield an admin client, and close it."""
    client = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        yield client
    finally:
        client.close()
