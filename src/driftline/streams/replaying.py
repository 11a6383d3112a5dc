"""The log once more, through the same code as live: summarise, join and detect of one model, into a store of its own.

What decided live when a pane closed was how far each partition had been read at that moment, and that is logged with every closing: a replay reads as
far, says so, and lets detect close what was due then. Nothing looks at a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Engine

from driftline.contracts.cutting import Cuts
from driftline.contracts.findings import PaneClosing
from driftline.contracts.settings import Settings
from driftline.contracts.summaries import Progress, encode_summary
from driftline.contracts.topics import INFERENCE_EVENTS
from driftline.store import join, references
from driftline.store.join import JoinChange
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import OutcomeChange
from driftline.streams.admission import Remembered
from driftline.streams.blocks import Origin, SourceBlocks
from driftline.streams.detect.clock import JOIN_INFERENCE, JOIN_LABELS, SUMMARISE
from driftline.streams.detect.partition import DetectPartition
from driftline.streams.joining import CountedAs, delta_rows, read_labels
from driftline.streams.predictions import PredictionReader
from driftline.streams.records import Record
from driftline.streams.references import ReferenceBook
from driftline.streams.sizing import encode_sized
from driftline.streams.summarising import builder_of, reader_of


@dataclass(frozen=True, order=True)
class Step:
    """One moment at which panes closed: how far all had been read (by ``partition``, by ``topic/partition``), and how far event time had come."""

    read: int
    marks: tuple[int, int, int, int]
    labels_idle: bool
    positions: tuple[tuple[int, int], ...]
    joined: tuple[tuple[str, int], ...]
    #: How far time had come where no event moved it any more (0: no further).
    passed: int = 0

    @classmethod
    def at(cls, positions: dict[str, int], joined: dict[str, int], marks: tuple[int, int, int, int], *, labels_idle: bool, passed: int = 0) -> Step:
        """Return the step; how much has been read in all is its place among the others."""
        of_partitions = tuple(sorted((int(p), n) for p, n in positions.items()))
        return cls(sum(positions.values()) + sum(joined.values()), marks, labels_idle, of_partitions, tuple(sorted(joined.items())), passed)


def steps_of(closings: Iterable[PaneClosing]) -> list[Step]:
    """Return the moments of logged closings, in their order: what is read only grows. Those from before they told it (marks of zero) are left out."""
    told = (c for c in closings if any(c.marks))
    return sorted({Step.at(c.positions, c.joined, c.marks, labels_idle=c.labels_idle) for c in told})


@dataclass(frozen=True)
class _Message:
    """A summary as detect reads it."""

    offset: int
    value: bytes
    topic: str = "summaries"
    partition: int = 0
    timestamp: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Replay:
    """The three steps of one model over a database of their own, which has been migrated and is empty.

    ``admitted`` returns the names that live has let into a scope (``store/admissions.py``): who was in is not decided again.
    """

    def __init__(self, engine: Engine, settings: Settings, model: str, cuts: Sequence[Cuts], admitted: Callable[[str], Collection[str]]) -> None:
        self._engine = engine
        self._settings = settings
        self._model = model
        self._book = ReferenceBook()
        self._seen = 0
        self._reader = reader_of(settings, self._book)
        self._builder = builder_of(settings)
        self._admission = Remembered(settings, self._book, admitted)
        self._sources = {p: self._source(p, cut) for p, cut in enumerate(cuts)}
        self._partitions = len(cuts)
        self._predictions = PredictionReader()
        self._joined: dict[tuple[str, int], int] = {}
        self._messages: list[bytes] = []
        self._told = 0
        self._refresh()
        self._detect = DetectPartition(engine, settings, 0)

    def read(self, partition: int, records: Sequence[Record]) -> None:
        """Summarise events of one partition; those of other models tell its time."""
        if records:
            self._sources[partition].feed(self._admission.judged(self._reader.decode(records)))

    def join(self, topic: str, partition: int, records: Sequence[Record], position: int) -> None:
        """Join predictions or labels of one partition up to a position."""
        poll = (self._predictions if topic == INFERENCE_EVENTS.name else read_labels)(records, self._settings)
        known = self._joined.get((topic, partition), 0)
        if position <= known:
            return
        change = JoinChange(
            source=topic,
            partition=partition,
            expected_next=known or None,
            next_offset=position,
            predictions=[p for p in poll.predictions if p.model == self._model],
            labels=[label for label in poll.labels if label.model == self._model],
        )

        def said(changes: list[OutcomeChange]) -> list[OutboxRow]:
            rows = delta_rows(changes, owner="", source=topic, partition=partition, sequence=position, book=self._book)
            self._messages += [row.value for row in rows]
            return []

        join.apply(self._engine, change, said, CountedAs(self._settings, self._book))
        self._joined[topic, partition] = position

    def close(self, step: Step) -> None:
        """Tell detect what has been read since, and how far event time has come by it: what is due closes."""
        features, outcomes, predictions, newest = step.marks
        summaries, progress = [], []
        for partition, source in self._sources.items():
            taken = source.take()
            summaries += [encode_sized(s) for s in taken.summaries if s.model == self._model]
            quiet = max(step.passed - features, 0)
            floor = taken.origin.start
            progress.append(Progress(SUMMARISE, partition, self._partitions, taken.position, features, floor, quiet > 0, newest, quiet))
        last = progress[0]
        for name, reached in ((JOIN_INFERENCE, predictions), (JOIN_LABELS, outcomes)):
            idle = step.labels_idle and name == JOIN_LABELS
            progress.insert(0, msgspec.structs.replace(last, source=name, partition=0, partitions=1, watermark=reached, floor=0, idle=idle, quiet=0))
        messages = [*summaries, *self._messages, *map(encode_summary, progress)]
        self._messages = []
        self._detect.apply([_Message(self._told + i, raw) for i, raw in enumerate(messages)])
        self._told += len(messages)
        self._refresh()

    def finish(self) -> None:
        """Say what is left to be said."""
        self._detect.checkpoint()

    def _source(self, partition: int, cuts: Cuts) -> SourceBlocks:
        return SourceBlocks(partition, Origin(0, 0, whole=True), cuts=cuts, reader=self._reader, new_builder=self._builder)

    def _refresh(self) -> None:
        """Take in the references that the replay has learned itself, as summarise and the join do live."""
        for sequence, reference in references.since(self._engine, self._seen):
            self._book.add([reference])
            self._seen = max(self._seen, sequence)
