"""Which outcomes a run trains on and which it tries on: decided by the trigger and the settings alone, never by when
the run happens.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from driftline.contracts.findings import RetrainTrigger
from driftline.contracts.reference import Reference
from driftline.contracts.ripeness import label_wait
from driftline.contracts.settings import ModelSettings
from driftline.contracts.times import parse_duration
from driftline.store import outcomes
from driftline.store.outcome_rows import OutcomeRow


@dataclass(frozen=True)
class Spans:
    """Event times, half open: train on ``[train_start, holdout_start)``, try on ``[holdout_start, holdout_end)``, as
    known at ``known_by``.
    """

    train_start: int
    holdout_start: int
    holdout_end: int
    known_by: int


@dataclass(frozen=True)
class Outcomes:
    """Ripe outcomes in order of event time, split where the trial begins."""

    spans: Spans
    train: list[OutcomeRow]
    held_out: list[OutcomeRow]


def spans_of(trigger: RetrainTrigger, settings: ModelSettings, reference: Reference, trained_until: int) -> Spans:
    """Return the spans of a run. A prediction younger than the label wait is not ripe: its labels that came early are
    not like those to come.

    The champion's own training rows are never tried on: the holdout begins no earlier than they end.
    """
    end = trigger.at - label_wait(settings, reference)
    start = min(max(end - parse_duration(settings.policy.holdout), trained_until), end)
    window = settings.policy.train_window
    return Spans(0 if window == "all" else max(start - parse_duration(window), 0), start, end, trigger.at)


def gather(target: Engine | Connection, model: str, spans: Spans, max_rows: int) -> Outcomes:
    """Return the outcomes of the spans; of more than ``max_rows`` the newest, for a run's memory has an end."""
    since = spans.train_start
    while outcomes.count_ripe(target, model, since=since, until=spans.holdout_end, known_by=spans.known_by) > max_rows:
        since += -((since - spans.holdout_end) // 8)  # an eighth of the time left, so that little more than needed is dropped
    rows = outcomes.ripe_rows(target, model, since=since, until=spans.holdout_end, known_by=spans.known_by)
    return Outcomes(
        spans=spans,
        train=[row for row in rows if row.event_time < spans.holdout_start],
        held_out=[row for row in rows if row.event_time >= spans.holdout_start],
    )
