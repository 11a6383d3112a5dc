"""One summaries partition: messages in, one transaction out.

The image in memory is valid only while its ``next_offset`` is the one in SQL. The commit swaps it by comparison, so that an owner who slept through a
rebalance is refused and starts again from what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Engine

from driftline.contracts.errors import DecodeError
from driftline.contracts.findings import encode_json
from driftline.contracts.settings import Settings
from driftline.contracts.summaries import LEARNING, BlockSummary, OutcomeDelta, PaneKind, PanePart, Progress, decode_summary
from driftline.contracts.times import parse_duration
from driftline.contracts.topics import ALERTS, DRIFT_FINDINGS, PANE_CLOSINGS, RETRAIN_TRIGGERS
from driftline.store import detection, panes, references
from driftline.store.detect_rows import Applied, BlockKey, BlockRow, DetectChange, PaneKey
from driftline.store.outbox import OutboxRow
from driftline.store.transactions import writing
from driftline.streams.dead_letters import letter_row
from driftline.streams.detect.cells import Cell, Cells
from driftline.streams.detect.clock import FEATURE_SOURCES, JOIN_LABELS, OUTCOME_SOURCES, SourceClock
from driftline.streams.detect.monitor import ModelMonitor
from driftline.streams.detect.refusal import refuse_other_settings
from driftline.streams.detect.said import Marks, Said
from driftline.streams.detect.state import ModelState, decode_state, encode_state
from driftline.streams.reading import Record, Rejected
from driftline.streams.references import ReferenceBook


@dataclass
class Counters:
    """What happened, for logs and metrics."""

    applied: int = 0
    superseded: int = 0
    repeated: int = 0
    after_close: int = 0
    undecodable: int = 0


class DetectPartition:
    """The state of one summaries partition, and how messages change it. Everything here runs in the thread that owns SQL."""

    def __init__(self, engine: Engine, settings: Settings, q: int) -> None:
        self._engine = engine
        self._settings = settings
        self._q = q
        self._book = ReferenceBook()
        self._seen_references = 0
        self._refresh()
        image = detection.load(engine, q)
        self.next_offset = image.next_offset
        self._clock = SourceClock(image.sources)
        self._applied = {(a.model, a.source, a.partition): a.sequence for a in image.applied}
        self._blocks = {BlockKey(b.model, b.partition, b.start): b for b in image.blocks}
        self._parts: dict[BlockKey, list[PanePart]] = {k: _parts.decode(b.payload) for k, b in self._blocks.items() if b.payload}
        self._cells = Cells(self._fetch, self._fetch_range, self._book.get, self._sample_rows)
        self._cells.load(image.panes)
        self._states = {model: decode_state(raw) for model, raw in image.model_states.items()}
        self._stored = dict(image.model_states)
        self._monitors: dict[str, ModelMonitor] = {}
        # Not less than before a restart: an idle partition that has come back must not take time back.
        outcomes, _ = self._clock.watermark(OUTCOME_SOURCES)
        self._marks = Marks(image.watermark, outcomes, by_idle=False, positions={}, newest=0)
        refuse_other_settings(settings, image)
        self.counters = Counters()

    @property
    def owner(self) -> str:
        """Return the name under which findings wait to be published."""
        return f"detect:{self._q}"

    def apply(self, records: Sequence[Record]) -> bool:
        """Take records in and commit what follows from them; False when all were known. Raises StaleState for a zombie."""
        expected = self.next_offset
        fresh = [r for r in records if r.offset >= (expected or 0)]
        if not fresh:
            return False
        self._refresh()
        said = Said()
        undecodable: list[OutboxRow] = []
        touched = _Touched()
        for record in fresh:
            self.next_offset = record.offset + 1
            try:
                message = decode_summary(record.value or b"")
            except DecodeError as error:
                self.counters.undecodable += 1
                undecodable.append(letter_row(self.owner, Rejected(record, error), "detect"))
                continue
            if isinstance(message, BlockSummary):
                self._revise(message, touched)
            elif isinstance(message, OutcomeDelta):
                self._take(message, touched)
            else:
                touched.sources.append(self._clock.advance(message))
                self._close(said)
        for model in sorted({key.model for key in self._cells.changed}):
            self._monitor(model).revise([key for key in self._cells.changed if key.model == model], said)
        self._purge(said)
        self._commit(expected, said, touched, undecodable)
        return True

    # -- messages -----------------------------------------------------------------------------------------------------------------------------

    def _revise(self, block: BlockSummary, touched: _Touched) -> None:
        key = BlockKey(block.model, block.partition, block.start)
        known = self._blocks.get(key)
        if block.start < self._clock.floor(block.partition):
            self.counters.repeated += 1
            return
        if known is not None and (known.final or block.first > known.first or block.next < known.next):
            self.counters.superseded += 1
            return
        if known is None and self._covered(block):
            self.counters.repeated += 1
            return
        old = {_name(part): part for part in self._parts.get(key, [])}
        new = {_name(part): part for part in block.panes}
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                self._replace(block.model, old.get(name), new.get(name), self._offsets(block))
        self.counters.applied += 1
        parts = [] if block.final else block.panes
        self._parts[key] = parts
        self._blocks[key] = touched.blocks[key] = BlockRow(
            model=block.model,
            partition=block.partition,
            start=block.start,
            first=block.first,
            next=block.next,
            final=block.final,
            payload=_parts_encoder.encode(parts) if parts else b"",
        )

    def _offsets(self, block: BlockSummary) -> tuple[int, int, int]:
        """Return the offsets that a finding names for a block: all of it, whatever part was read when the finding was made."""
        size = self._settings.worker.block_size
        return (block.partition, block.start, block.start + (1 if block.start % size else size))

    def _covered(self, block: BlockSummary) -> bool:
        """Say whether another block has these offsets already: the log was cut inside a block, and a new owner sends the rest of it in pieces."""
        return any(
            known.model == block.model and known.partition == block.partition and known.start < block.start and known.next > block.first
            for known in self._blocks.values()
        )

    def _take(self, delta: OutcomeDelta, touched: _Touched) -> None:
        key = (delta.model, delta.source, delta.partition)
        if delta.sequence <= self._applied.get(key, -1):
            self.counters.repeated += 1
            return
        self._applied[key] = delta.sequence
        touched.applied[key] = Applied(model=delta.model, source=delta.source, partition=delta.partition, sequence=delta.sequence)
        for part in delta.panes:
            self._replace(delta.model, None, part, None)
        self.counters.applied += 1

    def _replace(self, model: str, old: PanePart | None, new: PanePart | None, offsets: tuple[int, int, int] | None) -> None:
        part = new if new is not None else old
        if part is None:
            return
        if part.reference_id != LEARNING and self._book.get(model, part.reference_id) is None:
            msg = f"reference {part.reference_id} of model {model} is not in the store; was the database restored from an older copy?"
            raise LookupError(msg)
        settings = self._settings.model(model)
        pane, window = parse_duration(settings.pane), parse_duration(settings.window)
        keys = (
            PaneKey(model, part.reference_id, part.kind, pane, part.start, part.late),
            PaneKey(model, part.reference_id, part.kind, window, part.start // window * window, part.late),
        )
        if part.late:
            # What is late is kept apart: whether it came before a close was chance, so nothing may be decided from it. Its window is told of all the
            # same.
            self._cells.ensure_open(keys[1]._replace(late=False))
        for key in keys:
            cell = self._cells.replace(key, old, new)
            if cell.closed and not key.late:
                self.counters.after_close += 1
            if offsets is not None:
                cell.cover(*offsets)

    # -- time ---------------------------------------------------------------------------------------------------------------------------------

    def _close(self, said: Said) -> None:
        features, idle = self._clock.watermark(FEATURE_SOURCES)
        outcomes, idle_too = self._clock.watermark(OUTCOME_SOURCES)
        features, outcomes = max(features, self._marks.features), max(outcomes, self._marks.outcomes)
        if (features, outcomes) == (self._marks.features, self._marks.outcomes):
            return
        self._marks = Marks(
            features, outcomes, idle or idle_too, self._clock.positions(), self._clock.newest(), labels_idle=self._clock.idle(JOIN_LABELS)
        )
        for model in sorted(self._cells.models()):
            self._monitor(model).advance(self._marks, said)

    def _monitor(self, model: str) -> ModelMonitor:
        monitor = self._monitors.get(model)
        if monitor is None:
            state = self._states.setdefault(model, ModelState())
            monitor = self._monitors[model] = ModelMonitor(model, self._settings.model(model), self._book, self._cells, state)
        return monitor

    def _purge(self, said: Said) -> None:
        """Let go of panes that are older than the retention, once in a while: when a window has closed."""
        if not said.findings:
            return
        horizon = self._marks.features - parse_duration(self._settings.retention.panes)
        for key in panes.older_than(self._engine, list(self._monitors), horizon):
            self._cells.drop(key)

    # -- SQL ----------------------------------------------------------------------------------------------------------------------------------

    def _commit(self, expected: int | None, said: Said, touched: _Touched, undecodable: list[OutboxRow]) -> None:
        dropped = [key for key in self._blocks if key.start < self._clock.floor(key.partition)]
        for key in dropped:
            del self._blocks[key]
            self._parts.pop(key, None)
            touched.blocks.pop(key, None)
        states = {model: raw for model, state in self._states.items() if (raw := encode_state(state)) != self._stored.get(model)}
        change = DetectChange(
            q=self._q,
            expected_next=expected,
            next_offset=self.next_offset or 0,
            watermark=self._marks.features,
            sources=touched.latest(),
            applied=list(touched.applied.values()),
            blocks=list(touched.blocks.values()),
            panes=self._cells.rows(),
            model_states=states,
            dropped_blocks=dropped,
            dropped_panes=sorted(self._cells.dropped),
            findings=said.findings,
            alerts=said.alerts,
            decisions=said.decisions,
            triggers=said.triggers,
            closings=said.closings,
            outbox=[*self._published(said), *undecodable],
        )
        with writing(self._engine) as connection:
            detection.commit(connection, change)
            for reference, rows in said.references:
                references.put(connection, reference, rows)
        self._stored.update(states)
        self._cells.committed(self._worth_keeping)

    def _published(self, said: Said) -> list[OutboxRow]:
        messages = [
            *((PANE_CLOSINGS, m.model, m) for m in said.closings),
            *((DRIFT_FINDINGS, m.model, m) for m in said.findings),
            *((ALERTS, m.model, m) for m in said.alerts),
            *((RETRAIN_TRIGGERS, m.model, m) for m in said.triggers),
        ]
        return [OutboxRow(owner=self.owner, topic=topic.name, key=model.encode(), value=encode_json(m)) for topic, model, m in messages]

    def _refresh(self) -> None:
        """Take in references stored since the last look: they are stored before anybody can send a summary made with them."""
        if references.newest_sequence(self._engine) > self._seen_references:
            for sequence, reference in references.since(self._engine, self._seen_references):
                self._book.add([reference])
                self._seen_references = sequence

    def _fetch(self, keys: Iterable[PaneKey]) -> list[panes.PaneRow]:
        return panes.fetch(self._engine, keys)

    def _fetch_range(  # noqa: PLR0917 - the fields of a key, in the order of a key
        self, model: str, reference_id: str, kind: PaneKind, width: int, since: int, until: int
    ) -> list[panes.PaneRow]:
        return panes.stretch(self._engine, model, reference_id=reference_id, kind=kind, width=width, since=since, until=until)

    def _sample_rows(self, key: PaneKey) -> int:
        """Return how many rows a cell keeps: enough to learn from while there is no reference, enough for a report in a window."""
        settings = self._settings.model(key.model)
        if key.reference_id == LEARNING:
            return settings.learning_rows
        return settings.sample_rows_per_pane if key.width == parse_duration(settings.pane) else _WINDOW_SAMPLE * settings.sample_rows_per_pane

    @staticmethod
    def _worth_keeping(_: PaneKey, cell: Cell) -> bool:
        return not cell.closed


class _Touched:
    """What has to be written besides the cells."""

    def __init__(self) -> None:
        self.sources: list[Progress] = []
        self.blocks: dict[BlockKey, BlockRow] = {}
        self.applied: dict[tuple[str, str, int], Applied] = {}

    def latest(self) -> list[Progress]:
        """Return the last word of each source partition."""
        return list({(p.source, p.partition): p for p in self.sources}.values())


#: A window keeps so many times the sample of a pane.
_WINDOW_SAMPLE = 16

_parts = msgspec.msgpack.Decoder(list[PanePart])
_parts_encoder = msgspec.msgpack.Encoder()


def _name(part: PanePart) -> tuple[str, str, int, bool]:
    return (part.reference_id, part.kind, part.start, part.late)
