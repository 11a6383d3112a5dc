"""Asking the policy: what was known at the close of one window."""

from __future__ import annotations

from collections.abc import Iterable

from driftline.alerts.policy import PolicyInput
from driftline.contracts.findings import Performance
from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.times import parse_duration
from driftline.detectors.blocks import over_blocks
from driftline.detectors.performance import performance_of
from driftline.streams.detect.cells import merged
from driftline.streams.detect.said import Turn
from driftline.streams.detect.state import Track
from driftline.streams.detect.windows import Windows
from driftline.streams.detect.wording import version_of


def policy_input(model: str, settings: ModelSettings, windows: Windows, turn: Turn) -> PolicyInput:
    """Return what the policy is to judge by: the trailing windows' realised performance, and the episodes open at that moment."""
    return PolicyInput(
        model=model,
        version=version_of(turn.reference, {}),
        reference_id=turn.reference.reference_id,
        task=turn.reference.task,
        at=turn.at,
        performance=_trailing(settings, windows, turn),
        reference_performance=turn.reference.performance,
        episodes=tuple(turn.track.open_at(turn.at)),
    )


def in_force(tracks: Iterable[Track], moment: int) -> str | None:
    """Return the reference that holds at a moment: of the tracks the newest that was in force, the first before any was."""
    known = list(tracks)
    candidates = [t for t in known if t.effective_from <= moment] or known
    return max(candidates, key=lambda t: (t.effective_from, t.reference_id)).reference_id if candidates else None


def _trailing(settings: ModelSettings, windows: Windows, turn: Turn) -> Performance | None:
    recent = windows.within(turn.key, "outcomes", parse_duration(settings.policy.performance_window))
    if not recent:
        return None
    reference: Reference = turn.reference
    layout = recent[0][1].layout
    whole = performance_of(reference.task, layout, merged([cell for _, cell in recent], layout), reference)
    return over_blocks(whole, [performance_of(reference.task, layout, cell.pane, reference) for _, cell in recent])
