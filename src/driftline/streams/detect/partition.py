"""One summaries partition: messages in, one transaction out.

The image in memory runs ahead of SQL by a checkpoint interval at the most, and is valid only while the offset from which it began is the one in SQL.
The commit swaps it by comparison, so that an owner who slept through a rebalance is refused and starts again from what is stored.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from sqlalchemy import Engine

from driftline.contracts.errors import DecodeError
from driftline.contracts.findings import encode_json
from driftline.contracts.settings import Settings
from driftline.contracts.summaries import (
    LEARNING,
    BlockSummary,
    OutcomeDelta,
    PaneKind,
    PanePart,
    SampleRow,
    SummaryMessage,
    decode_summary,
)
from driftline.contracts.times import SECOND_MS, parse_duration
from driftline.contracts.topics import ALERTS, DRIFT_FINDINGS, PANE_CLOSINGS, RETRAIN_TRIGGERS
from driftline.health.samples import Samples
from driftline.store import detection, panes, references
from driftline.store.detect_rows import Applied, BlockKey, DetectChange, PaneKey
from driftline.store.outbox import OutboxRow
from driftline.store.retention import Kept, purge_some
from driftline.store.transactions import writing
from driftline.streams.dead_letters import letter_row
from driftline.streams.detect.cells import Cell, Cells
from driftline.streams.detect.clock import FEATURE_SOURCES, JOIN_LABELS, OUTCOME_SOURCES, PREDICTION_SOURCES, SUMMARISE, SourceClock
from driftline.streams.detect.monitor import ModelMonitor
from driftline.streams.detect.pending import Counters, Pending
from driftline.streams.detect.refusal import refuse_other_settings
from driftline.streams.detect.revisions import Revisions, Verdict
from driftline.streams.detect.said import Marks, Said
from driftline.streams.detect.showing import show_episodes, show_marks, show_models
from driftline.streams.detect.silence import ticked
from driftline.streams.detect.state import ModelState, decode_state, encode_state
from driftline.streams.reading import Record, Rejected
from driftline.streams.references import ReferenceBook


class DetectPartition:
    """The state of one summaries partition, and how messages change it. Everything here runs in the thread that owns SQL."""

    def __init__(self, engine: Engine, settings: Settings, q: int) -> None:
        self._engine = engine
        self._settings = settings
        self._q = q
        self._book = ReferenceBook()
        self._seen_references = 0
        self._looked = False
        self._refresh()
        image = detection.load(engine, q)
        #: What comes next for the memory, and for SQL, which may be a checkpoint interval behind.
        self.next_offset = self.stored = image.next_offset
        self._interval_s = parse_duration(settings.worker.checkpoint_interval) / SECOND_MS
        self._saved_at = time.monotonic()
        self._clock = SourceClock(image.sources)
        #: How far each partition that the join reads has been applied, by model.
        self._applied: dict[str, dict[tuple[str, int], int]] = {}
        for a in image.applied:
            self._applied.setdefault(a.model, {})[a.source, a.partition] = a.sequence
        self._blocks = Revisions(image.blocks)
        #: How far the blocks of each model and partition reach.
        self._nexts = {(b.model, b.partition): b.next for b in sorted(image.blocks, key=lambda b: b.next)}
        self._cells = Cells(self._fetch, self._fetch_range, self._book.get, self._sample_rows, partial(panes.counted, engine))
        self._cells.load(image.panes)
        self._states = {model: decode_state(raw) for model, raw in image.model_states.items()}
        self._stored = dict(image.model_states)
        self._monitors: dict[str, ModelMonitor] = {}
        self._folding: set[str] = set()
        # Not less than before a restart: an idle partition that has come back must not take time back.
        outcomes, _ = self._clock.watermark(OUTCOME_SOURCES)
        self._marks = Marks(image.watermark, outcomes, by_idle=False, positions={}, newest=0)
        refuse_other_settings(settings, image)
        self.counters = Counters()
        self._pending = Pending()
        self._models_in_turn: list[str] = []

    @property
    def owner(self) -> str:
        """Return the name under which findings wait to be published."""
        return f"detect:{self._q}"

    def show(self, samples: Samples) -> None:
        """Put what is known into the samples; called from another thread."""
        show_marks(samples, self._marks)
        show_episodes(samples, self._states.copy())
        show_models(samples, list(self._monitors.values()))

    def apply(self, records: Sequence[Record]) -> bool:
        """Take records in, and commit what follows from them if it is time to; say whether it was. Raises StaleState for a zombie.

        It is time when something has to be said, or when the last commit is a checkpoint interval or very many records ago: until then only the
        memory runs ahead, and a successor goes on from what SQL has.
        """
        fresh = [r for r in records if r.offset >= (self.next_offset or 0)]
        self._looked = False
        read = [(record, self._decoded(record)) for record in fresh]
        self._foresee(message for _, message in read)
        for record, message in read:
            self.next_offset = record.offset + 1
            if message is not None:
                self._take_in(message)
        self._pending.records += len(fresh)
        if self._pending.said.anything() or self._pending.records >= _PENDING_MOST or time.monotonic() - self._saved_at >= self._interval_s:
            return self.checkpoint()
        return False

    def checkpoint(self) -> bool:
        """Commit what SQL does not have yet; False when it has everything. Raises StaleState for a zombie."""
        if self.next_offset == self.stored:
            return False
        changed: dict[str, list[PaneKey]] = {}
        for key in self._cells.changed:
            changed.setdefault(key.model, []).append(key)
        for model in sorted(changed):
            self._monitor(model).revise(changed[model], self._pending.said)
        self._commit(self.stored, self._pending, self._purge(self._pending.said))
        self.stored = self.next_offset
        self._saved_at = time.monotonic()
        self._pending = Pending()
        return True

    def _decoded(self, record: Record) -> SummaryMessage | None:
        try:
            return decode_summary(record.value)
        except DecodeError as error:
            self.counters.undecodable += 1
            self._pending.undecodable.append(letter_row(self.owner, Rejected(record, error), "detect", self._settings.limits))
            return None

    def _foresee(self, messages: Iterable[SummaryMessage | None]) -> None:
        """Bring the cells that messages will change in one query: each by itself takes longer than all that is done with it."""
        keys: list[PaneKey] = []
        for message in messages:
            if not isinstance(message, BlockSummary | OutcomeDelta) or (monitor := self._monitors.get(message.model)) is None:
                continue
            for part in self._news(message):
                if part.reference_id == LEARNING or self._book.get(message.model, part.reference_id) is not None:
                    pane = PaneKey(message.model, part.reference_id, part.kind, monitor.pane, part.start, part.late)
                    keys += (pane, *monitor.windows.holding(pane))
        self._cells.ensure(keys)

    def _news(self, message: BlockSummary | OutcomeDelta) -> Iterable[PanePart]:
        """Return the parts that will change a pane: a revision says most of the former one again, of panes that have long closed."""
        if isinstance(message, OutcomeDelta):
            return message.panes
        return (part for old, new in self._blocks.changes(message) if (part := new if new is not None else old) is not None)

    def _take_in(self, message: SummaryMessage) -> None:
        if isinstance(message, BlockSummary):
            self._look()
            self._revise(message, self._pending)
        elif isinstance(message, OutcomeDelta):
            self._look()
            self._take(message, self._pending)
        else:
            self._pending.sources.append(self._clock.advance(message))
            self._close(self._pending.said)

    def let_go(self) -> int:
        """Delete a few things that were said longer ago than the retention, of one model after the other; return how many."""
        if not self._models_in_turn:
            self._models_in_turn = sorted(self._states)
            return 0
        if self._marks.features == 0:
            return 0
        kept = self._settings.retention
        spans: dict[Kept, str] = {"findings": kept.findings, "decisions": kept.findings, "closings": kept.closings, "alerts": kept.alerts}
        before = {kind: self._marks.features - parse_duration(span) for kind, span in spans.items()}
        gone = purge_some(self._engine, self._models_in_turn[-1], before)
        if not gone:
            self._models_in_turn.pop()
        return gone

    # -- messages -----------------------------------------------------------------------------------------------------------------------------

    def _revise(self, block: BlockSummary, touched: Pending) -> None:
        verdict = self._blocks.judge(block, self._clock.floor(block.partition))
        if verdict is not Verdict.NEW:
            if verdict is Verdict.SUPERSEDED:
                self.counters.superseded += 1
            else:
                self.counters.repeated += 1
            return
        for old, new in self._blocks.changes(block):
            self._replace(block.model, old, new, self._offsets(block))
        self.counters.applied += 1
        touched.blocks[BlockKey(block.model, block.partition, block.start)] = self._blocks.put(block)
        self._nexts[block.model, block.partition] = max(block.next, self._nexts.get((block.model, block.partition), 0))

    def _offsets(self, block: BlockSummary) -> tuple[int, int, int]:
        """Return the offsets that a finding names for a block: whole aligned blocks, whatever part was read, or will be, when the finding is made."""
        size = self._settings.worker.block_size
        return (block.partition, block.start // size * size, -(-block.next // size) * size)

    def _take(self, delta: OutcomeDelta, touched: Pending) -> None:
        applied, source = self._applied.setdefault(delta.model, {}), (delta.source, delta.partition)
        if delta.sequence <= applied.get(source, -1):
            self.counters.repeated += 1
            return
        applied[source] = delta.sequence
        touched.applied[delta.model, *source] = Applied(model=delta.model, source=delta.source, partition=delta.partition, sequence=delta.sequence)
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
        monitor = self._monitor(model)
        pane = PaneKey(model, part.reference_id, part.kind, monitor.pane, part.start, part.late)
        windows = monitor.windows.holding(pane)
        if monitor.windows.forgotten(pane):
            self.counters.forgotten += 1
            return
        if not part.late and monitor.overtaken(pane):
            pane = pane._replace(late=True)
            windows = monitor.windows.holding(pane)
            self.counters.overtaken += 1
        if pane.late:
            # What is late is kept apart: whether it came before a close was chance, so nothing may be decided from it. Its window is told of all the
            # same.
            for window in windows:
                self._cells.ensure_open(window._replace(late=False))
        for key in windows if monitor.windows.folded(pane) else (pane, *windows):
            known = self._cells.get(key)
            if known is not None and monitor.early(key, known, self._marks):
                known.closed = False
            elif known is not None and known.closed and not key.late:
                self.counters.after_close += 1
                if key is pane:
                    monitor.settle(key)
                    self._pending.settled.add(model)
            cell = self._cells.replace(key, old, new)
            if offsets is not None:
                cell.cover(*offsets)

    # -- time ---------------------------------------------------------------------------------------------------------------------------------

    def _close(self, said: Said) -> None:
        features, idle = self._clock.watermark(FEATURE_SOURCES)
        outcomes, idle_too = self._clock.watermark(OUTCOME_SOURCES)
        predictions, _ = self._clock.watermark(PREDICTION_SOURCES)
        before = self._marks
        marks = self._marks = Marks(
            features=max(features, before.features),
            outcomes=max(outcomes, before.outcomes),
            by_idle=idle or idle_too,
            positions=self._clock.positions(),
            newest=self._clock.newest(),
            predictions=max(predictions, before.predictions),
            labels_idle=self._clock.idle(JOIN_LABELS),
            passed=max(features, before.features, self._clock.passed(SUMMARISE), before.passed),
        )
        if (marks.moments, marks.passed) != (before.moments, before.passed):
            self._look()
        if marks.moments != before.moments:
            joined = {f"{topic}/{p}": at for topic in _JOINED for p, at in self._clock.positions(f"join/{topic}").items()}
            for model in sorted(self._cells.models()):
                self._monitor(model).advance(marks._replace(positions=self._read_of(model), joined=self._joined_of(model, joined)), said)
        if ticked(marks.passed) != ticked(before.passed):
            for model in sorted(self._states):
                self._monitor(model).look_for_silence(ticked(marks.passed), said)

    def _read_of(self, model: str) -> dict[str, int]:
        """Return how far each source partition's blocks of a model are in: a block may be here before the progress that follows it."""
        read = dict(self._marks.positions)
        for partition in self._clock.partitions():
            beyond = self._nexts.get((model, partition), 0)
            if beyond > read.get(str(partition), 0):
                read[str(partition)] = beyond
        return read

    def _joined_of(self, model: str, joined: Mapping[str, int]) -> dict[str, int]:
        """Return how far the join's partitions are in: as told, or as a delta of this model says that may be here before that is told."""
        told = dict(joined)
        for (source, partition), sequence in self._applied.get(model, {}).items():
            name = f"{source}/{partition}"
            told[name] = max(sequence, told.get(name, 0))
        return told

    def _monitor(self, model: str) -> ModelMonitor:
        monitor = self._monitors.get(model)
        if monitor is None:
            state = self._states.setdefault(model, ModelState())
            monitor = self._monitors[model] = ModelMonitor(model, self._settings.model(model), self._book, self._cells, state, self._samples)
        return monitor

    def _purge(self, said: Said) -> set[str]:
        """Let go of panes that stand in their windows, and of windows older than the retention: when a window has closed, a few at a time."""
        self._folding.update(finding.model for finding in said.findings)
        room, done = _FOLDED_MOST, set()
        for model in sorted(self._folding):
            monitor, settings = self._monitor(model), self._settings.model(model)
            monitor.fold(self._marks, parse_duration(self._settings.retention.panes))
            state, width = monitor.state, parse_duration(settings.pane)
            gone = panes.foldable(self._engine, model, width, monitor.windows.limits(), forgotten=state.forgotten, limit=room)
            for key in gone:
                self._cells.drop(key)
            room -= len(gone)
            if room <= 0:
                break
            done.add(model)
        self._folding -= done
        return done

    # -- SQL ----------------------------------------------------------------------------------------------------------------------------------

    def _commit(self, expected: int | None, touched: Pending, folded: set[str]) -> None:
        said = touched.said
        dropped = self._blocks.drop_below(self._clock.floors())
        for key in dropped:
            touched.blocks.pop(key, None)
        # Nothing else changes a state: a closing, or the finding of a window, and what is folded then.
        spoken = {m.model for m in said.closings} | {m.model for m in said.findings} | {m.model for m in said.alerts}
        moved = spoken | self._folding | folded | touched.settled
        states = {m: raw for m in sorted(moved) if m in self._states and (raw := encode_state(self._states[m])) != self._stored.get(m)}
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
            outbox=[*self._published(said), *touched.undecodable],
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

    def _look(self) -> None:
        """Refresh once for the records that were handed over together: most of them are often progress from which nothing follows."""
        if not self._looked:
            self._looked = True
            self._refresh()

    def _refresh(self) -> None:
        """Take in references stored since the last look: they are stored before anybody can send a summary made with them."""
        if references.newest_sequence(self._engine) > self._seen_references:
            for sequence, reference in references.since(self._engine, self._seen_references):
                self._book.add([reference])
                self._seen_references = sequence

    def _fetch(self, keys: Iterable[PaneKey]) -> list[panes.PaneRow]:
        return panes.fetch(self._engine, keys)

    def _fetch_range(  # noqa: PLR0917 - the fields of a key, in the order of a key
        self, model: str, reference_id: str, kind: PaneKind, width: int, since: int, until: int, *, late: bool = False
    ) -> list[panes.PaneRow]:
        return panes.stretch(self._engine, model, reference_id=reference_id, kind=kind, width=width, since=since, until=until, late=late)

    def _samples(self, reference_id: str) -> list[SampleRow]:
        return references.sample_rows(self._engine, reference_id)

    def _sample_rows(self, key: PaneKey) -> int:
        """Return how many rows a cell keeps: a pane enough to learn from while there is no reference; a window none, it is written too often."""
        settings = self._settings.model(key.model)
        if key.width != parse_duration(settings.pane):
            return 0
        return settings.learning_rows if key.reference_id == LEARNING else settings.sample_rows_per_pane

    @staticmethod
    def _worth_keeping(_: PaneKey, cell: Cell) -> bool:
        return not cell.closed


_JOINED = ("inference-events", "label-events")
#: Records after which a checkpoint is made, however little time has passed: the memory has an end.
_PENDING_MOST = 20_000
#: Panes that one transaction lets go of.
_FOLDED_MOST = 2_000
