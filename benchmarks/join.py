"""The label join alone: records of predictions and labels in, outcomes and deltas in SQL. No broker: what the step does between a poll and a send.

``python benchmarks/join.py --rows 60000 --out benchmarks/results/join.json``. A labelled outcome is one prediction and one label, each read, merged
and committed; of 10 labels one comes before its prediction, one is corrected and one in 50 withdrawn. PostgreSQL is started for the run, durable
(``fsync`` on). It has as many writers as there are workers, each with partitions of its own, and is measured with one and with two; SQLite has one.
As a backlog comes, both topics at once, so that nearly every label would meet its prediction on the way (labels give way, as in the step); and as
records arrive, no label before what was published earlier is in.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import product
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from sqlalchemy import Engine
from tests import postgres as pg

from benchmarks.report import circumstances
from driftline.cli.collector import spare_collector
from driftline.contracts.reference import Reference
from driftline.contracts.settings import Settings, build_settings
from driftline.detectors.reference import build_reference
from driftline.store import join, references
from driftline.store.database import migrate, open_database
from driftline.store.join import JoinChange
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import OutcomeChange
from driftline.streams.giving_way import Way
from driftline.streams.joining import CountedAs, delta_rows, read_labels
from driftline.streams.predictions import Poll, PredictionReader
from driftline.streams.references import ReferenceBook
from driftline.streams.sql_thread import SqlThread, two_threads

T0 = 1_700_000_000_000
FEATURES = 20


class Record(NamedTuple):
    """What a consumer gives."""

    offset: int
    value: bytes | None
    timestamp: int
    topic: str = "t"
    partition: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


def reference() -> Reference:
    """Return a reference with outcomes."""
    rng = np.random.default_rng(1)
    score = rng.beta(2, 3, 20_000)
    return build_reference(
        model="m",
        version="1",
        task="classification",
        effective_from=0,
        origin="built",
        times=np.linspace(T0 - 10**9, T0 - 1, len(score)).astype(np.int64),
        features={"x": rng.normal(size=len(score)).tolist()},
        scores=score.tolist(),
        labels=(rng.random(len(score)) < score).astype(int).tolist(),
        label_delays=np.full(len(score), 3_600_000),
    )


def log(rows: int, batch: int, seed: int = 1) -> list[tuple[str, list[Record]]]:
    """Return batches of both topics in the order of arrival."""
    rng = random.Random(seed)
    predictions, labels = [], []
    for i in range(rows):
        at = T0 + i * 5
        features = {f"feature_{j:02d}": round(rng.gauss(0, 1), 6) for j in range(FEATURES)}
        event = {
            "event_id": f"{rng.getrandbits(128):032x}",
            "model": "m",
            "version": "1",
            "event_time": at,
            "features": features,
            "score": rng.random(),
        }
        predictions.append((i + rng.random(), at, json.dumps(event).encode()))

        def said(value: int | None, delay: int, place: float, event: dict[str, Any] = event, at: int = at) -> None:
            label = {"event_id": event["event_id"], "model": "m", "event_time": at + delay, "label": value}
            labels.append((place, at + delay, json.dumps(label).encode()))

        said(rng.randrange(2), 60_000, i + (-2 * batch if rng.random() < 0.1 else 5 * batch) + rng.random())
        if (chance := rng.random()) < 0.1:
            said(None if chance < 0.02 else rng.randrange(2), 90_000, i + 8 * batch + rng.random())
    made = [(place, "inference-events", records) for place, records in _batches(predictions, batch)]
    made += [(place, "label-events", records) for place, records in _batches(labels, batch)]
    return [(topic, records) for _, topic, records in sorted(made, key=lambda one: one[0])]


def _batches(rows: list[tuple[float, int, bytes]], size: int) -> Iterator[tuple[float, list[Record]]]:
    rows = sorted(rows)
    for i in range(0, len(rows), size):
        yield rows[min(i + size, len(rows)) - 1][0], [Record(i + j, value, at) for j, (_, at, value) in enumerate(rows[i : i + size])]


class Turns:
    """When a half may take its next batch: always, or (``arriving``) once the other has taken all that was published before it."""

    def __init__(self, batches: Sequence[tuple[str, list[Record]]], *, arriving: bool) -> None:
        self._before: dict[str, list[Counter[str]]] = {}
        taken = Counter[str]()
        for topic, _ in batches:
            self._before.setdefault(topic, []).append(Counter(taken) if arriving else Counter())
            taken[topic] += 1
        self._taken = Counter[str]()
        self._moved = asyncio.Condition()

    async def come(self, topic: str, i: int) -> None:
        """Wait for the turn of a topic's batch ``i``."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._before[topic][i] <= self._taken)

    async def done(self, topic: str) -> None:
        """Note that a batch was taken."""
        async with self._moved:
            self._taken[topic] += 1
            self._moved.notify_all()


