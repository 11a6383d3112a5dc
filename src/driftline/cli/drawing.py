"""What null data are drawn from: the rows of a file, those stored with a reference, or only its counts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from driftline.cli.columns import ReferenceRows
from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import HOUR_MS, parse_duration
from driftline.detectors.bootstrap import Course, Plan, course_of, independent_course
from driftline.detectors.moments import Floats
from driftline.detectors.multivariate.course import PairCourse
from driftline.detectors.multivariate.scores import Mask
from driftline.detectors.outcomes import outcome_columns
from driftline.detectors.rows import Held
from driftline.detectors.views import features_of, viewed
from driftline.detectors.whole import Whole, most_rows

#: Fewer rows in a reference's sample say nothing about how its rows follow one another.
MIN_SAMPLE = 500

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """What null data are drawn from: courses by plan, in what words; ``independent`` where they have no order."""

    words: str
    courses: Callable[[Plan], Sequence[Course]]
    independent: bool = False


def from_file(whole: Whole, settings: ModelSettings, rows: ReferenceRows, name: str) -> Drawn:
    """Draw from all rows of a file, of which the reference was made; their labels at the time of their events."""
    reference = whole.reference
    times = np.asarray(rows.times, np.int64)
    features = _by_role(reference, rows.features, rows.predictions, rows.scores, times)
    # Rows of a file have no ids: which of them a sample keeps is drawn by their numbers.
    places = np.array([sample_hash(str(i)) for i in range(len(times))], np.int64)

    def courses(plan: Plan) -> list[Course]:
        scored = None
        if whole.pairs is not None:
            scorer = whole.pairs.scorer
            scored = scorer.matrix({c.name: features.get(c.name, [None] * len(times)) for c in scorer.columns}, len(times))
        seen = course_of(reference, "features", features, times, plan, slicing=rows.features, whole=True)
        made = [replace(seen, pairs=_pairs(whole, settings, plan, _Scored(scored, times, places)))]
        if rows.labels is not None and reference.outcomes:
            labelled = [i for i, label in enumerate(rows.labels) if label is not None]
            nothing: list[object] = [None] * len(times)
            said = [[(column or nothing)[i] for i in labelled] for column in (rows.predictions, rows.scores, rows.labels)]
            slicing = {name: [values[i] for i in labelled] for name, values in rows.features.items()}
            made.append(course_of(reference, "outcomes", outcome_columns(reference.task, *said), times[labelled], plan, slicing=slicing))
        return made

    return Drawn(f"the {len(times):,} rows of {name} in blocks of time", courses)


def from_reference(whole: Whole, settings: ModelSettings, sample: Sequence[SampleRow], rate: float) -> Drawn:
    """Draw from the rows stored with a reference, or, where they are too few, from its counts as if its rows were independent."""
    reference = whole.reference
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
    places = np.array([row.place for row in sample], np.int64)
    scored = None if whole.pairs is None else whole.pairs.scorer.of_rows(sample)

    def courses(plan: Plan) -> list[Course]:
        seen = course_of(reference, "features", values, times, plan, slicing=features)
        return [replace(seen, pairs=_pairs(whole, settings, plan, _Scored(scored, times, places)))]

    return Drawn(words, courses)


class _Scored(NamedTuple):
    """Rows as the pairs see them (None without pairs), their event times and their places in samples."""

    scored: tuple[Floats, Mask] | None
    times: Ints
    places: Ints


def _pairs(whole: Whole, settings: ModelSettings, plan: Plan, rows: _Scored) -> PairCourse | None:
    """Return the rows that the samples of all the panes in one that is drawn would have kept."""
    if whole.pairs is None or rows.scored is None:
        return None
    most = round(most_rows(settings) * max(plan.pane_ms / parse_duration(settings.pane), 1.0))
    return PairCourse.of(whole.pairs, rows.scored, (rows.times - plan.start) // plan.pane_ms, rows.places, panes=plan.series, most=most)


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
        values = {"prediction": predictions, "score": scores}.get(column.role, features.get(column.feature))
        if values is not None and any(value is not None for value in values):
            found[column.name] = viewed(column, values, times)
    return found
