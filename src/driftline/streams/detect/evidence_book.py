"""The deciders of a model, and the evidence that each has gathered."""

from __future__ import annotations

from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings, budget_hours
from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import HOUR_MS
from driftline.detectors.decider import Decider, DeciderConfig, Verdict
from driftline.detectors.evidence import DeciderState
from driftline.streams.detect.cells import Cell
from driftline.streams.detect.said import Turn
from driftline.streams.detect.state import Track


class EvidenceBook:
    """Deciders built once; states decoded once, and encoded into the track with every step."""

    def __init__(self, settings: ModelSettings) -> None:
        self._config = DeciderConfig(budget_hours=budget_hours(settings), tolerance=settings.tolerance)
        self._deciders: dict[str, Decider] = {}
        self._states: dict[tuple[str, PaneKind], DeciderState] = {}

    def decider(self, reference: Reference) -> Decider:
        """Return the decider of a reference."""
        decider = self._deciders.get(reference.reference_id)
        if decider is None:
            decider = self._deciders[reference.reference_id] = Decider(reference, self._config)
        return decider

    def take(self, turn: Turn, cell: Cell) -> Verdict:
        """Let the decider take a closed pane, and return where the evidence stands."""
        key, decider = turn.key, self.decider(turn.reference)
        before = self._state(turn.track, key.kind, decider)
        after = decider.step(before, key.kind, cell.pane.counts, key.start + key.width, key.width / HOUR_MS)
        self._states[key.reference_id, key.kind] = after
        turn.track.evidence[key.kind] = after.encode()
        return decider.verdict(after)

    def verdict(self, track: Track, reference: Reference, kind: PaneKind) -> Verdict:
        """Return where the evidence stands."""
        decider = self.decider(reference)
        return decider.verdict(self._state(track, kind, decider))

    def forget(self, track: Track, kind: PaneKind) -> None:
        """Begin anew: an episode has ended."""
        self._states.pop((track.reference_id, kind), None)

    def _state(self, track: Track, kind: PaneKind, decider: Decider) -> DeciderState:
        key = (track.reference_id, kind)
        if key not in self._states:
            self._states[key] = _restored(track.evidence.get(kind), decider)
        return self._states[key]


def _restored(raw: bytes | None, decider: Decider) -> DeciderState:
    if raw is None:
        return decider.start()
    try:
        return decider.decode(raw)
    except ValueError:
        # Made under another tolerance or budget: evidence for another question counts for nothing here.
        return decider.start()
