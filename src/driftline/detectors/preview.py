"""What a budget means before it goes live: for each term its share of the attention, its tolerance, why it is blind, and what it would see. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from driftline.contracts.reference import Column, Reference, TermCalibration
from driftline.contracts.summaries import PaneKind, SampleRow
from driftline.contracts.times import HOUR_MS
from driftline.detectors.calibration import COARSEST, MIN_BLOCKS, MIN_REGIMES, MIN_ROWS
from driftline.detectors.decider import GATE
from driftline.detectors.moments import moments_of
from driftline.detectors.multivariate.pairs import TERM
from driftline.detectors.terms import TermTable, term_tables
from driftline.detectors.visible import HORIZONS, Visible, Watch, visible
from driftline.detectors.weights import shares
from driftline.detectors.whole import Whole, pair_name

#: Factors of traffic that are looked at, up to; how often an interval of them is halved; hours over which those of a day even out.
_MOST, _HALVINGS, _LONG = 1000.0, 40, 168 * 52


class TermPreview(msgspec.Struct, frozen=True, kw_only=True):
    """One term. ``weight`` is its share of the start mass (all sum to 1, those of traffic and pairs among them); ``rate`` in rows that it counts
    an hour.

    Of the two tolerances (in reference sd) the greater counts; ``why`` says what keeps the term from being calibrated. ``visible`` is empty where
    nothing ever is, or no closed form tells.
    """

    kind: PaneKind
    column: str
    term: str
    weight: float
    rate: float
    tolerance: float
    tolerance_set: float
    tolerance_reference: float
    variance_hours: float
    calibrated: bool
    why: str | None
    visible: dict[str, Visible]


class TrafficPreview(msgspec.Struct, frozen=True, kw_only=True):
    """The number of events as a term: its ``weight``, events an hour in the reference, the ``factor`` up or down that is normal.

    ``visible`` are the factors, above and below 1, that alarm on average within so many hours; None where none does.
    """

    weight: float
    rate: float
    factor: float
    visible: dict[str, tuple[float | None, float | None]]


class PairsPreview(msgspec.Struct, frozen=True, kw_only=True):
    """All pairs of columns as one extra: ``watched`` of them share its ``weight``, ``blind`` ones are uncalibrated or have a column of weight 0.

    ``pair`` is the middle one by tolerance of those that are watched; what follows is its own, for ``rate`` sampled rows an hour. ``visible`` in sd
    of the product of its columns' scores: as much as a correlation of ranks, where the reference has none.
    """

    weight: float
    watched: int
    blind: int
    pair: str
    rate: float
    tolerance: float
    tolerance_set: float
    variance_hours: float
    visible: dict[str, Visible]


def pairs_preview(whole: Whole, rows: Sequence[SampleRow], rate: float) -> PairsPreview | None:
    """Return the preview of the pairs over the reference's own ``rows``, while ``rate`` sampled rows come an hour; None where none are watched."""
    table = whole.pairs
    if table is None:
        return None
    weight = shares(whole.reference, whole.config, whole.extras)[1][table.extra.name]
    watched = np.flatnonzero(table.live.any(axis=0))
    middle = int(sorted(watched.tolist(), key=lambda k: (table.tolerance[k], k))[len(watched) // 2])
    watch = Watch.of_pair(table, middle, rows, weight / len(table.extra.signs), whole.config.budget_hours)
    left, right = table.names(middle)
    own = whole.config.tolerances
    return PairsPreview(
        weight=weight,
        watched=len(watched),
        blind=len(table.left) - len(watched),
        pair=pair_name(table, middle),
        rate=rate,
        tolerance=float(table.tolerance[middle]),
        tolerance_set=max(own.get(name, whole.config.tolerance) for name in (left, right)),
        variance_hours=float(table.variance[middle]),
        visible=visible(watch, TERM, rate) if weight > 0 else {},
    )


def traffic_preview(whole: Whole) -> TrafficPreview | None:
    """Return the preview of the number of events; None where the reference can't tell how many are normal."""
    reference, config, volume = whole.reference, whole.config, whole.decider.volume
    if volume is None:
        return None
    weight = shares(reference, config, whole.extras)[1][volume.extra.name]
    mass = max(weight / len(volume.extra.signs), 1e-300)

    def hours(factor: float) -> float:
        # Over a long time the hours of the day even out.
        growth = volume.log_e(round(volume.rate * factor * _LONG), 0, _LONG * HOUR_MS) / _LONG
        g = growth[growth > 0]
        return float(np.maximum(np.log1p(config.budget_hours * g / mass) / g, GATE / g).min()) if len(g) and weight > 0 else np.inf

    seen = {name: (_least(hours, within, _MOST), _least(hours, within, 0.0)) for name, within in HORIZONS.items()}
    return TrafficPreview(weight=weight, rate=volume.rate, factor=float(np.exp(volume.tolerance)), visible=seen)


def _least(hours: Callable[[float], float], within: float, furthest: float) -> float | None:
    """Return the factor nearest to 1, towards ``furthest``, that is seen within so many hours."""
    if hours(furthest) > within:
        return None
    near, far = 1.0, furthest
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        near, far = (near, middle) if hours(middle) <= within else (middle, far)
    return far


def term_previews(whole: Whole, rates: Mapping[PaneKind, float]) -> tuple[TermPreview, ...]:
    """Return the preview of each term while so many rows of each kind come an hour."""
    reference, config = whole.reference, whole.config
    # What is left of a tolerance when the user asks for none: the reference's own error.
    bare = term_tables(reference, replace(config, tolerance=0.0, tolerances={}))
    told: list[TermPreview] = []
    for kind, table in term_tables(reference, config, whole.extras).items():
        columns = {c.name: c for c in reference.columns_of(kind)}
        entries = reference.calibrations_of(kind)
        for i, (name, term) in enumerate(table.terms):
            column, entry = columns.get(name), entries.get((name, term))
            n, of = _rows(column, term)
            rate = rates.get(kind, 0.0) * n / max(of, 1)
            calibrated = bool(table.calibrated[i])
            told.append(
                TermPreview(
                    kind=kind,
                    column=name,
                    term=term,
                    weight=float(table.mass[i].sum()),
                    rate=rate,
                    tolerance=float(table.tolerance[i]),
                    tolerance_set=config.tolerances.get(name, config.tolerance) if column is None else config.tolerance_of(column),
                    tolerance_reference=float(bare[kind].tolerance[i]),
                    variance_hours=float(table.variance[i]),
                    calibrated=calibrated,
                    why=None if calibrated else _why(reference, entry, n, level=entries.get((name, "location"))),
                    visible=_visible(table, i, column, rate, config.budget_hours),
                )
            )
    return tuple(told)


def own_rates(reference: Reference) -> dict[PaneKind, float]:
    """Return how many rows came an hour, of each kind, while the reference was made; 0 for one without a span."""
    hours = (reference.span_end - reference.span_start) / HOUR_MS
    counted = max((sum(c.counts) for c in reference.outcomes), default=0)
    return {"features": reference.rows / hours, "outcomes": counted / hours} if hours > 0 else {"features": 0.0, "outcomes": 0.0}


def _rows(column: Column | None, term: str) -> tuple[int, int]:
    """The reference's rows that a term counts (nulls have no location), and all of the column's."""
    if column is None:
        return 0, 0
    moments = moments_of(column)
    counts = np.asarray(column.counts, np.int64)
    return int(moments.base[moments.terms.index(term)] @ counts), int(counts.sum())


def _visible(table: TermTable, i: int, column: Column | None, rate: float, budget: float) -> dict[str, Visible]:
    if column is None or not table.mass[i].any():
        return {}
    term = table.terms[i][1]
    return visible(Watch.of(table, column, term, budget), term, rate)


def _why(reference: Reference, entry: TermCalibration | None, n: int, *, level: TermCalibration | None) -> str:
    if entry is None:
        return "the reference says nothing about its wandering"
    if n < MIN_ROWS:
        return f"{n:,} rows; {MIN_ROWS} are needed"
    if entry.blocks < MIN_BLOCKS:
        return f"rows in {entry.blocks} of {COARSEST} equal stretches of the reference's time; {MIN_BLOCKS} are needed"
    if level is not None and level is not entry and not level.calibrated:
        return "the level is uncalibrated: where it goes beyond what the reference has seen, it takes this along"
    days = (reference.span_end - reference.span_start) / HOUR_MS / 24
    return f"it wanders by itself, so slowly that the reference's {days:,.1f} days hold fewer than {MIN_REGIMES:g} independent stretches of it"
