"""The finding of a window: everything that its cells, the reference and the track say about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from driftline.contracts.findings import Change, ColumnFinding, Finding, Performance, State
from driftline.contracts.ids import stable_id
from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings, budget_hours, config_hash
from driftline.contracts.times import parse_duration
from driftline.detectors.pane import Pane
from driftline.detectors.performance import performance_of
from driftline.detectors.quality import quality_words, value_counts
from driftline.detectors.weakest import weakest_slices
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.causes import column_notes, discreet_findings, discreet_label
from driftline.streams.detect.cells import Cell, merged, ranges_of, spans_of
from driftline.streams.detect.evidence_book import EvidenceBook
from driftline.streams.detect.judged import JudgedColumns
from driftline.streams.detect.state import Track
from driftline.streams.detect.wording import changes_sentence, finding_sentence, multivariate_sentence, version_of


class Digest:
    """Makes findings of one model."""

    def __init__(self, model: str, settings: ModelSettings, evidence: EvidenceBook) -> None:
        self._model = model
        self._evidence = evidence
        self._lateness = parse_duration(settings.allowed_lateness)
        self._budget = budget_hours(settings)
        self._hash = config_hash(settings)
        self._limits = settings.quality
        self._pii = settings.pii
        self._judged = JudgedColumns()

    def finding(
        self,
        key: PaneKey,
        revision: int,
        cells: Sequence[Cell],
        outcomes: Sequence[Cell],
        before: Sequence[Cell] = (),
        *,
        reference: Reference | None,
        track: Track | None,
    ) -> Finding:
        """Return the finding of the window ``key``: of its cells (late rows have one of their own), of its outcomes once they are ripe, and of the
        cells of the window ``before`` it.
        """
        pane = merged(cells, cells[0].layout)
        columns: tuple[ColumnFinding, ...] = ()
        performance: Performance | None = None
        state: State = "learning"
        if reference is not None:
            decider, spans = self._evidence.decider(reference), spans_of([(key, cells[0])])
            columns = self._judged.of(key, reference, decider, pane, spans=spans, before=merged(before, before[0].layout) if before else None)
            noted = track.units.get(key.start, {}) if track is not None and not key.slid else {}
            units = {name: note for note, names in noted.items() for name in names}
            columns = column_notes(columns, pane, self._pii, units)
            columns = discreet_findings(columns, reference, self._pii)
            state = _state_of([c.state for c in columns])
            performance = _performance(merged(outcomes, outcomes[0].layout), reference, self._pii) if outcomes else None
        changes = _changes(track, key) if track is not None else ()
        joint = track.multivariate.get(key.start) if track is not None and not key.slid else None
        if track is not None and track.open_at(key.end + self._lateness):
            state = "drift"
        quality = {**pane.quality, **value_counts(pane.layout, pane.counts)}
        words = quality_words(pane.n, pane.late, quality, self._limits)
        return Finding(
            finding_id=stable_id("finding", self._model, key.reference_id, key.start, key.width if key.slid else key.length),
            revision=revision,
            model=self._model,
            version=version_of(reference, pane.versions),
            reference_id=key.reference_id,
            state=state,
            window_start=key.start,
            window_end=key.end,
            n=pane.n,
            late=pane.late,
            columns=columns,
            performance=performance,
            quality=quality,
            evidence=_evidence(track, key),
            budget=self._budget,
            sentence=finding_sentence(self._model, state, (key.start, key.end), pane.n, columns=columns, performance=performance, quality=words)
            + changes_sentence(changes)
            + multivariate_sentence(joint),
            offsets=ranges_of(cells),
            config_hash=self._hash,
            changes=changes,
            multivariate=joint,
        )


def _evidence(track: Track | None, key: PaneKey) -> float:
    if track is None:
        return 0.0
    return track.slid.get(key.end, 0.0) if key.slid else track.closes.get(key.start, 0.0)


def _changes(track: Track, key: PaneKey) -> tuple[Change, ...]:
    """Return what sequential detectors saw inside a window, of either kind of pane, in one order whichever came first."""
    inside = [change for change in track.changes if key.start <= change.at < key.end]
    return tuple(sorted(inside, key=lambda change: (change.at, change.column, change.detector, change.series)))


def _performance(outcomes: Pane, reference: Reference, pii: Mapping[str, str]) -> Performance | None:
    if not outcomes.n:
        return None
    told = performance_of(reference.task, outcomes.layout, outcomes, reference)
    found = weakest_slices(reference.task, outcomes.layout, outcomes) if outcomes.layout.slicers else []
    weakest = tuple(replace(slice_, where=discreet_label(where, pii)) for where, slice_ in found)
    return replace(told, weakest=weakest) if weakest else told


def _state_of(states: Sequence[State]) -> State:
    """Return a window's state when no episode is open: the best that any column reaches, for `ok` needs only one that can be judged."""
    if "ok" in states or "drift" in states:
        return "ok"
    return "uncalibrated" if "uncalibrated" in states else "insufficient_data"
