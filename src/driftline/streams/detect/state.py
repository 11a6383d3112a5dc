"""What detect remembers of a model between panes; stored with the offsets that it contains."""

from __future__ import annotations

import msgspec

from driftline.alerts.episodes import Episode
from driftline.alerts.policy import PolicyState
from driftline.contracts.summaries import PaneKind

#: Ended episodes kept beside an open one, so that the policy can look at a moment a little way back.
_REMEMBERED = 8
#: Windows whose evidence is remembered: outcomes publish a window again once they are ripe.
_WINDOWS = 64


class Track(msgspec.Struct, kw_only=True):
    """One reference of a model: the decider's state and the episodes, for each kind of pane.

    The two kinds run on clocks of their own and their evidence is never added up, so that each can be recomputed from its own panes.
    """

    reference_id: str
    effective_from: int
    evidence: dict[PaneKind, bytes] = {}
    episodes: dict[PaneKind, Episode] = {}
    past: list[Episode] = []
    #: Start of the first pane closed, and the end of the last one, by kind.
    began: int = 0
    last_end: dict[PaneKind, int] = {}
    #: The evidence at the close of the latest windows, by start: a window that is published again keeps the evidence of its close.
    closes: dict[int, float] = {}

    def note_close(self, start: int, evidence: float) -> None:
        """Remember the evidence at the close of a window."""
        self.closes = dict(sorted({**self.closes, start: evidence}.items())[-_WINDOWS:])

    def end(self, episode: Episode) -> None:
        """Move an ended episode to the past."""
        self.episodes.pop(episode.kind, None)
        self.evidence.pop(episode.kind, None)
        self.past = [*self.past, episode][-_REMEMBERED:]

    def open_at(self, moment: int) -> list[Episode]:
        """Return the episodes that were open at a moment of event time."""
        everything = [*self.past, *self.episodes.values()]
        return [e for e in everything if e.opened_at <= moment and (e.ended_at is None or e.ended_at > moment)]


class ModelState(msgspec.Struct, kw_only=True):
    """All of a model's tracks, and its policy's memory."""

    tracks: dict[str, Track] = {}
    policy: PolicyState = PolicyState()
    learning_rows: int = 0


def encode_state(state: ModelState) -> bytes:
    """Return the bytes that the store keeps."""
    return msgspec.msgpack.encode(state)


def decode_state(raw: bytes) -> ModelState:
    """Return the state that the store kept."""
    return msgspec.msgpack.decode(raw, type=ModelState)
