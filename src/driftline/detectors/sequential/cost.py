"""What a sequential detector would have cost in false alarms on a model's own reference, where by definition nothing was wrong. Pure.

A reference keeps a sample of its rows, with their times. A watch reads them as it would read live panes, made of these rows alone; the flags are
counted and extrapolated *by values*: live panes bring more values in the same time, and a detector's false alarms follow its values. Means of panes
of a thin sample are noisier than live ones, which is said by the rows that a value is made of. Errors stand in the reference as counts only: their
order is drawn, as it is for live panes, so what neighbouring errors share is not seen and the figure is a lower one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from scipy.special import chdtri

from driftline.contracts.reference import CategoricalColumn, NumericColumn, Reference
from driftline.contracts.sequential import ERRORS, FEATURES, SEQUENTIAL, DetectorSettings
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import HOUR_MS
from driftline.detectors.sequential.reading import ERROR, MOST_ERRORS, RIGHT, WRONG, rows_of
from driftline.detectors.sequential.watches import Watch

#: Errors that are drawn at the most.
_MOST_DRAWN = 20_000

#: Every detector with its defaults over what it is made for: rows for those of values, for their parameters are made for single values.
ALL = tuple(
    DetectorSettings(name=name, reads=(ERRORS if kind.reads == "errors" else FEATURES,), series="means" if name == "adwin" else "rows")
    for name, kind in SEQUENTIAL.items()
)


@dataclass(frozen=True)
class Cost:
    """Flags over ``n`` values of the reference, and how many that makes in ``hours`` of live values with the exact 95 % interval of a Poisson mean.

    ``rows`` is how many of the reference's rows a value is made of on average; ``live`` how many values those hours would bring.
    """

    watch: Watch
    n: int
    rows: float
    flags: int
    live: float
    expected: float
    low: float
    high: float


def cost_of(watch: Watch, reference: Reference, rows: Sequence[SampleRow], *, pane_ms: int, per_pane: int, hours: float) -> Cost | None:
    """Return what a watch would have cost in ``hours``, None where the reference has no values for it. Of a live pane ``per_pane`` rows are kept."""
    values, made_of = _series(watch, reference, rows, pane_ms)
    span = (reference.span_end - reference.span_start) / HOUR_MS
    if not values or span <= 0:
        return None
    detector, flags = watch.fresh(), 0
    for value in values:
        detector.update(value)
        flags += detector.drift_detected
    live = hours * _values_an_hour(watch, reference, span, pane_ms / HOUR_MS, per_pane)
    low = float(chdtri(2 * flags, 0.975)) / 2 if flags else 0.0
    high = float(chdtri(2 * flags + 2, 0.025)) / 2
    factor = live / len(values)
    return Cost(watch, len(values), made_of, flags, live, flags * factor, low * factor, high * factor)


def _series(watch: Watch, reference: Reference, rows: Sequence[SampleRow], pane_ms: int) -> tuple[list[float], float]:
    """Return the values, and how many rows one is made of on average."""
    if watch.series == "errors":
        return _errors(reference), 1.0
    column = next((c for c in (*reference.columns, *reference.outcomes) if c.name == watch.column), None)
    if not isinstance(column, NumericColumn) or watch.kind == "outcomes":
        return [], 0.0
    if watch.series in ("rows", "row_squares"):
        z = rows_of(rows, column)
        return [value * value for value in z] if watch.series == "row_squares" else z, 1.0
    power = 2 if watch.series == "squares" else 1
    ordered = sorted(rows, key=lambda row: (row.event_time, row.place, row.event_id))
    panes = [rows_of(list(own), column) for _, own in groupby(ordered, key=lambda row: row.event_time // pane_ms)]
    filled = [own for own in panes if own]
    return [float(np.mean(np.array(own) ** power)) for own in filled], sum(map(len, filled)) / max(len(filled), 1)


def _errors(reference: Reference) -> list[float]:
    column = next((c for c in reference.outcomes if c.name == ERROR), None)
    if not isinstance(column, CategoricalColumn):
        return []
    counts = dict(zip(column.values, column.counts, strict=False))
    wrong, right = counts.get(WRONG, 0), counts.get(RIGHT, 0)
    n = min(wrong + right, _MOST_DRAWN)
    if n == 0:
        return []
    drawn = np.arange(n) < round(n * wrong / (wrong + right))
    np.random.default_rng(wrong + right).shuffle(drawn)
    return [float(value) for value in drawn.tolist()]


def _values_an_hour(watch: Watch, reference: Reference, span: float, pane_hours: float, per_pane: int) -> float:
    rate = (reference.labelled_rows if watch.kind == "outcomes" else reference.rows) / span
    panes = min(1 / pane_hours, rate)  # panes without events do not count
    if watch.series in ("means", "squares"):
        return panes
    return min(rate, panes * (MOST_ERRORS if watch.series == "errors" else per_pane))
