"""What detect knows of its models, as metrics. Read in another thread than the one that changes it: whatever is read here is replaced, never changed
in place, or copied first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from driftline.contracts.findings import ColumnFinding, Finding
from driftline.contracts.summaries import PaneKind
from driftline.detectors.decider import Verdict
from driftline.health.ages import show_age
from driftline.health.samples import Samples
from driftline.streams.detect.monitor import ModelMonitor
from driftline.streams.detect.said import Marks
from driftline.streams.detect.state import ModelState

_KINDS: tuple[PaneKind, ...] = ("features", "outcomes")


def show_marks(samples: Samples, marks: Marks) -> None:
    """Show how old the event time is up to which panes are closed; partitions that are idle do not hold it back."""
    show_age(samples, "features", [marks.features])
    show_age(samples, "outcomes", [marks.outcomes])


def show_episodes(samples: Samples, states: Mapping[str, ModelState]) -> None:
    """Show how many episodes are open."""
    for model, state in states.items():
        tracks = list(state.tracks.values())
        for kind in _KINDS:
            samples.add("driftline_open_episodes", sum(kind in track.episodes for track in tracks), model, kind)


def show_models(samples: Samples, monitors: Iterable[ModelMonitor]) -> None:
    """Show the evidence at the last closed panes, and what the last window was found to be."""
    for monitor in monitors:
        samples.add("driftline_tolerance_sds", monitor.settings.tolerance, monitor.model)
        for kind, verdict in monitor.verdicts.copy().items():
            _show_verdict(samples, monitor.model, kind, verdict)
        if monitor.finding is not None:
            _show_finding(samples, monitor.finding)


def _show_verdict(samples: Samples, model: str, kind: PaneKind, verdict: Verdict) -> None:
    samples.add("driftline_evidence_ratio", verdict.evidence / verdict.budget, model, kind)
    for carrier in verdict.carriers:
        term = carrier.term.partition(":")[0]  # "value:<one of the column's values>": which one is nobody's business here
        samples.add("driftline_evidence_share_ratio", carrier.share, model, kind, carrier.column, term)


def _show_finding(samples: Samples, finding: Finding) -> None:
    samples.add("driftline_model_state", 1, finding.model, finding.state)
    samples.add("driftline_window_events", finding.n, finding.model)
    for column in finding.columns:
        _show_column(samples, finding.model, column)


def _show_column(samples: Samples, model: str, column: ColumnFinding) -> None:
    if column.effect is not None:
        samples.add("driftline_effect_sds", column.effect, model, column.column)
    for name, distance in column.distances.items():
        samples.add("driftline_distance", distance.value, model, column.column, name)
