"""What others would have said of the same flights: alarms by feature, inside the reference and after it.

ADWIN is River's with its default on standardised values; Evidently's default and NannyML's rule look day by day; ours is the decider at the demo's
settings with the reference of January and February throughout, for nobody accepts anything or retrains in their worlds. In all of them only the
flights speak, without a model: the features, and whether a flight was late, told at its departure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from river import drift

from driftline.alerts.sentences import cause_phrase
from driftline.cli.demo.flights import CATEGORICAL, FEATURES, Flights
from driftline.cli.demo.offline import Year
from driftline.cli.demo.stage import CALENDAR
from driftline.contracts.findings import Alert
from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import HOUR_MS, format_time
from driftline.detectors.bootstrap import Plan, course_of
from driftline.detectors.chunk_rules import EVIDENTLY_LIMIT, NANNYML_LIMIT, evidently, nannyml
from driftline.detectors.decider import DeciderConfig
from driftline.detectors.multivariate.course import PairCourse
from driftline.detectors.places import places_of
from driftline.detectors.reference import build_reference
from driftline.detectors.whole import Whole, most_rows
from driftline.retrain.references import SAMPLE_ROWS

#: What ours calls the share of late flights.
LATE, _LABEL = "late", "label"
_REFERENCE, _LIVE = (1, 2), (3, 12)
_CATEGORIES = frozenset({*CATEGORICAL, LATE})

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one way of watching said of one feature: alarms ``inside`` the reference, and ``after`` it (in ``days`` days).

    ``dates`` are those of the first and the last alarm after it, of ours of each, whose ``causes`` are told in words.
    """

    inside: int
    after: int
    days: int
    dates: list[str]
    causes: list[str] = []


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """By feature and way of watching; ``adwin`` has none for categories, and what ours named beside the features (pairs of them, the traffic) nobody
    else watches. ``alerts``: ours, each with its sentence. ``watched`` are the pairs of columns among what ours had an eye on.
    """

    budget_hours: float
    tolerance: float
    allowed: float
    watched_pairs: int
    by_feature: dict[str, dict[str, Said]]
    totals: dict[str, Said]
    alerts: list[str]


def compare(flights: Flights, own: ModelSettings) -> Comparison:
    """Return the comparison over the year."""
    values = _columns(flights)
    told: dict[str, dict[str, Said]] = {name: {} for name in values}
    parts = {part: flights.in_months(*part) for part in (_REFERENCE, _LIVE)}
    days = {part: _days(flights.day[rows]) for part, rows in parts.items()}
    dates = [_date(flights.day[parts[_LIVE]][day.start]) for day in days[_LIVE]]
    for name, column in values.items():
        inside, after = ((column[parts[part]], days[part]) for part in (_REFERENCE, _LIVE))
        if name not in CATEGORICAL:
            told[name]["adwin"] = _adwin(inside, after, dates)
        for rule, statistic, limit in (
            ("evidently", evidently(inside[0], category=name in _CATEGORIES), EVIDENTLY_LIMIT),
            ("nannyml", nannyml([inside[0][day] for day in inside[1]], category=name in _CATEGORIES), NANNYML_LIMIT),
        ):
            first, then = ([statistic(part[day]) > limit for day in of] for part, of in (inside, after))
            told[name][rule] = Said(inside=sum(first), after=sum(then), days=len(then), dates=_ends(dates, then))
    config = DeciderConfig.of(own)
    whole = Whole.of(_reference(flights, parts[_REFERENCE]), config, _sample(flights, parts[_REFERENCE]))
    inside_alerts, alerts = (_ours(flights, whole, parts[part], most_rows(own)) for part in (_REFERENCE, _LIVE))
    beside = {cause.column for alert in (*inside_alerts, *alerts) for cause in alert.causes} - {*values, _LABEL}
    for name in (*values, *sorted(beside)):
        told.setdefault(name, {})["driftline"] = _said(name, inside_alerts, alerts, days=len(days[_LIVE]))
    live_hours = float(flights.event_ms[parts[_LIVE]].max() - flights.event_ms[parts[_LIVE]].min()) / HOUR_MS
    return Comparison(
        budget_hours=config.budget_hours,
        tolerance=config.tolerance,
        allowed=live_hours / config.budget_hours,
        watched_pairs=0 if whole.pairs is None else int(whole.pairs.live.any(axis=0).sum()),
        by_feature=told,
        totals={way: _total(told, way) for way in ("adwin", "evidently", "nannyml", "driftline")},
        alerts=[f"{_day_of(alert)} {alert.status}: {alert.sentence}" for alert in alerts],
    )


def _columns(flights: Flights) -> dict[str, Floats]:
    """Each feature as numbers, categories as codes; NaN where there is none."""
    found: dict[str, Floats] = {}
    for name in FEATURES:
        cells = flights.columns[name]
        if name in CATEGORICAL:
            codes = {value: float(i) for i, value in enumerate(sorted({str(cell) for cell in cells if cell is not None}))}
            found[name] = np.array([np.nan if cell is None else codes[str(cell)] for cell in cells])
        else:
            found[name] = np.array([np.nan if cell is None else float(cell) for cell in cells])
    found[LATE] = np.where(flights.label < 0, np.nan, flights.label.astype(np.float64))
    return found


