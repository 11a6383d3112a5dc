"""Events as they arrive, through the pure cores of summarise and detect: what is concluded from one order of arrival."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from tests.streams.records import Record

from driftline.contracts.cutting import Cuts
from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference
from driftline.contracts.settings import Settings
from driftline.contracts.summaries import Progress, SampleRow, SummaryMessage, encode_summary
from driftline.contracts.times import HOUR_MS, LATEST_MS, parse_duration
from driftline.detectors.calendar import Calendar
from driftline.detectors.parts import PartBuilder
from driftline.detectors.reference import build_reference
from driftline.detectors.sample import bottom_k
from driftline.store import closings, episodes, findings, references
from driftline.store.database import migrate, open_database
from driftline.streams.blocks import Origin, SourceBlocks
from driftline.streams.detect.partition import DetectPartition
from driftline.streams.reading import Reader
from driftline.streams.references import ReferenceBook
from driftline.streams.summarising import cut_of

#: What an order of arrival may change: where in the log things stood, and how often a window was told of.
ARRIVAL = {"revision", "offsets", "positions", "watermark", "by", "joined", "marks"}

#: How long (ms) before x shifts its relation to y turns round.
TURNED = 15_000
#: Rows that are stored with a reference: enough for the relations of its columns.
SAMPLED = 600

#: A reference with its rows.
Known = tuple[Reference, Sequence[SampleRow]]


class Event(NamedTuple):
    """One event of the stream."""

    time: int
    name: str
    x: float
    y: float = 0.0
    score: float = 0.5


def events_of(seed: int, start: int, seconds: int, rate: int, *, shift_at: int, cycle: float = 0.0) -> list[Event]:
    """Return a stream in the order of event time; ``x`` shifts by 1.5 after so many seconds, and from ``TURNED`` ms before on ``y`` goes against it.
    With a ``cycle`` x is higher by it in every other hour.
    """
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(start, start + seconds * 1_000, seconds * rate))
    drawn = _drawn(rng, times, start + shift_at * 1_000, cycle)
    return [Event(t, f"e{i}", *row) for i, (t, row) in enumerate(zip(times.tolist(), drawn, strict=True))]


def reference_of(since: int, until: int, rows: int = 3_000, *, cycle: float = 0.0, calendar: Calendar = "auto") -> Known:
    """Return the reference of such a stream without a shift, and the sample that is stored with it."""
    times = np.linspace(since, until - 1, rows).astype(np.int64)
    drawn = _drawn(np.random.default_rng(3), times, LATEST_MS, cycle)
    x, y, score = (list(column) for column in zip(*drawn, strict=True))
    reference = build_reference(
        model="m", version="1", task="classification", effective_from=0, origin="built", times=times, features={"x": x, "y": y}, scores=score,
        calendar=calendar,
    )  # fmt: skip
    of_event = enumerate(zip(times.tolist(), drawn, strict=True))
    sample = [SampleRow(sample_hash(f"r{i}"), f"r{i}", at, "1", {"x": a, "y": b}, None, c) for i, (at, (a, b, c)) in of_event]
    return reference, bottom_k(sample, SAMPLED)


def _drawn(rng: np.random.Generator, times: NDArray[np.int64], shift: int, cycle: float) -> list[tuple[float, float, float]]:
    """x, y and score of rows."""
    x, rest = rng.normal(size=(2, len(times)))
    y, score = np.where(times >= shift - TURNED, -0.8, 0.8) * x + 0.6 * rest, np.round(rng.beta(2, 3, len(times)), 4)
    x += np.where(times >= shift, 1.5, 0.0) + cycle * (times // HOUR_MS % 2)
    return list(zip(x.tolist(), y.tolist(), score.tolist(), strict=True))


def conclude(
    engine: Engine, settings: Settings, book: ReferenceBook, partitions: Sequence[Sequence[Event]], polls: Iterable[tuple[int, int]]
) -> None:
    """Let each poll (partition, how many events) be read, summarised and taken in; then an event far ahead closes what is open."""
    lateness, kept = parse_duration(settings.defaults.allowed_lateness), settings.defaults.sample_rows_per_pane
    reader = Reader(book, {}, lateness, 300_000)
    cuts = Cuts(((0, cut_of(settings)),))
    sources = [
        SourceBlocks(p, Origin(0, 0, whole=True), cuts=cuts, reader=reader, new_builder=lambda _: PartBuilder(5_000, kept, 10, {}))
        for p in range(len(partitions))
    ]
    last = max(e.time for events in partitions for e in events)
    logs = [[*events, Event(last + 600_000, f"end{p}", 0.0)] for p, events in enumerate(partitions)]
    detect = DetectPartition(engine, settings, 0)
    told = 0
    rest = [(p, len(log)) for p, log in enumerate(logs)]
    for p, n in [*polls, *rest]:
        at = sources[p].position
        records = [_record(p, offset, logs[p][offset]) for offset in range(at, min(at + n, len(logs[p])))]
        if not records:
            continue
        sources[p].feed(reader.decode(records))
        taken = sources[p].take()
        reached = [Progress("summarise", p, len(logs), taken.position, taken.watermark, taken.origin.start, idle=False, newest=taken.newest)]
        outcomes: list[Progress] = [msgspec.structs.replace(reached[0], source=f"join/{topic}") for topic in ("inference-events", "label-events")]
        told_now: list[SummaryMessage] = [*taken.summaries, *reached, *outcomes]
        messages = [encode_summary(m) for m in told_now]
        detect.apply([Record(told + i, raw, topic="summaries") for i, raw in enumerate(messages)])
        told += len(messages)
    detect.checkpoint()


@contextmanager
def concluding(
    folder: Path,
    settings: Settings,
    known: Known,
    partitions: Sequence[Sequence[Event]],
    polls: Iterable[tuple[int, int]],
) -> Iterator[Engine]:
    """Conclude in a database of its own, made anew in a folder."""
    for path in folder.glob("arrivals*"):
        path.unlink()
    engine = open_database(f"sqlite:///{folder / 'arrivals'}.db")
    migrate(engine)
    references.put(engine, *known)
    book = ReferenceBook()
    book.add(known[:1])
    conclude(engine, settings, book, partitions, polls)
    yield engine
    engine.dispose()


def concluded(engine: Engine, *, ignored: set[str] = ARRIVAL) -> dict[str, Any]:
    """Return everything that was said, by id."""

    def bare(message: msgspec.Struct) -> dict[str, Any]:
        return {k: v for k, v in msgspec.to_builtins(message).items() if k not in ignored}

    return {
        "findings": {f.finding_id: bare(f) for f in findings.history(engine, limit=10_000)},
        "closings": {c.closing_id: bare(c) for c in closings.history(engine, "m")},
        "alerts": {a.alert_id: bare(a) for a in episodes.alerts(engine, limit=10_000)},
    }


def _record(partition: int, offset: int, event: Event) -> Record:
    features = {"x": event.x, "y": event.y}
    value = {"event_id": event.name, "model": "m", "version": "1", "event_time": event.time, "features": features, "score": event.score}
    return Record(offset, msgspec.json.encode(value), partition=partition, timestamp=event.time + 600_000)