class Half:
    """What one of the step's two halves does with its batches, and how long each part took."""

    def __init__(self, engine: Engine, settings: Settings, book: ReferenceBook, sql: SqlThread, way: Way, *, partition: int) -> None:
        self._engine = engine
        self._partition = partition
        self._settings = settings
        self._book = book
        self._sql = sql
        self._way = way
        self.spent = {"read": 0.0, "apply": 0.0, "deltas": 0.0}

    async def take(self, topic: str, read: Callable[[Sequence[Any], Settings], Poll], batches: Sequence[list[Record]], turns: Turns) -> None:
        """Take batches in, one after the other."""
        position = None
        judge = CountedAs(self._settings, self._book)
        for i, records in enumerate(batches):
            await turns.come(topic, i)
            poll = await asyncio.to_thread(self._timed, "read", read, records, self._settings)
            following = records[-1].offset + 1
            change = JoinChange(
                source=topic,
                partition=self._partition,
                expected_next=position,
                next_offset=following,
                predictions=poll.predictions,
                labels=poll.labels,
            )
            said = partial(self._said, source=topic, sequence=following)
            async with self._way.turn(len(poll.predictions), len(poll.labels)):
                await self._sql.run(self._timed, "apply", join.apply, self._engine, change, said, judge, self._way.rivals)
            position = following
            await turns.done(topic)

    def _said(self, changes: list[OutcomeChange], source: str, sequence: int) -> list[OutboxRow]:
        told: list[OutboxRow] = self._timed(
            "deltas", delta_rows, changes, owner="o", source=source, partition=self._partition, sequence=sequence, book=self._book
        )
        return told

    def _timed(self, what: str, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        at = time.perf_counter()
        result = call(*args, **named)
        self.spent[what] += time.perf_counter() - at
        return result


class Took(NamedTuple):
    """What one worker took: when it began and ended (s since the epoch), processor time (s), time in each part (s), memory (MB)."""

    began: float
    ended: float
    cpu: float
    spent: dict[str, float]
    rss_mb: int


def measure(engine: Engine, batches: list[tuple[str, list[Record]]], settings: Settings, partition: int = 0, *, arriving: bool = False) -> Took:
    """Take both topics in as the step does: each half reads in a thread aside; SQL has as many threads, and the collector is spared, as there."""
    book = ReferenceBook()
    book.add([reference()])
    (first, second), way = two_threads(engine), Way()
    halves: dict[str, tuple[Callable[[Sequence[Any], Settings], Poll], Half]] = {
        "inference-events": (PredictionReader(), Half(engine, settings, book, first, way, partition=partition)),
        "label-events": (read_labels, Half(engine, settings, book, second, way, partition=partition)),
    }
    spare_collector()

    async def both() -> None:
        turns = Turns(batches, arriving=arriving)
        await asyncio.gather(*(half.take(topic, read, [b for t, b in batches if t == topic], turns) for topic, (read, half) in halves.items()))

    began, cpu = time.time(), time.process_time()
    asyncio.run(both())
    ended, cpu = time.time(), time.process_time() - cpu
    spent = {name: sum(half.spent[name] for _, half in halves.values()) for name in ("read", "apply", "deltas")}
    spent["apply"] -= spent["deltas"]
    return Took(began, ended, cpu, spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


class Load(NamedTuple):
    """What one worker is given: outcomes, records of a poll, and whether as they arrive."""

    rows: int
    batch: int
    arriving: bool


def work(url: str, partition: int, load: Load, ready: Barrier, done: Queue[Took]) -> None:
    """Be one worker: make its log, wait for the others, take it in."""
    batches, settings = log(load.rows, load.batch, seed=partition), build_settings({"defaults": {"pane": "5s", "label_wait": "1h"}})
    engine = open_database(url)
    ready.wait()
    done.put(measure(engine, batches, settings, partition, arriving=load.arriving))
    engine.dispose()


def together(url: str, load: Load, workers: int) -> dict[str, Any]:
    """Return how fast so many workers take a load in, each a part."""
    engine = open_database(url)
    migrate(engine)
    references.put(engine, reference(), [])
    engine.dispose()
    spawn = multiprocessing.get_context("spawn")
    ready, done = spawn.Barrier(workers), spawn.Queue()
    processes = [spawn.Process(target=work, args=(url, i, load._replace(rows=load.rows // workers), ready, done)) for i in range(workers)]
    for process in processes:
        process.start()
    took: list[Took] = [done.get() for _ in processes]
    for process in processes:
        process.join()
    spent = {name: sum(one.spent[name] for one in took) for name in took[0].spent}
    return {
        "outcomes_per_s": round(load.rows / (max(one.ended for one in took) - min(one.began for one in took))),
        "outcomes_per_cpu_s_of_the_step": round(load.rows / sum(one.cpu for one in took)),
        "us_per_outcome": {name: round(s / load.rows * 1e6, 1) for name, s in spent.items()},
        "rss_mb": max(one.rss_mb for one in took),
    }


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """An empty database of a kind."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'join.db'}"
        return
    server = folder / "postgres"
    server.mkdir()
    folder.chmod(0o755)
    try:
        with pg.fresh_database(pg.start(server, durable=True)) as url:
            yield url
    finally:
        pg.stop(server)


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--batch", type=int, default=5_000, help="records of a poll: about what a fetch brings of a backlog")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    result: dict[str, Any] = {"rows": asked.rows, "batch": asked.batch, "features": FEATURES, **circumstances(sys.argv[1:], of="benchmarks.join")}
    for kind in asked.databases:
        for workers, arriving in product((1, 2) if kind == "postgresql" else (1,), (False, True)):
            runs = []
            for _ in range(asked.repeats):
                with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as url:
                    runs.append(together(url, Load(asked.rows, asked.batch, arriving), workers))
            runs.sort(key=lambda run: run["outcomes_per_s"])
            name = kind + (f", {workers} workers" if workers > 1 else "") + (", as records arrive" if arriving else "")
            result[name] = {**runs[len(runs) // 2], "all_outcomes_per_s": [run["outcomes_per_s"] for run in runs]}
            print(name, json.dumps(result[name]), flush=True)
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
