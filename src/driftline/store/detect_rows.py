"""What `detect` keeps of one summaries partition, and what one of its transactions changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from driftline.contracts.findings import Alert, Finding, PaneClosing, RetrainDecision, RetrainTrigger
from driftline.contracts.summaries import PaneKind, Progress
from driftline.store.outbox import OutboxRow

#: Beyond the length of any window (ms; a century is less than a tenth of it): what has a width as far below zero slid by a step of events.
SLID = 1 << 48


class BlockKey(NamedTuple):
    """A block of a source partition, for one model."""

    model: str
    partition: int
    start: int


class PaneKey(NamedTuple):
    """A stretch of event time, ``width`` ms from ``start``, of one model under one reference. A window by count has its length as a negative width:
    it may be as long as a pane. One that slides by events is ``SLID`` further below zero, for it may be as long as one that does not; what is kept
    under its key is its last step alone.
    """

    model: str
    reference_id: str
    kind: PaneKind
    width: int
    start: int
    late: bool

    @property
    def end(self) -> int:
        """The event time at which it ends."""
        return self.start + self.length

    @property
    def length(self) -> int:
        """How long it is (ms)."""
        return abs(self.width) - SLID if self.slid else abs(self.width)

    @property
    def counted(self) -> bool:
        """Whether it is a whole window that was cut by count."""
        return -SLID < self.width < 0

    @property
    def slid(self) -> bool:
        """Whether it is a window that slid by a step of events."""
        return self.width <= -SLID

    def whole(self, start: int, end: int) -> PaneKey:
        """Return the key of the whole window by count from ``start`` to ``end`` that is as this key otherwise."""
        return self._replace(width=start - end, start=start)

    def sliding(self, start: int, end: int) -> PaneKey:
        """Return the key of the window from ``start`` to ``end`` that slid by a step of events."""
        return self._replace(width=start - end - SLID, start=start)


class BlockRow(msgspec.Struct, frozen=True, kw_only=True):
    """The newest revision of a block, kept so that a newer one can take its place."""

    model: str
    partition: int
    start: int
    first: int
    next: int
    final: bool
    payload: bytes


class PaneRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pane as ``detectors`` encodes it, and the offsets it was made of. ``revision`` counts its changes after its
    close.
    """

    model: str
    reference_id: str
    kind: PaneKind
    width: int
    start: int
    late: bool
    payload: bytes
    offsets: bytes
    closed: bool
    revision: int

    @property
    def key(self) -> PaneKey:
        """What it is the pane of."""
        return PaneKey(self.model, self.reference_id, self.kind, self.width, self.start, self.late)


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """Up to which sequence the outcome deltas of one source partition are in."""

    model: str
    source: str
    partition: int
    sequence: int


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """How far `detect` is in one summaries partition."""

    q: int
    next_offset: int
    watermark: int


class DetectImage(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on in one summaries partition, at one moment. ``next_offset`` None: it was never read.

    Closed panes are not here, they are as many as the retention allows: ``store.panes`` fetches those that are asked
    for.
    """

    next_offset: int | None = None
    watermark: int = 0
    sources: list[Progress] = []
    applied: list[Applied] = []
    blocks: list[BlockRow] = []
    panes: list[PaneRow] = []
    model_states: dict[str, bytes] = {}


class DetectChange(msgspec.Struct, frozen=True, kw_only=True):
    """What offsets ``expected_next`` to ``next_offset - 1`` changed. Rows dropped go first; then those given are
    inserted or replaced.
    """

    q: int
    expected_next: int | None
    next_offset: int
    watermark: int
    sources: Sequence[Progress] = ()
    applied: Sequence[Applied] = ()
    blocks: Sequence[BlockRow] = ()
    panes: Sequence[PaneRow] = ()
    model_states: Mapping[str, bytes] = {}
    dropped_blocks: Sequence[BlockKey] = ()
    dropped_panes: Sequence[PaneKey] = ()
    dropped_models: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    alerts: Sequence[Alert] = ()
    decisions: Sequence[RetrainDecision] = ()
    triggers: Sequence[RetrainTrigger] = ()
    closings: Sequence[PaneClosing] = ()
    outbox: Sequence[OutboxRow] = ()
