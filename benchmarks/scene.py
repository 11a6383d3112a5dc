"""Where the benchmark runs: a broker of its own, a log, and for Driftline its topics, its settings and a reference."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from benchmarks.events import FEATURES, MODEL, PANE_S, PARTITIONS, WINDOW_S, rows
from benchmarks.running import PEERS_VENV, ROOT, VENV, BenchError, Process
from driftline.cli.topics import ensure_topics
from driftline.contracts.reference import Reference
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.detectors.reference import build_reference
from driftline.store import references
from driftline.store.database import migrate, open_database

SOURCE = "inference-events"
FINDINGS = "peer-findings"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Log:
    """A filled topic: ``events`` whose times begin at ``start_ms``, in so many ``records`` (closing ones included)."""

    topic: str
    events: int
    records: int
    start_ms: int
    bytes: int
    fill_s: float


@dataclass
class Scene:
    """One prefix on a broker; ``folder`` holds the settings, the database and the logs."""

    bootstrap: str
    prefix: str
    folder: Path

    @property
    def source(self) -> str:
        """The topic of events."""
        return self.prefix + SOURCE

    @property
    def config(self) -> Path:
        """The settings' file."""
        return self.folder / "driftline.yaml"

    def settings(self) -> Settings:
        """Return the settings as the steps read them."""
        return build_settings(yaml.safe_load(self.config.read_text()))

    def renew(self, known: Sequence[Reference], **model: Any) -> Settings:
        """Make everything anew but the topic of events: topics, groups, settings, database with the references. ``model`` are settings of models."""
        tree = {
            "kafka": {"bootstrap_servers": self.bootstrap, "topic_prefix": self.prefix, "partitions": PARTITIONS},
            "database": f"sqlite:///{self.folder / 'driftline.db'}",
            "artifacts": str(self.folder / "artifacts"),
            "reports": {"enabled": False},
            "defaults": {"pane": f"{PANE_S}s", "window": f"{WINDOW_S}s", **model},
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(yaml.safe_dump(tree))
        for file in self.folder.glob("driftline.db*"):
            file.unlink()
        settings = self.settings()
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            self._clear(admin)
            self._create(admin, [FINDINGS])
            ensure_topics(settings)
        finally:
            admin.close()
        engine = open_database(settings.database)
        migrate(engine)
        for reference in known:
            references.put(engine, reference)
        engine.dispose()
        return settings

    def drop(self) -> None:
        """Delete all topics of the prefix: their disk space is wanted."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            with suppress(KafkaError):
                self._clear(admin, but=())
        finally:
            admin.close()

    def steps(self, names: tuple[str, ...], workers: int = 1) -> Callable[[], list[Process]]:
        """Return what starts ``workers`` processes of each step."""
        return lambda: [
            Process(f"{step}-{i}", VENV, "benchmarks.apps.driftline_step", [str(self.config), step], self.folder)
            for step in names
            for i in range(workers)
        ]

    def fill(self, events: int, progress: Progress, *, start_ms: int | None = None, first: int = 0, end: int | None = None) -> Log:
        """Write events ``first`` to ``end - 1`` of a stream of ``events``; after its last event also the records that close it."""
        start = start_ms or _an_hour_ago()
        until = events if end is None else end
        self.make_source()
        python = PEERS_VENV if PEERS_VENV.exists() else VENV
        command = [
            str(python), "-m", "benchmarks.fill", "--bootstrap", self.bootstrap, "--topic", self.source, "--first", str(first), "--end", str(until),
            "--total", str(events), "--start-ms", str(start), *(["--closing"] if until == events else []),
        ]  # fmt: skip
        progress(f"filling {self.source} with {until - first:,} events")
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise BenchError(f"the log could not be filled: {done.stderr[-1500:]}")
        said = json.loads(done.stdout.splitlines()[-1])
        return Log(self.source, until - first, said["records"], start, said["bytes"], said["seconds"])

    def fill_columnar(self, events: int, progress: Progress) -> Log:
        """Write a stream of ``events`` as columnar records."""
        self.make_source()
        start = _an_hour_ago()
        command = [
            str(VENV), "-m", "benchmarks.fill_columnar", "--bootstrap", self.bootstrap, "--topic", self.source, "--total", str(events),
            "--start-ms", str(start),
        ]  # fmt: skip
        progress(f"filling {self.source} with {events:,} events in columnar records")
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise BenchError(f"the log could not be filled: {done.stderr[-1500:]}")
        said = json.loads(done.stdout.splitlines()[-1])
        return Log(self.source, events, said["records"], start, said["bytes"], said["seconds"])

    def make_source(self) -> None:
        """Make the topic of events, if it isn't there."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            self._create(admin, [SOURCE])
        finally:
            admin.close()

    def _clear(self, admin: KafkaAdminClient, but: tuple[str, ...] = (SOURCE,)) -> None:
        kept = {self.prefix + name for name in but}
        mine = [name for name in admin.list_topics() if name.startswith(self.prefix) and name not in kept]
        if mine:
            admin.delete_topics(mine)
        groups = [g["group_id"] for g in admin.list_groups() if g["group_id"].startswith(self.prefix)]
        if groups:
            admin.delete_groups(groups)
        deadline = time.monotonic() + 20
        while any(name in mine for name in admin.list_topics()):
            if time.monotonic() > deadline:
                raise BenchError(f"topics {mine} would not go")
            time.sleep(0.1)

    def _create(self, admin: KafkaAdminClient, names: list[str]) -> None:
        held = set(admin.list_topics())
        absent = [self.prefix + name for name in names if self.prefix + name not in held]
        if absent:
            configs = {"message.timestamp.type": "CreateTime"}
            admin.create_topics([NewTopic(name, num_partitions=PARTITIONS, replication_factor=1, topic_configs=configs) for name in absent])


@dataclass(frozen=True)
class Course:
    """What all systems of a part run over: the same log, in the same place, watched with the same reference."""

    scene: Scene
    log: Log
    reference: Reference
    progress: Progress


def _an_hour_ago() -> int:
    return (int(time.time() * 1000) - 3_600_000) // 60_000 * 60_000


def make_reference(model: str = MODEL) -> Reference:
    """Return the reference of the stream's first part: 20,000 rows of an hour of the day before.

    From sparse rows over a month the decider would learn that a feature may wander for long, and wait for hours of so dense a stream.
    """
    n = 20_000
    made = rows(n, drifted=False, seed=11)
    end = int(time.time() * 1000) - DAY_MS
    return build_reference(
        model=model, version="1", task="classification", effective_from=0, origin="built",
        times=np.linspace(end - HOUR_MS, end, n).astype(np.int64),
        features={name: [features[name] for features, _ in made] for name in FEATURES},
        scores=[score for _, score in made],
    )  # fmt: skip
