"""What a budget means before it goes live: for each term its share of the attention, its tolerance, why it is blind, and what it would see. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec
import numpy as np

from driftline.contracts.reference import Column, GridColumn, Reference, TermCalibration
from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import HOUR_MS
from driftline.detectors.calibration import COARSEST, MIN_BLOCKS, MIN_REGIMES, MIN_ROWS
from driftline.detectors.moments import moments_of
from driftline.detectors.terms import DeciderConfig, TermTable, term_tables
from driftline.detectors.visible import Visible, Watch, visible


class TermPreview(msgspec.Struct, frozen=True, kw_only=True):
    """One term. ``weight`` is its share of the start mass (all sum to 1); tolerances in reference sd, the greater of the two counts; ``rate`` in rows
    that it counts an hour; ``why`` says what keeps it from being calibrated. ``visible`` is empty where nothing ever is, or no closed form tells.
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


def term_previews(reference: Reference, config: DeciderConfig, rates: Mapping[PaneKind, float]) -> tuple[TermPreview, ...]:
    """Return the preview of each term while so many rows of each kind come an hour."""
    # What is left of a tolerance when the user asks for none: the reference's own error.
    bare = term_tables(reference, replace(config, tolerance=0.0, tolerances={}))
    told: list[TermPreview] = []
    for kind, table in term_tables(reference, config).items():
        columns = {c.name: c for c in (reference.columns if kind == "features" else reference.outcomes)}
        entries = {(e.column, e.term): e for e in (reference.terms if kind == "features" else reference.outcome_terms)}
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
                    tolerance_set=_tolerance(config, name, column),
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


def _tolerance(config: DeciderConfig, name: str, column: Column | None) -> float:
    feature = name if column is None or isinstance(column, GridColumn) else column.feature
    return config.tolerances.get(name, config.tolerances.get(feature, config.tolerance))


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
