"""What ``driftline calibrate`` tells of a reference under a budget; ``commands/calibrate.py`` gathers what it takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from driftline.cli.columns import ReferenceRows
from driftline.contracts.errors import SettingsError
from driftline.contracts.reference import GridColumn, Reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import PaneKind, SampleRow
from driftline.contracts.times import HOUR_MS, is_duration, parse_duration
from driftline.detectors.bootstrap import Course, Plan, course_of, independent_course, plan_of
from driftline.detectors.decider import GATE, Decider, DeciderConfig
from driftline.detectors.nullrun import NullRun, null_run
from driftline.detectors.outcomes import outcome_columns
from driftline.detectors.preview import TermPreview, TrafficPreview, term_previews, traffic_preview
from driftline.detectors.rows import Held
from driftline.detectors.views import features_of, viewed

#: Fewer rows in a reference's sample say nothing about how its rows follow one another.
MIN_SAMPLE = 500
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*([a-z]+)\s*")

Ints = npt.NDArray[np.int64]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """A budget, before it goes live. ``rates`` in rows an hour, of which ``rate_from`` tells whose they are; ``gate`` is what a CUSUM must reach;
    ``realised`` is None where nothing could be drawn, ``drawn_from`` says from what it was or why not.
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
    drawn_from: str
    realised: NullRun | None


@dataclass(frozen=True)
class Drawn:
    """What null data are drawn from: courses by plan, in what words; ``independent`` where they have no order."""

    words: str
    courses: Callable[[Plan], Sequence[Course]]
    independent: bool = False


def calibration_of(
    reference: Reference, config: DeciderConfig, alarm_budget: str, *, rates: Mapping[PaneKind, float], rate_from: str, plan: Plan | None,
    drawn: Drawn | None, seed: int,
) -> Calibration:  # fmt: skip
    """Return the calibration; without ``drawn`` nothing is replayed."""
    realised, words = None, "nothing was drawn"
    if drawn is not None and plan is None:
        words = "nothing was drawn: the reference spans too little time"
    elif drawn is not None and plan is not None:
        courses, words = drawn.courses(plan), drawn.words
        realised = null_run(Decider(reference, config), courses, plan, seed=seed, independent=drawn.independent)
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
        terms=term_previews(reference, config, rates),
        traffic=traffic_preview(reference, config),
        drawn_from=words,
        realised=realised,
    )


def plan_for(reference: Reference, settings: ModelSettings, budget_hours: float, budgets: float) -> Plan | None:
    """Return how to draw as many hours as ``budgets`` times the budget has."""
    calendar = max((len(entry.seasons) for entry in (*reference.terms, *reference.outcome_terms)), default=0)
    return plan_of(reference.span_start, reference.span_end, parse_duration(settings.pane), budgets * budget_hours, calendar)


def from_file(reference: Reference, rows: ReferenceRows, name: str) -> Drawn:
    """Draw from all rows of a file, of which the reference was made; their labels at the time of their events."""
    times = np.asarray(rows.times, np.int64)
    features = _by_role(reference, rows.features, rows.predictions, rows.scores, times)

    def courses(plan: Plan) -> list[Course]:
        made = [course_of(reference, "features", features, times, plan, slicing=rows.features, whole=True)]
        if rows.labels is not None and reference.outcomes:
            labelled = [i for i, label in enumerate(rows.labels) if label is not None]
            nothing: list[object] = [None] * len(times)
            said = [[(column or nothing)[i] for i in labelled] for column in (rows.predictions, rows.scores, rows.labels)]
            slicing = {name: [values[i] for i in labelled] for name, values in rows.features.items()}
            made.append(course_of(reference, "outcomes", outcome_columns(reference.task, *said), times[labelled], plan, slicing=slicing))
        return made

    return Drawn(f"the {len(times):,} rows of {name} in blocks of time", courses)


def from_reference(reference: Reference, settings: ModelSettings, sample: Sequence[SampleRow], rate: float) -> Drawn:
    """Draw from the rows stored with a reference, or, where they are too few, from its counts as if its rows were independent."""
    if len(sample) < MIN_SAMPLE:
        words = f"the reference's counts, as if its rows were independent (only {len(sample):,} of them are stored)"
        rng = np.random.default_rng(0)

        def drawn(plan: Plan) -> list[Course]:
            per_pane = rate * plan.pane_ms / HOUR_MS
            return [independent_course(reference, "features", per_pane, rng, panes=plan.series)]

        return Drawn(words, drawn, independent=True)
    default = settings.pii.get("*", "keep")
    kept = [name for name in features_of(reference) if settings.pii.get(name, default) == "keep"]
    features = {name: [row.features.get(name) for row in sample] for name in kept}
    times = np.array([row.event_time for row in sample], np.int64)
    values = _by_role(reference, features, [row.prediction for row in sample], [row.score for row in sample], times)
    words = f"{len(sample):,} of the reference's {reference.rows:,} rows in blocks of time, features only (outcomes are not stored)"
    return Drawn(words, lambda plan: [course_of(reference, "features", values, times, plan, slicing=features)])


def rate_of(text: str, option: str = "--rate") -> float:
    """Return the rows an hour that a rate means. Raises SettingsError.

    >>> rate_of("500/h"), rate_of("2/s")
    (500.0, 7200.0)
    """
    match = _RATE.fullmatch(text)
    if match is None or not is_duration("1" + match[2]) or float(match[1]) <= 0:
        raise SettingsError(option, text, "rows in a unit of time, such as 500/h")
    return float(match[1]) * HOUR_MS / parse_duration("1" + match[2])


def _by_role(
    reference: Reference,
    features: Mapping[str, Sequence[object]],
    predictions: Sequence[object] | None,
    scores: Sequence[object] | None,
    times: Ints,
) -> dict[str, Held]:
    """The values of the reference's columns that there are any of, as its columns see them."""
    found: dict[str, Held] = {}
    for column in reference.columns:
        feature = column.name if isinstance(column, GridColumn) else column.feature
        values = {"prediction": predictions, "score": scores}.get(column.role, features.get(feature))
        if values is not None and any(value is not None for value in values):
            found[column.name] = viewed(column, values, times)
    return found
