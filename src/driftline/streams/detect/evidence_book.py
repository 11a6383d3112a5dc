"""The evidence that each decider of a model has gathered."""

from __future__ import annotations

from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import HOUR_MS, MINUTE_MS, parse_duration
from driftline.detectors.decider import Decider, Verdict
from driftline.detectors.evidence import DeciderState
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cell, Cells
from driftline.streams.detect.relations import Relations
from driftline.streams.detect.said import Turn
from driftline.streams.detect.state import Track

#: Evidence is large and every pane changes all of it: it is stored when event time passes a multiple of this, and made again from the panes since.
_STORED_EVERY = MINUTE_MS


class EvidenceBook:
    """States decoded once, and encoded into the track every minute of event time."""

    def __init__(self, model: str, settings: ModelSettings, cells: Cells, relations: Relations) -> None:
        self._model = model
        self._relations = relations
        self._cells = cells
        self._pane = parse_duration(settings.pane)
        self._states: dict[tuple[str, PaneKind], DeciderState] = {}

    def decider(self, reference: Reference) -> Decider:
        """Return the decider of a reference."""
        return self._relations.whole(reference).decider

    def take(self, turn: Turn, cell: Cell) -> Verdict:
        """Let the decider take a closed pane, and return where the evidence stands. The track's ``last_end`` is that of the panes before."""
        key, track = turn.key, turn.track
        before = self._state(track, turn.reference, key.kind)
        after = self._states[key.reference_id, key.kind] = self._stepped(turn.reference, before, key, cell)
        end, last, stored = key.start + key.width, track.last_end.get(key.kind, 0), track.evidence_until.get(key.kind)
        # A pane out of its order can't be taken in it again.
        if stored is None or end // _STORED_EVERY != stored // _STORED_EVERY or key.start < last:
            _store(track, key.kind, after, max(end, last))
        return self._relations.whole(turn.reference).verdict(after)

    def verdict(self, track: Track, reference: Reference, kind: PaneKind) -> Verdict:
        """Return where the evidence stands."""
        return self._relations.whole(reference).verdict(self._state(track, reference, kind))

    def verdict_of_silence(self, track: Track, reference: Reference, now: int) -> Verdict:
        """Return where the evidence would stand if nothing came up to ``now``."""
        decider = self.decider(reference)
        return decider.verdict(decider.quiet_until(self._state(track, reference, "features"), now))

    def settle(self, track: Track, reference: Reference, kind: PaneKind) -> None:
        """Store the evidence as it stands: a pane that it came from is about to change."""
        _store(track, kind, self._state(track, reference, kind), track.last_end.get(kind, 0))

    def forget(self, track: Track, kind: PaneKind) -> None:
        """Begin anew: an episode has ended."""
        self._states.pop((track.reference_id, kind), None)
        track.evidence.pop(kind, None)
        track.evidence_until[kind] = track.last_end.get(kind, 0)

    def _state(self, track: Track, reference: Reference, kind: PaneKind) -> DeciderState:
        key = (track.reference_id, kind)
        if key not in self._states:
            self._states[key] = self._made_again(track, reference, kind)
        return self._states[key]

    def _made_again(self, track: Track, reference: Reference, kind: PaneKind) -> DeciderState:
        decider = self.decider(reference)
        raw, last = track.evidence.get(kind), track.last_end.get(kind, 0)
        try:
            state = decider.decode(raw) if raw is not None else decider.start()
        except ValueError:
            # Made under another tolerance or budget: evidence for another question counts for nothing here.
            return decider.start()
        stored = track.evidence_until.get(kind, last)
        if stored < last:
            for key, cell in self._cells.range(self._model, track.reference_id, kind, self._pane, stored, last):
                if cell.closed:
                    state = self._stepped(reference, state, key, cell)
        return state

    def _stepped(self, reference: Reference, before: DeciderState, key: PaneKey, cell: Cell) -> DeciderState:
        after = self.decider(reference).step(before, key.kind, cell.pane.counts, key.start + key.width, key.width / HOUR_MS, cell.pane.n)
        return self._relations.take(reference, after, key, cell)


def _store(track: Track, kind: PaneKind, state: DeciderState, until: int) -> None:
    track.evidence[kind] = state.encode()
    track.evidence_until[kind] = until
