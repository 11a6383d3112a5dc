"""A replay of what was read concludes what was concluded live, whatever the order in which live had read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import Engine
from tests.integration.stream import CLICKS, NEW, PARTITIONS, PRICES, START, Plan, known, records, references, settings_tree
from tests.streams.records import Record

from driftline.cli.backtesting import Said, differences, live_of, said_of, within
from driftline.contracts.cutting import Cuts
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.summaries import Progress, encode_summary
from driftline.contracts.times import HOUR_MS, LATEST_MS
from driftline.store import join
from driftline.store import references as stored
from driftline.store.database import migrate, open_database
from driftline.streams.admission import Remembered
from driftline.streams.blocks import Origin, SourceBlocks
from driftline.streams.detect.partition import DetectPartition
from driftline.streams.joining import CountedAs, delta_rows, read_labels
from driftline.streams.predictions import PredictionReader
from driftline.streams.references import ReferenceBook
from driftline.streams.replaying import Replay
from driftline.streams.summarising import builder_of, cut_of, reader_of

INFERENCE, LABELS = "inference-events", "label-events"
#: Version 9 of one model came when there was no room any more, and counts as one of the others; and a stranger is refused.
ADMITTED: dict[str, set[str]] = {"models": set(), f"versions/{CLICKS}": set(), f"versions/{PRICES}": {"9"}}
Logs = dict[tuple[str, int], list[Record]]


def logs_of(plan: Plan) -> Logs:
    """Return the known stream as the two topics hold it."""
    logs: Logs = {(topic, p): [] for topic in (INFERENCE, LABELS) for p in range(PARTITIONS)}
    for r in records(plan):
        log = logs[r.topic, r.partition]
        log.append(Record(len(log), r.value, timestamp=r.arrival + 10_000_000, key=r.key, topic=r.topic, partition=r.partition))
    return logs


def cuts_of(settings: Settings) -> Cuts:
    return Cuts(((0, cut_of(settings)),))


class Live:
    """Summarise, join and detect without a broker: who reads how much when is drawn, and detect dies now and then."""

    def __init__(self, engine: Engine, settings: Settings, logs: Logs, rng: np.random.Generator) -> None:
        self.engine, self.settings, self.logs, self.rng = engine, settings, logs, rng
        self.book = ReferenceBook()
        self.book.add(references())
        self.reader = reader_of(settings, self.book)
        self.admission = Remembered(settings, self.book, ADMITTED.__getitem__)
        self.sources = {
            p: SourceBlocks(p, Origin(0, 0, whole=True), cuts=cuts_of(settings), reader=self.reader, new_builder=builder_of(settings))
            for p in range(PARTITIONS)
        }
        self.cursors = dict.fromkeys(logs, 0)
        self.times = dict.fromkeys(logs, 0)
        self.told: list[bytes] = []
        self.predictions = PredictionReader()
        self.detect = DetectPartition(engine, settings, 0)

    def run(self) -> None:
        """Read both topics to their ends, in some order."""
        works = [("summarise", p) for p in range(PARTITIONS)] + list(self.logs)
        busy = set(works)
        silent = ("summarise", 2)
        while busy:
            of = works[int(self.rng.integers(len(works)))]
            if of == silent and len(busy - {silent}) > 3 and self.sources[2].position > 100:
                self._idle(2)  # taken for idle: panes close without it
                continue
            n = int(self.rng.integers(20, 120))
            more = self._summarise(int(of[1]), n) if of[0] == "summarise" else self._join(*of, n)
            if not more:
                busy.discard(of)
            if self.rng.random() < 0.01:
                self.detect = DetectPartition(self.engine, self.settings, 0)
            self._take()
        self.detect.checkpoint()

    def _take(self) -> None:
        start = self.detect.next_offset or 0
        if len(self.told) > start:
            self.detect.apply([Record(i, self.told[i], topic="summaries") for i in range(start, len(self.told))])

    def _summarise(self, p: int, n: int) -> bool:
        source, log = self.sources[p], self.logs[INFERENCE, p]
        some = log[source.position : source.position + n]
        if some:
            source.feed(self.admission.judged(self.reader.decode(some)))
        taken = source.take()
        # The blocks of one may be here before the progress that follows another's.
        self.told += [encode_summary(s) for s in taken.summaries if s.model == CLICKS]
        if self.rng.random() < 0.7 or not some:
            newest = taken.newest
            progress = Progress("summarise", p, PARTITIONS, taken.position, taken.watermark, taken.origin.start, idle=False, newest=newest)
            self.told.append(encode_summary(progress))
        return bool(some)

    def _idle(self, p: int) -> None:
        source = self.sources[p]
        progress = Progress("summarise", p, PARTITIONS, source.position, source.watermark, 0, idle=True, newest=source.newest)
        self.told.append(encode_summary(progress))

    def _join(self, topic: str, p: int, n: int) -> bool:
        at = self.cursors[topic, p]
        some = self.logs[topic, p][at : at + n]
        poll = (self.predictions if topic == INFERENCE else read_labels)(some, self.settings)
        after = at + len(some)
        self.times[topic, p] = max(self.times[topic, p], poll.watermark)
        if some:
            change = join.JoinChange(
                source=topic, partition=p, expected_next=at or None, next_offset=after, predictions=poll.predictions, labels=poll.labels
            )

            def said(changes: Any) -> list[Any]:
                rows = delta_rows(changes, owner="", source=topic, partition=p, sequence=after, book=self.book)
                self.told.extend(row.value for row in rows if row.key == CLICKS.encode())
                return []

            join.apply(self.engine, change, said, CountedAs(self.settings, self.book))
            self.cursors[topic, p] = after
        progress = Progress(f"join/{topic}", p, PARTITIONS, after, self.times[topic, p], 0, idle=False, newest=0)
        self.told.append(encode_summary(progress))
        return bool(some)


def database(path: Path) -> Engine:
    engine = open_database(f"sqlite:///{path}")
    migrate(engine)
    for reference, rows in known():
        stored.put(engine, reference, rows)
    return engine


#: A detector by name, and where windows are few, all columns together at each of them.
NAMED: dict[str, Any] = {"detectors": [{"name": "page_hinkley", "reads": ["y"], "series": "rows", "parameters": {"threshold": 10}}]}
WINDOWS: list[dict[str, Any]] = [
    {"window": "1d", "multivariate": "windows"},
    {"window": "300 events", "slide": "60 events"},
    {"window": "12h", "slide": "3h"},
    {"window": "12h or 150 events"},
]


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: " ".join(window.values()))
def test_a_replay_concludes_what_live_did(window: dict[str, Any], tmp_path: Path) -> None:
    tree = settings_tree("127.0.0.1:1", "", f"sqlite:///{tmp_path}/nobody_opens.db", str(tmp_path), "1s")
    tree["models"][CLICKS] |= {**NAMED, **window}
    settings = build_settings(tree)
    logs = logs_of(Plan(days=5, clicks_per_hour=12, prices_per_hour=1, new_per_hour=0, shift_day=2, unruly=True))
    engine, other = database(tmp_path / "live.db"), database(tmp_path / "replay.db")
    Live(engine, settings, logs, np.random.default_rng(len(window))).run()
    live = live_of(engine, CLICKS)
    replay = Replay(other, settings, CLICKS, [cuts_of(settings)] * PARTITIONS, ADMITTED.__getitem__)
    read = dict.fromkeys([("", p) for p in range(PARTITIONS)], 0) | dict.fromkeys(logs, 0)
    for step in live.steps:
        for p, position in step.positions:
            replay.read(p, logs[INFERENCE, p][read["", p] : position])
            read["", p] = position
        for name, position in step.joined:
            topic, _, place = name.partition("/")
            replay.join(topic, int(place), logs[topic, int(place)][read[topic, int(place)] : position], position)
            read[topic, int(place)] = position
        replay.close(step)
    replay.finish()
    told = said_of(other, CLICKS)
    found = differences(live.said, told)
    assert not found, (len(found), [(d.what, d.at, d.fields) for d in found[:5]], str(found[0].live), str(found[0].replay))
    assert len(told.closings) > 2 * 4 * 24
    assert [a for a in told.alerts.values() if a.status == "opened"]
    assert any(f.quality.get("duplicates") for f in told.findings.values())
    assert any(f.changes for f in told.findings.values())
    joint = [f.multivariate.auc is not None for f in told.findings.values() if f.multivariate is not None and f.multivariate.n >= 200]
    assert all(joint)
    assert joint or not window["window"].endswith("d")
    assert any(c.by == "idle" for c in live.said.closings.values())
    half = START + 60 * HOUR_MS
    parts = [within(told, 0, half), within(told, half, LATEST_MS)]
    assert max(c.end for c in parts[0].closings.values()) < half
    assert [len(part.closings) for part in parts] != [0, len(told.closings)]
    assert not differences(told, Said(*({**a, **b} for a, b in zip(*map(msgspec.structs.astuple, parts), strict=True))))
    assert NEW not in {f.model for f in told.findings.values()}
    assert msgspec.json.encode(live.said.alerts) == msgspec.json.encode({name: told.alerts[name] for name in live.said.alerts})
    engine.dispose()
    other.dispose()
