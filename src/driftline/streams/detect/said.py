"""What one step of detect has to say, and how far event time had come when it did. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from driftline.contracts.findings import Alert, Finding, PaneClosing, RetrainDecision, RetrainTrigger
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import PaneKind, SampleRow
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.state import Track


@dataclass
class Said:
    """What one step has to publish and to store."""

    findings: list[Finding] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    decisions: list[RetrainDecision] = field(default_factory=list)
    triggers: list[RetrainTrigger] = field(default_factory=list)
    closings: list[PaneClosing] = field(default_factory=list)
    references: list[tuple[Reference, list[SampleRow]]] = field(default_factory=list)

    def anything(self) -> bool:
        """Say whether there is anything to say."""
        return bool(self.findings or self.alerts or self.decisions or self.triggers or self.closings or self.references)


class Marks(NamedTuple):
    """How far event time has come, for either kind of pane, and what was read to say so."""

    features: int
    outcomes: int
    by_idle: bool
    positions: dict[str, int]
    newest: int
    #: How far summarise and the join of predictions have come: labels are overdue by this where their topic has been read to its end for good.
    predictions: int = 0
    labels_idle: bool = False
    #: How far event time has come, events or not; only silence is judged by it.
    passed: int = 0
    #: For each partition that the join reads, how far its outcomes of the model are in.
    joined: Mapping[str, int] = MappingProxyType({})

    @property
    def moments(self) -> tuple[int, int, int, bool]:
        """All that decides what is due."""
        return self.features, self.outcomes, self.predictions, self.labels_idle

    def of(self, kind: PaneKind) -> int:
        """Return the watermark of a kind."""
        return self.features if kind == "features" else self.outcomes


@dataclass(frozen=True)
class Turn:
    """The closing of one pane or window at its moment ``at`` of event time, under its reference."""

    key: PaneKey
    at: int
    reference: Reference
    track: Track
    said: Said
