"""How large detect's state is and how much is written for it: synthetic summaries through the real partition, no broker.

``python benchmarks/state.py --models 200 --features 100 --out benchmarks/results/state.json``. Event time runs as fast as it can; checkpoints are
made by event time, as ``worker.checkpoint_interval`` would in service. Each second every model gets one block of events and one delta of outcomes.
The first seconds fill what is then rewritten and are left out. Bytes written are those of PostgreSQL's WAL, for SQLite of all that the process wrote.

That is a start, from which nothing is folded or let go yet. The ``steady`` case is the rest of a life, made short: fewer models, windows of 10 s,
panes kept one by one for 24 of them (``folding.LONGEST``, 2,000 in service), and all let go of after 2 minutes of event time. Its size is taken at
each third of the time; ``growth`` is the last by the second, and 1 where retention and folding keep up. PostgreSQL is vacuumed each minute of event
time, as its autovacuum looks for work each minute. ``--table FILE`` prints a result as Markdown, and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec
import numpy as np
from sqlalchemy import Engine, func, select, text

from benchmarks.join import database
from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference, seal
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.summaries import BlockSummary, Counted, OutcomeDelta, PanePart, Progress, SummaryMessage, encode_summary
from driftline.detectors.outcomes import Outcome
from driftline.detectors.parts import PartBuilder, counted_parts
from driftline.detectors.reference import build_reference
from driftline.detectors.rows import Rows
from driftline.store import detection, outbox, references
from driftline.store.database import migrate, open_database
from driftline.store.tables import metadata
from driftline.streams.detect import folding
from driftline.streams.detect.partition import DetectPartition

T0 = 1_700_000_040_000 // 3_600_000 * 3_600_000
BLOCK = 1024
STEADY_REACH = 24
STEADY = {
    "defaults": {"pane": "5s", "window": "10s", "label_wait": "1s", "allowed_lateness": "2s"},
    "retention": {"panes": "2m", "findings": "2m", "closings": "2m", "alerts": "2m"},
    "worker": {"checkpoint_interval": "1d"},
}


class Record(NamedTuple):
    """What a consumer gives."""

    offset: int
    value: bytes
    timestamp: int = T0
    topic: str = "summaries"
    partition: int = 0
    key: bytes | None = None
    headers: tuple[()] = ()


class Load:
    """What one second brings a model, made once for each second of a pane and used for all models."""

    def __init__(self, models: int, features: int, rate: int, variants: int = 5) -> None:
        rng = np.random.default_rng(1)
        self.rate = rate
        names = [f"feature_{i:03d}" for i in range(features)]
        rows = 4_000
        score = rng.beta(2, 3, rows)
        base = build_reference(
            model="m", version="1", task="classification", effective_from=0, origin="built",
            times=np.linspace(T0 - 10 * 86_400_000, T0 - 1, rows).astype(np.int64),
            features={name: rng.normal(size=rows).tolist() for name in names}, scores=score.tolist(),
            labels=(rng.random(rows) < score).astype(int).tolist(), label_delays=np.full(rows, 1_000),
        )  # fmt: skip
        self.references = [seal(msgspec.structs.replace(base, model=f"model-{i:03d}", reference_id="")) for i in range(models)]
        self._variants = [self._parts(rng, base, names, i) for i in range(variants)]

    def second(self, at: int, offset: int) -> list[bytes]:
        """Return the summaries of one second that begins ``at``."""
        features, outcomes = self._variants[at // 1000 % len(self._variants)]
        told: list[SummaryMessage] = []
        for r in self.references:
            told.append(BlockSummary(r.model, 0, offset, offset, offset + BLOCK, final=True, panes=[_moved(p, r, at) for p in features]))
            told.append(OutcomeDelta(r.model, "label-events", 0, offset + 1, [_moved(p, r, at) for p in outcomes]))
        for source in ("summarise", "join/inference-events", "join/label-events"):
            floor = offset + BLOCK if source == "summarise" else 0
            told.append(Progress(source, 0, 1, offset + BLOCK, at + 999, floor, idle=False, newest=at + 999))
        return [encode_summary(message) for message in told]

    def _parts(self, rng: Any, reference: Reference, names: list[str], variant: int) -> tuple[list[PanePart], list[PanePart]]:
        n = self.rate
        ids = [f"{rng.integers(1 << 62):032x}" for _ in range(n)]
        score = rng.beta(2, 3, n).tolist()
        builder = PartBuilder(5_000, 64, 64, {})
        times = np.full(n, T0, np.int64)
        rows = Rows(
            event_ids=ids, places=np.array([sample_hash(i) for i in ids], np.int64), times=times, late=np.zeros(n, np.bool_), versions=["1"] * n,
            features={name: rng.normal(size=n).tolist() for name in names}, predictions=[None] * n, scores=score, quality={},
        )  # fmt: skip
        builder.add(reference, rows)
        said = [
            Outcome(event_id=i, model="m", version="1", event_time=T0, prediction=None, score=p, label=int(rng.random() < p), label_time=T0 + 500)
            for i, p in zip(ids, score, strict=True)
        ]
        counted = Counted(reference.reference_id, T0, late=False)
        return builder.parts(), counted_parts({reference.reference_id: reference}, [(o, counted, 1) for o in said])


def _moved(part: PanePart, reference: Reference, at: int) -> PanePart:
    first, last = (at, at) if part.first_time else (0, 0)
    return msgspec.structs.replace(part, reference_id=reference.reference_id, start=at // 5_000 * 5_000, first_time=first, last_time=last)


class Feed:
    """A partition that gets one second after the other, and is saved at every ``interval_s`` of event time and whenever something is said."""

    def __init__(self, partition: DetectPartition, load: Load, interval_s: float) -> None:
        self._partition = partition
        self._load = load
        self._interval_s = interval_s
        self._offset = 0
        self._saved = 0.0

    def second(self, second: int) -> None:
        """Give it what a second brings."""
        records = [Record(self._offset + i, value) for i, value in enumerate(self._load.second(T0 + second * 1000, second * BLOCK))]
        self._offset += len(records)
        pieces = max(1, round(1 / self._interval_s)) if self._interval_s < 1 else 1
        for i in range(pieces):
            if self._partition.apply(records[i * len(records) // pieces : (i + 1) * len(records) // pieces]):
                self._saved = second
            elif second + (i + 1) / pieces - self._saved >= self._interval_s:
                self._partition.checkpoint()
                self._saved = second + (i + 1) / pieces


def run(engine: Engine, load: Load, settings: Settings, *, seconds: int, warm: int, interval_s: float) -> dict[str, Any]:
    """Run the load through a partition that is saved at every ``interval_s`` of event time, and whenever something is said."""
    for reference in load.references:
        references.put(engine, reference, [])
    partition = DetectPartition(engine, settings, 0)
    sql = {"s": 0.0, "commits": 0}
    commit = detection.commit

    def timed(*args: Any) -> None:
        at = time.perf_counter()
        commit(*args)
        sql["s"] += time.perf_counter() - at
        sql["commits"] += 1

    detection.commit = timed
    feed, before, cpu, began = Feed(partition, load, interval_s), 0, 0.0, 0.0
    for second in range(warm + seconds):
        if second == warm:
            before, cpu, began = _written(engine), time.process_time(), time.perf_counter()
            sql.update(s=0.0, commits=0)
        feed.second(second)
    events = seconds * load.rate * len(load.references)
    written = _written(engine) - before
    detection.commit = commit
    return {
        "written_mb_per_minute": round(written / seconds * 60 / 1e6, 1),
        "written_bytes_per_event": round(written / events, 1),
        "transactions_per_s_of_event_time": round(sql["commits"] / seconds, 2),
        "sql_s_per_s_of_event_time": round(sql["s"] / seconds, 3),
        "cpu_s_per_s_of_event_time": round((time.process_time() - cpu) / seconds, 3),
        "wall_s_per_s_of_event_time": round((time.perf_counter() - began) / seconds, 3),
        "tables_mb": _tables(engine),
    }


def steady(engine: Engine, load: Load, *, seconds: int) -> dict[str, Any]:
    """Run the load until what is kept no longer grows, if it does so: its size at each third of the time."""
    for reference in load.references:
        references.put(engine, reference, [])
    partition = DetectPartition(engine, build_settings(STEADY), 0)
    feed, sizes, began = Feed(partition, load, 5.0), [], time.perf_counter()
    reach, folding.LONGEST = folding.LONGEST, STEADY_REACH
    try:
        for second in range(seconds):
            feed.second(second)
            _published(engine, partition)
            partition.let_go()  # as the step does once a second
            if second % 60 == 59 and engine.dialect.name == "postgresql":
                with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
                    conn.execute(text("VACUUM"))
            if (second + 1) % (seconds // 3) == 0:
                sizes.append({"event_time_s": second + 1, "rows": _rows(engine), "tables_mb": _tables(engine)})
    finally:
        folding.LONGEST = reach
    total_mb, rows = ([round(sum(size[what].values()), 2) for size in sizes] for what in ("tables_mb", "rows"))
    return {
        "models": len(load.references),
        "settings": STEADY,
        "panes_one_by_one": STEADY_REACH,
        "total_mb": total_mb,
        "total_rows": rows,
        "growth": {"mb": round(total_mb[2] / total_mb[1], 3), "rows": round(rows[2] / rows[1], 3)},
        "sizes": sizes,
        "wall_s": round(time.perf_counter() - began, 1),
    }


def _published(engine: Engine, partition: DetectPartition) -> None:
    """Forget what there was to be said, as the step does when the broker has it."""
    while rows := outbox.pending(engine, partition.owner):
        outbox.delete(engine, [row.id for row in rows if row.id is not None])


def _rows(engine: Engine) -> dict[str, int]:
    with engine.connect() as conn:
        counts = {table.name: conn.scalar(select(func.count()).select_from(table)) or 0 for table in metadata.sorted_tables}
    return {name: n for name, n in counts.items() if n}


def _written(engine: Engine) -> int:
    if engine.dialect.name == "postgresql":
        with engine.connect() as conn:
            return int(conn.scalar(text("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")) or 0)
    return int(next(line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("write_bytes")).split()[1])


def _tables(engine: Engine) -> dict[str, float]:
    """Return the size of each table's content: what PostgreSQL says, or the length of SQLite's columns."""
    sizes = {}
    with engine.connect() as conn:
        for table in metadata.sorted_tables:
            if engine.dialect.name == "postgresql":
                size = conn.scalar(select(func.pg_total_relation_size(table.name)))
            else:
                size = sum(conn.scalar(select(func.coalesce(func.sum(func.length(column)), 0))) or 0 for column in table.c)
            if size and size > 50_000:
                sizes[table.name] = round(size / 1e6, 2)
    return sizes


def as_tables(result: dict[str, Any]) -> str:
    """Return a result as Markdown: what is written, and what is kept."""
    cases = {name: case for name, case in result.items() if isinstance(case, dict)}
    starts = {name: case for name, case in cases.items() if "written_mb_per_minute" in case}
    lines = [
        f"{result['models']} models x {result['features']} features, {result['rate']} events/s each, {result['seconds']} s of event time",
        "",
        "| start | written, MB/min | bytes/event | transactions/s | SQL, s/s | CPU, s/s |",
        "|---|---|---|---|---|---|",
    ]
    figures = ("written_mb_per_minute", "written_bytes_per_event", "transactions_per_s_of_event_time", "sql_s_per_s_of_event_time")
    for name, case in starts.items():
        lines.append(f"| {name} | {' | '.join(str(case[figure]) for figure in (*figures, 'cpu_s_per_s_of_event_time'))} |")
    lines += ["", "| steady | models | after (s) | MB | rows | growth |", "|---|---|---|---|---|---|"]
    for name, case in cases.items():
        if name not in starts:
            after = ", ".join(str(size["event_time_s"]) for size in case["sizes"])
            mb, rows = (", ".join(map(str, case[what])) for what in ("total_mb", "total_rows"))
            lines.append(f"| {name} | {case['models']} | {after} | {mb} | {rows} | {case['growth']['mb']} (MB), {case['growth']['rows']} (rows) |")
    return "\n".join(lines)


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--rate", type=int, default=50, help="events of a model in a second")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--warm", type=int, default=15)
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--intervals", nargs="+", type=float, default=[5.0, 0.5], help="seconds between checkpoints; the second shows what they save")
    parser.add_argument("--steady", type=int, default=20, metavar="MODELS", help="of how many models the steady state is shown; 0: not at all")
    parser.add_argument("--steady-seconds", type=int, default=600, help="of event time")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path, metavar="FILE", help="print this result as Markdown tables")
    asked = parser.parse_args()
    if asked.table:
        print(as_tables(json.loads(asked.table.read_text())))
        return
    load = Load(asked.models, asked.features, asked.rate)
    settings = build_settings(
        {"defaults": {"pane": "5s", "window": "1h", "label_wait": "1s", "allowed_lateness": "2s"}, "worker": {"checkpoint_interval": "1d"}}
    )
    result: dict[str, Any] = {name: getattr(asked, name) for name in ("models", "features", "rate", "seconds")}
    for kind in asked.databases:
        for interval in asked.intervals:
            with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as url:
                engine = open_database(url)
                migrate(engine)
                result[f"{kind}, checkpoint {interval:g} s"] = run(
                    engine, load, settings, seconds=asked.seconds, warm=asked.warm, interval_s=interval
                )
                engine.dispose()
            print(kind, interval, json.dumps(result[f"{kind}, checkpoint {interval:g} s"]), flush=True)
        if asked.steady:
            name = f"{kind}, steady"
            with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as url:
                engine = open_database(url)
                migrate(engine)
                result[name] = steady(engine, Load(asked.steady, asked.features, asked.rate), seconds=asked.steady_seconds)
                engine.dispose()
            print(name, json.dumps({key: value for key, value in result[name].items() if key != "sizes"}), flush=True)
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
