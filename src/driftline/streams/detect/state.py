"""What detect remembers of a model between panes; stored with the offsets that it contains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from driftline.alerts.episodes import Episode
from driftline.alerts.policy import PolicyState
from driftline.contracts.findings import Change, Multivariate
from driftline.contracts.summaries import PaneKind

T = TypeVar("T")

#: Ended episodes and evidence of closed windows are remembered at least for so many windows, and as long as outcomes may still come: the policy looks
#: back at the moment when outcomes are ripe, and a window is published again then.
REMEMBERED_WINDOWS = 64
#: Never more of either than this.
_MOST_EPISODES = 256
_MOST_WINDOWS = 4096
_MOST_CHANGES = 4096
_MOST_JOINT = 512


class Track(msgspec.Struct, kw_only=True):
    """One reference of a model: the decider's state and the episodes, for each kind of pane.

    The two kinds run on clocks of their own and their evidence is never added up, so that each can be recomputed from its own panes.
    """

    reference_id: str
    effective_from: int
    #: As of the panes that ended by ``evidence_until``; the evidence of later ones is made again from them.
    evidence: dict[PaneKind, bytes] = {}
    evidence_until: dict[PaneKind, int] = {}
    episodes: dict[PaneKind, Episode] = {}
    past: list[Episode] = []
    #: Start of the first pane closed, and the end of the last one, by kind.
    began: int = 0
    last_end: dict[PaneKind, int] = {}
    #: The evidence at the close of the latest windows, by start: a window that is published again keeps the evidence of its close.
    closes: dict[int, float] = {}
    #: States of the sequential detectors by kind and watch, as of the panes that ended by ``sequential_until``; and what they saw of late.
    sequential: dict[PaneKind, dict[str, bytes]] = {}
    sequential_until: dict[PaneKind, int] = {}
    changes: list[Change] = []
    #: The longest time (ms) of event time without a pane of features between two that had events.
    longest_gap: int = 0
    #: How long (ms) nothing may come at the least before that is told: longer than what was told and was none.
    patience: int = 0
    #: What the row samples of the latest windows showed at their close, by start, where that was asked for.
    multivariate: dict[int, Multivariate] = {}
    #: The evidence at the close of the latest windows that slid by events, by end: several of them may begin together, and with a whole one.
    slid: dict[int, float] = {}

    #: What was told of columns that looked like another unit in the latest windows at their close, by start, and of which.
    units: dict[int, dict[str, tuple[str, ...]]] = {}

    def note_close(self, start: int, evidence: float, since: int) -> None:
        """Remember the evidence at the close of a window, and forget windows from before ``since``."""
        self.closes = _latest({**self.closes, start: evidence}, min(since, start), _MOST_WINDOWS)

    def note_slid(self, end: int, evidence: float, since: int) -> None:
        """Remember the evidence at the close of a window that slid by events, and forget those that ended before ``since``."""
        self.slid = _latest({**self.slid, end: evidence}, min(since, end), _MOST_WINDOWS)

    def note_multivariate(self, start: int, told: Multivariate, since: int) -> None:
        """Remember what a window's row sample showed at its close, and forget windows from before ``since``."""
        self.multivariate = _latest({**self.multivariate, start: told}, min(since, start), _MOST_JOINT)

    def note_units(self, start: int, told: Mapping[str, tuple[str, ...]], since: int) -> None:
        """Remember which columns looked like another unit in a window at its close, and forget windows from before ``since``."""
        known = {**self.units, start: dict(told)} if told else self.units
        self.units = _latest(known, min(since, start), _MOST_JOINT)

    def note_changes(self, changes: Sequence[Change], since: int) -> None:
        """Remember what sequential detectors saw in a pane, and forget what they saw before ``since``."""
        if changes:
            self.changes = [*(c for c in self.changes if c.at >= since), *changes][-_MOST_CHANGES:]

    def end(self, episode: Episode, since: int) -> None:
        """Move an ended episode to the past, and forget those that ended before ``since``."""
        self.episodes.pop(episode.kind, None)
        self.evidence.pop(episode.kind, None)
        # Of what is over nobody asks which columns moved beside those it names.
        told = msgspec.structs.replace(episode, moved=())
        self.past = [*(e for e in self.past if e.ended_at is None or e.ended_at >= since), told][-_MOST_EPISODES:]

    def open_at(self, moment: int) -> list[Episode]:
        """Return the episodes that were open at a moment of event time, as they stood then: what later windows added is not there yet."""
        return [then for e in (*self.past, *self.episodes.values()) if (then := e.as_of(moment)) is not None]


def _latest(known: Mapping[int, T], since: int, most: int) -> dict[int, T]:
    return dict(sorted((moment, told) for moment, told in known.items() if moment >= since)[-most:])


class Step(NamedTuple):
    """A step that windows by count slid by: where its first pane began and its last one ended, and its events on time as its panes closed."""

    start: int
    end: int
    n: int


class Filling(msgspec.Struct, kw_only=True):
    """Where the windows by count of one reference stand. What they were cut at is logged by their cells and never moves."""

    #: The open window's first pane, the end of its last one so far, and the events on time in its closed panes; ``until`` 0: none has closed.
    start: int = 0
    until: int = 0
    n: int = 0
    #: The end of the last window that was cut, and of the last one that was forgotten.
    cut: int = 0
    forgotten: int = 0
    #: The steps of the window that slid last; the next one reaches back no further.
    steps: list[Step] = []
    #: Of the events of the open window those that stand in its steps; and the first pane since the last of these, 0: none has closed.
    stepped: int = 0
    begun: int = 0


class ModelState(msgspec.Struct, kw_only=True):
    """All of a model's tracks, and its policy's memory."""

    tracks: dict[str, Track] = {}
    policy: PolicyState = PolicyState()
    learning_rows: int = 0
    #: Before these event times panes stand in their windows only, by kind; before ``forgotten`` nothing is kept.
    folded: dict[PaneKind, int] = {}
    forgotten: int = 0
    #: By reference, where windows are cut by count.
    fillings: dict[str, Filling] = {}

    def forget(self, before: int) -> None:
        """Let go of what lies before an event time: tracks whose windows are gone, unless one is all there is or has an open episode."""
        self.forgotten = max(self.forgotten, before)
        newest = max((t.effective_from for t in self.tracks.values()), default=0)
        self.tracks = {
            name: t
            for name, t in self.tracks.items()
            if t.episodes or t.effective_from >= newest or max(t.last_end.values(), default=t.effective_from) >= self.forgotten
        }


def encode_state(state: ModelState) -> bytes:
    """Return the bytes that the store keeps."""
    return msgspec.msgpack.encode(state)


def decode_state(raw: bytes) -> ModelState:
    """Return the state that the store kept."""
    return msgspec.msgpack.decode(raw, type=ModelState)
