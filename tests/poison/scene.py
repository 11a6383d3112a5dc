"""Real steps with poison on their topics: started once, never started again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import yaml
from aiokafka import AIOKafkaProducer
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from sqlalchemy import Engine
from tests.poison.corpus import AT, MEGABYTE

from driftline.cli.lag import LagWatch
from driftline.cli.topics import ensure_topics
from driftline.contracts.deadletters import DeadLetter, open_letter
from driftline.contracts.reference import Reference
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.times import DAY_MS
from driftline.detectors.reference import build_reference
from driftline.store import references as stored_references
from driftline.store.database import migrate, open_database

MODEL = "m"
PARTITIONS = 2
STEPS = ("summarise", "join", "detect", "retrain")
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Sent:
    """A record that was sent, and where it came to stand."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    note: str
    timestamp: int


@dataclass(frozen=True)
class ToSend:
    """A record to send; ``note`` says what it is for."""

    topic: str
    key: bytes | None
    value: bytes | None
    note: str
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int = 0


class Scene:
    """Settings, database, and the processes of the four steps."""

    def __init__(self, settings: Settings, engine: Engine, folder: Path, reference: Reference) -> None:
        self.settings = settings
        self.engine = engine
        self.reference = reference
        self._folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start each step in a process of its own, with nobody to restart it."""
        for step in STEPS:
            command = ["retrain"] if step == "retrain" else ["worker", "--step", step]
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT / "src")}
            with (self._folder / f"{step}.log").open("wb") as out:
                self.processes[step] = subprocess.Popen(
                    [sys.executable, "-m", "driftline", "--config", str(self._folder / "driftline.yaml"), *command],
                    stdout=out,
                    stderr=out,
                    stdin=subprocess.DEVNULL,
                    env=environment,
                )

    def stop(self) -> None:
        """Ask all to leave, and wait."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def deaths(self) -> list[str]:
        """Return what became of processes that ended, with the ends of their logs."""
        return [
            f"{step} ended with {process.poll()}: {(self._folder / f'{step}.log').read_text(errors='replace')[-3000:]}"
            for step, process in self.processes.items()
            if process.poll() is not None
        ]

    def megabytes(self) -> dict[str, int]:
        """Return the most memory (RSS) that each process has had so far."""
        return {step: _peak(process.pid) for step, process in self.processes.items()}

    def wait(self, within_s: float) -> None:
        """Wait until all steps have read everything and said what there was to be said; a step that ends is an error at once."""
        deadline = time.monotonic() + within_s
        quiet = 0
        with LagWatch(self.settings, self.engine) as watch:
            while quiet < 3:
                assert not self.deaths(), "\n".join(self.deaths())
                lag = watch.look()
                done = lag.behind == 0 and not any(lag.outbox.values())
                quiet = quiet + 1 if done else 0
                if time.monotonic() > deadline:
                    behind = [p for p in lag.partitions if p.behind]
                    logs = "\n".join((self._folder / f"{step}.log").read_text(errors="replace")[-1500:] for step in STEPS)
                    raise AssertionError(f"not done within {within_s} s: {behind}, outbox {lag.outbox}\n{logs}")
                time.sleep(0.2)

    def wait_for_letters(self, topic: str, count: int, within_s: float) -> None:
        """Wait until so many records of a topic are dead letters."""
        name, deadline, found = self.settings.kafka.topic_prefix + topic, time.monotonic() + within_s, -1
        while found < count:
            assert not self.deaths(), "\n".join(self.deaths())
            assert time.monotonic() < deadline, f"{found} of {count} dead letters of {topic} after {within_s} s"
            time.sleep(1)
            found = sum(letter.topic == name for letter, _ in self.letters())

    def letters(self) -> list[tuple[DeadLetter, bytes | None]]:
        """Return every dead letter with the sentence that tools for Kafka Connect find in it. There may be a million: no more than that is kept."""
        name = self.settings.kafka.topic_prefix + "dead-letters"
        consumer = KafkaConsumer(bootstrap_servers=self.settings.kafka.bootstrap_servers, enable_auto_commit=False)
        found = []
        try:
            tps = [TopicPartition(name, p) for p in range(PARTITIONS)]
            consumer.assign(tps)
            ends = consumer.end_offsets(tps)
            consumer.seek_to_beginning(*tps)
            while any(consumer.position(tp) < ends[tp] for tp in tps):
                for records in consumer.poll(timeout_ms=500, max_records=5_000).values():
                    for record in records:
                        letter = open_letter(record.key, record.value, record.headers)
                        assert letter is not None
                        sentence = dict(record.headers)["__connect.errors.exception.message"]
                        found.append((msgspec.structs.replace(letter, headers=()), sentence))
        finally:
            consumer.close()
        return found


