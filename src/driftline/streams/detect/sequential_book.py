"""The sequential detectors that a model's user named: they take closed panes once, in order, beside the decider.

Their states are stored like the decider's evidence: when event time passes a minute, and made again from the panes since.
"""

from __future__ import annotations

from typing import NamedTuple

from driftline.contracts.findings import Change
from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import MINUTE_MS, parse_duration
from driftline.detectors.sequential.detector import NamedDetector
from driftline.detectors.sequential.watches import Watch, asked_for, watches_of
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cell, Cells
from driftline.streams.detect.said import Turn
from driftline.streams.detect.state import Track

_STORED_EVERY = MINUTE_MS

Detectors = list[tuple[Watch, NamedDetector]]


class Seen(NamedTuple):
    """The watches that saw a change in a pane, and what is told of them."""

    watches: tuple[Watch, ...]
    changes: tuple[Change, ...]

    @property
    def deciding(self) -> tuple[Watch, ...]:
        """Return those that open episodes by themselves."""
        return tuple(watch for watch in self.watches if watch.settings.role == "decide")


NOTHING = Seen((), ())


class SequentialBook:
    """Watches made once for each reference; states decoded once."""

    def __init__(self, model: str, settings: ModelSettings, cells: Cells) -> None:
        self._model = model
        self._cells = cells
        self._pane = parse_duration(settings.pane)
        self._asked = asked_for(settings.detectors, settings.deciders)
        self._watches: dict[tuple[str, PaneKind], list[Watch]] = {}
        self._states: dict[tuple[str, PaneKind], Detectors] = {}

    def take(self, turn: Turn, cell: Cell, since: int) -> Seen:
        """Let the detectors take a closed pane, and forget what was seen before ``since``. The track's ``last_end`` is that of the panes before."""
        key, track = turn.key, turn.track
        if not self._watched(turn.reference, key.kind):
            return NOTHING
        detectors = self._detectors(track, turn.reference, key.kind)
        flagged = _stepped(detectors, key, cell)
        changes = tuple(dict.fromkeys(watch.change(key.start) for watch in flagged))
        track.note_changes(changes, since)
        last, stored = track.last_end.get(key.kind, 0), track.sequential_until.get(key.kind)
        if stored is None or key.end // _STORED_EVERY != stored // _STORED_EVERY or key.start < last:
            _store(track, key.kind, detectors, max(key.end, last))
        return Seen(tuple(flagged), changes)

    def settle(self, track: Track, reference: Reference, kind: PaneKind) -> None:
        """Store the states as they stand: a pane that they came from is about to change."""
        if self._watched(reference, kind):
            _store(track, kind, self._detectors(track, reference, kind), track.last_end.get(kind, 0))

    def _watched(self, reference: Reference, kind: PaneKind) -> list[Watch]:
        if not self._asked:
            return []
        key = (reference.reference_id, kind)
        if key not in self._watches:
            self._watches[key] = [watch for watch in watches_of(reference, self._asked) if watch.kind == kind]
        return self._watches[key]

    def _detectors(self, track: Track, reference: Reference, kind: PaneKind) -> Detectors:
        key = (track.reference_id, kind)
        if key not in self._states:
            stored = track.sequential.get(kind, {})
            made = [(watch, watch.restored(stored.get(watch.key))) for watch in self._watched(reference, kind)]
            until, last = track.sequential_until.get(kind), track.last_end.get(kind, 0)
            if until is not None and until < last:
                for pane, cell in self._cells.range(self._model, track.reference_id, kind, self._pane, until, last):
                    if cell.closed:
                        _stepped(made, pane, cell)
            self._states[key] = made
        return self._states[key]


def _stepped(detectors: Detectors, key: PaneKey, cell: Cell) -> list[Watch]:
    """Feed a pane to all detectors and return the watches that saw a change in it."""
    read: dict[tuple[str, str], list[float]] = {}
    flagged = []
    for watch, detector in detectors:
        series = (watch.column, watch.series)
        if series not in read:
            read[series] = watch.read(cell.pane, cell.layout, f"{key.model}/{key.reference_id}/{key.start}")
        raised = False
        for value in read[series]:
            detector.update(value)
            raised = raised or detector.drift_detected
        if raised:
            flagged.append(watch)
    return flagged


def _store(track: Track, kind: PaneKind, detectors: Detectors, until: int) -> None:
    track.sequential[kind] = {watch.key: detector.encode() for watch, detector in detectors}
    track.sequential_until[kind] = until
