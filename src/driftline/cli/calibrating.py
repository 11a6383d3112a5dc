"""What ``driftline calibrate`` tells of a reference under a budget; ``commands/calibrate.py`` gathers what it takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from driftline.cli.drawing import Drawn
from driftline.contracts.errors import SettingsError
from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import PaneKind, SampleRow
from driftline.contracts.times import HOUR_MS, is_duration, parse_duration
from driftline.detectors.bootstrap import Course, Plan, plan_of
from driftline.detectors.decider import GATE
from driftline.detectors.multivariate.pairs import COLUMN, LEAST_ROWS
from driftline.detectors.multivariate.scores import Scorer
from driftline.detectors.nullrun import NullRun, null_run
from driftline.detectors.preview import PairsPreview, TermPreview, TrafficPreview, pairs_preview, term_previews, traffic_preview
from driftline.detectors.sequential.watches import asked_for
from driftline.detectors.whole import Whole, most_rows

_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*([a-z]+)\s*")


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """A budget, before it goes live. ``rates`` in rows an hour, of which ``rate_from`` tells whose they are; ``gate`` is what a CUSUM must reach;
    ``realised`` is None where nothing could be drawn, ``drawn_from`` says from what it was or why not. ``replayed`` and ``left_out`` name what of the
    decider, and of what opens episodes beside it, had a part in it. Without ``pairs``, ``no_pairs`` says why there are none.
    """

    model: str
    version: str
    reference_id: str
    origin: str
    rows: int
    span_start: int
    span_end: int
    alarm_budget: str
    budget_hours: float
    gate: float
    tolerance: float
    rates: dict[PaneKind, float]
    rate_from: str
    terms: tuple[TermPreview, ...]
    traffic: TrafficPreview | None
    pairs: PairsPreview | None
    no_pairs: str
    drawn_from: str
    realised: NullRun | None
    replayed: tuple[str, ...]
    left_out: tuple[str, ...]


def calibration_of(
    whole: Whole, settings: ModelSettings, alarm_budget: str, *, sample: Sequence[SampleRow], rates: Mapping[PaneKind, float], rate_from: str,
    plan: Plan | None, drawn: Drawn | None, seed: int,
) -> Calibration:  # fmt: skip
    """Return the calibration of a decider, which was made with the rows in ``sample``; without ``drawn`` nothing is replayed."""
    reference, config = whole.reference, whole.config
    realised, words = None, "nothing was drawn"
    replayed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    if drawn is not None and plan is None:
        words = "nothing was drawn: the reference spans too little time"
    elif drawn is not None and plan is not None:
        courses, words = drawn.courses(plan), drawn.words
        realised = null_run(whole, courses, plan, seed=seed, independent=drawn.independent)
        replayed, left_out = _taking_part(whole, settings, courses)
    per_hour = most_rows(settings) * HOUR_MS / parse_duration(settings.pane)
    return Calibration(
        model=reference.model,
        version=reference.version,
        reference_id=reference.reference_id,
        origin=reference.origin,
        rows=reference.rows,
        span_start=reference.span_start,
        span_end=reference.span_end,
        alarm_budget=alarm_budget,
        budget_hours=config.budget_hours,
        gate=GATE,
        tolerance=config.tolerance,
        rates=dict(rates),
        rate_from=rate_from,
        terms=term_previews(whole, rates),
        traffic=traffic_preview(whole),
        pairs=pairs_preview(whole, sample, min(rates.get("features", 0.0), per_hour)),
        no_pairs=_no_pairs(whole, sample),
        drawn_from=words,
        realised=realised,
        replayed=replayed,
        left_out=left_out,
    )


def plan_for(reference: Reference, settings: ModelSettings, budget_hours: float, budgets: float) -> Plan | None:
    """Return how to draw as many hours as ``budgets`` times the budget has."""
    calendar = max((len(entry.seasons) for entry in (*reference.terms, *reference.outcome_terms)), default=0)
    return plan_of(reference.span_start, reference.span_end, parse_duration(settings.pane), budgets * budget_hours, calendar)


def _taking_part(whole: Whole, settings: ModelSettings, courses: Sequence[Course]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what of all that may open an episode had a part in null data of these courses, and what had none."""
    given = {course.kind: course for course in courses}
    features = given.get("features")
    volume, pairs = whole.decider.volume is not None, whole.pairs is not None
    parts = {
        "the terms of features": features is not None,
        "those of outcomes": "outcomes" in given if whole.reference.outcomes else None,
        "the traffic": features is not None and features.events is not None if volume else None,
        "the pairs of columns": features is not None and features.pairs is not None if pairs else None,
        "silence": False,
        **{f"{named.name} (outside the budget)": False for named in asked_for(settings.detectors, settings.deciders) if named.role == "decide"},
    }
    return tuple(name for name, had in parts.items() if had), tuple(name for name, had in parts.items() if had is False)


def _no_pairs(whole: Whole, sample: Sequence[SampleRow]) -> str:
    if whole.pairs is not None:
        return ""
    if whole.config.weights.get(COLUMN) == 0:
        return f"{COLUMN} has weight 0 in the settings"
    if len(Scorer.of(whole.reference).columns) < 2:
        return "fewer than two columns are numbers or have two values"
    if len(sample) < LEAST_ROWS:
        return f"{len(sample):,} of the reference's rows are stored; {LEAST_ROWS} are needed"
    return "the columns' relations are uncalibrated, or the columns have weight 0"


def rate_of(text: str, option: str = "--rate") -> float:
    """Return the rows an hour that a rate means. Raises SettingsError.

    >>> rate_of("500/h"), rate_of("2/s")
    (500.0, 7200.0)
    """
    match = _RATE.fullmatch(text)
    if match is None or not is_duration("1" + match[2]) or float(match[1]) <= 0:
        raise SettingsError(option, text, "rows in a unit of time, such as 500/h")
    return float(match[1]) * HOUR_MS / parse_duration("1" + match[2])