def _adwin(inside: tuple[Floats, list[slice]], after: tuple[Floats, list[slice]], dates: Sequence[str]) -> Said:
    mean, sd = np.nanmean(inside[0]), np.nanstd(inside[0])
    first, then = (_flags((part - mean) / sd, days) for part, days in (inside, after))
    return Said(inside=sum(first), after=sum(then), days=len(then), dates=_ends(dates, then))


def _flags(values: Floats, days: Sequence[slice]) -> list[int]:
    """How often ADWIN flagged a change, day by day."""
    detector: Any = drift.ADWIN()  # type: ignore[no-untyped-call]
    found = []
    for day in days:
        rows, flags = values[day], 0
        for value in rows[~np.isnan(rows)].tolist():  # one NaN would silence it for good
            detector.update(value)
            flags += detector.drift_detected
        found.append(flags)
    return found


def _ends(dates: Sequence[str], flags: Sequence[int]) -> list[str]:
    """The first and the last day with any."""
    told = [date for date, flag in zip(dates, flags, strict=True) if flag]
    return told[:1] + told[1:][-1:]


def _reference(flights: Flights, rows: Ints) -> Reference:
    return build_reference(
        model="flights", version="1", task="classification", effective_from=int(flights.event_ms[rows].max()) + 1, origin="built",
        times=flights.event_ms[rows], features={name: [flights.columns[name][i] for i in rows] for name in FEATURES},
        kinds={name: "categorical" if name in CATEGORICAL else "numeric" for name in FEATURES}, labels=_labels(flights, rows),
        all_events=True,
        calendar=CALENDAR,
    )  # fmt: skip


def _sample(flights: Flights, rows: Ints) -> list[SampleRow]:
    """The rows that are stored with a reference: as ``retrain`` keeps them, those of least place."""
    places = places_of([flights.event_id[i] for i in rows])
    chosen = rows[np.argsort(places, kind="stable")[:SAMPLE_ROWS]]
    return [
        SampleRow(sample_hash(flights.event_id[i]), flights.event_id[i], int(flights.event_ms[i]), "1", {n: flights.columns[n][i] for n in FEATURES})
        for i in chosen.tolist()
    ]


def _labels(flights: Flights, rows: Ints) -> list[object]:
    return [None if label < 0 else int(label) for label in flights.label[rows].tolist()]


def _ours(flights: Flights, whole: Whole, rows: Ints, most: int) -> list[Alert]:
    reference, times = whole.reference, flights.event_ms[rows]
    day = 24 * HOUR_MS
    start = int(times.min()) // day * day
    hours = (int(times.max()) - start) // HOUR_MS + 1
    plan = Plan(HOUR_MS, start, hours, hours, 1)
    values: dict[str, list[object]] = {name: [flights.columns[name][i] for i in rows] for name in FEATURES}
    features = course_of(reference, "features", values, times, plan, whole=True)
    if whole.pairs is not None:
        scored, places = whole.pairs.scorer.matrix(values, len(rows)), places_of([flights.event_id[i] for i in rows])
        features = replace(features, pairs=PairCourse.of(whole.pairs, scored, (times - start) // HOUR_MS, places, panes=hours, most=most))
    arrived = rows[flights.label[rows] >= 0]
    outcomes = course_of(reference, "outcomes", {_LABEL: _labels(flights, arrived)}, flights.event_ms[arrived], plan)
    return Year(whole, start).watch([features, outcomes])


def _said(name: str, inside: Sequence[Alert], after: Sequence[Alert], *, days: int) -> Said:
    column = _LABEL if name == LATE else name
    first, then = (_naming(column, alerts) for alerts in (inside, after))
    return Said(inside=len(first), after=len(then), days=days, dates=[date for date, _ in then], causes=[cause for _, cause in then])


def _naming(column: str, alerts: Sequence[Alert]) -> list[tuple[str, str]]:
    """When an alert named a column that its episode had not named before, and how."""
    known: dict[str, set[str]] = {}
    found = []
    for alert in alerts:
        names = {cause.column: cause for cause in alert.causes}
        if alert.status in ("opened", "updated") and column in names and column not in known.setdefault(alert.episode_id, set()):
            cause = names[column]
            found.append((_day_of(alert), cause_phrase(cause, "outcomes" if column == _LABEL else "features")))
        known.setdefault(alert.episode_id, set()).update(names)
    return found


def _total(told: Mapping[str, Mapping[str, Said]], way: str) -> Said:
    mine = [by_way[way] for by_way in told.values() if way in by_way]
    dates = sorted(date for said in mine for date in said.dates)
    return Said(
        inside=sum(said.inside for said in mine), after=sum(said.after for said in mine), days=max(said.days for said in mine),
        dates=dates[:1] + dates[1:][-1:],
    )  # fmt: skip


def _days(day: npt.NDArray[np.int32]) -> list[slice]:
    """The rows of each day; rows are in order."""
    cuts = [0, *(np.flatnonzero(np.diff(day)) + 1).tolist(), len(day)]
    return [slice(first, last) for first, last in pairwise(cuts)]


def _day_of(alert: Alert) -> str:
    return format_time(alert.at - 1)[:10]


def _date(day: int) -> str:
    return str(np.datetime64("2013-01-01") + int(day))