@contextmanager
def set_scene(bootstrap: str, prefix: str, folder: Path, **limits: int) -> Iterator[Scene]:
    """Make topics that take large records, a database with one reference, and start the steps."""
    tree = {
        "kafka": {"bootstrap_servers": bootstrap, "topic_prefix": prefix, "partitions": PARTITIONS},
        "database": f"sqlite:///{folder / 'driftline.db'}",
        "artifacts": str(folder / "artifacts"),
        "reports": {"enabled": False},
        "limits": limits,
        "worker": {"flush_interval": "100ms", "commit_interval": "300ms", "idle_timeout": "2s", "block_size": 256, "version_wait": "200ms"},
        "defaults": {"pane": "5m", "window": "1h", "learning_rows": 500},
        "models": {MODEL: {"task": "classification", "pane": "5m", "window": "1h"}},
    }
    (folder / "driftline.yaml").write_text(yaml.safe_dump(tree))
    settings = build_settings(tree)
    ensure_topics(settings)
    _take_large_records(settings, "inference-events", "label-events", "retrain-triggers")
    engine = open_database(settings.database)
    migrate(engine)
    made = _reference()
    stored_references.put(engine, made)
    scene = Scene(settings, engine, folder, made)
    scene.start()
    try:
        yield scene
    finally:
        scene.stop()
        engine.dispose()


def send(settings: Settings, records: Sequence[ToSend]) -> list[Sent]:
    """Send all, in order within each partition, and return where they stand."""
    return asyncio.run(_send(settings, records))


async def _send(settings: Settings, records: Sequence[ToSend]) -> list[Sent]:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap_servers, max_request_size=24 * MEGABYTE, max_batch_size=1 << 18, linger_ms=5
    )
    await producer.start()
    try:
        where = []
        for r in records:
            topic = settings.kafka.topic_prefix + r.topic
            if r.key is None and r.value is None:  # aiokafka sends no such record one by one
                builder = producer.create_batch()
                builder._builder.append(0, None, key=None, value=None, headers=list(r.headers))
                builder._relative_offset = 1
                where.append(await producer.send_batch(builder, topic, partition=r.partition))
            else:
                where.append(await producer.send(topic, r.value, r.key, r.partition, headers=list(r.headers) or None))
        stands = [await one for one in where]
    finally:
        await producer.stop()
    return [Sent(r.topic, s.partition, s.offset, r.key, r.value, r.note, s.timestamp) for r, s in zip(records, stands, strict=True)]


def _take_large_records(settings: Settings, *topics: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.bootstrap_servers)
    try:
        names = [settings.kafka.topic_prefix + topic for topic in topics]
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs={"max.message.bytes": str(24 * MEGABYTE)}) for name in names])
    finally:
        admin.close()


def _reference() -> Reference:
    rng = random.Random(5)
    n = 4_000
    return build_reference(
        model=MODEL, version="1", task="classification", effective_from=0, origin="built",
        times=np.linspace(AT - 30 * DAY_MS, AT - 1, n).astype(np.int64),
        features={"x": [rng.random() for _ in range(n)], "c": [rng.choice("abc") for _ in range(n)]},
        scores=[rng.random() for _ in range(n)], labels=[rng.randrange(2) for _ in range(n)],
    )  # fmt: skip


def _peak(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return 0
