"""Made streams and references for the tests of the decision side: columns of numbers against 64 quantile bins,
without any other room.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from driftline.contracts.reference import CategoricalColumn, Column, NumericColumn, Reference, seal
from driftline.contracts.times import HOUR_MS
from driftline.detectors.decider import Decider, Verdict
from driftline.detectors.evidence import DeciderState
from driftline.detectors.tempering import calibrate_shaped

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

START = 1_600_000_000_000


def autoregressive(n: int, columns: int, rho: float, rng: np.random.Generator) -> Floats:
    """AR(1) columns of unit variance; independent rows for rho 0."""
    noise = rng.standard_normal((n + 500, columns))
    series: Floats = lfilter([np.sqrt(1 - rho**2)], [1, -rho], noise, axis=0)[500:]
    return series


def numeric_slots(column: NumericColumn, values: Floats) -> Counts:
    edges = np.asarray(column.edges)
    slots = np.searchsorted(edges, np.nan_to_num(values), "right").astype(np.int64)
    slots[values == edges[-1]] = len(edges) - 1
    slots[np.isnan(values)] = len(edges) + 1
    return slots


def numeric_column(name: str, values: Floats, bins: int = 64) -> NumericColumn:
    kept = values[~np.isnan(values)]
    edges = np.unique(np.quantile(kept, np.linspace(0, 1, bins + 1), method="inverted_cdf"))
    column = NumericColumn(
        name=name,
        role="feature",
        edges=tuple(edges.tolist()),
        center=float(kept.mean()),
        scale=float(kept.std()),
        counts=(),
    )
    counts = np.bincount(numeric_slots(column, values), minlength=column.slots)
    return NumericColumn(
        name=name,
        role="feature",
        edges=column.edges,
        center=column.center,
        scale=column.scale,
        counts=tuple(counts.tolist()),
    )


def categorical_column(name: str, slots: Counts, values: Sequence[str]) -> CategoricalColumn:
    counts = np.bincount(slots, minlength=len(values) + 4)
    return CategoricalColumn(name=name, role="feature", values=tuple(values), counts=tuple(counts.tolist()))


def reference_of(columns: Sequence[Column], slots: Sequence[Counts], times: Counts) -> Reference:
    terms = tuple(t for column, s in zip(columns, slots, strict=True) for t in calibrate_shaped(column, s, times))
    return seal(
        Reference(
            model="made",
            version="1",
            effective_from=0,
            origin="built",
            task="regression",
            columns=tuple(columns),
            rows=len(times),
            span_start=int(times.min()),
            span_end=int(times.max()),
            terms=terms,
        )
    )


def numeric_reference(values: Floats, times: Counts) -> Reference:
    columns = [numeric_column(f"f{i}", values[:, i]) for i in range(values.shape[1])]
    return reference_of(columns, [numeric_slots(c, values[:, i]) for i, c in enumerate(columns)], times)


def slot_matrix(reference: Reference, values: Floats) -> Counts:
    """The layout's slots of each row, shape (rows, columns)."""
    offsets = np.cumsum([0, *(column.slots for column in reference.columns)])
    rows = [numeric_slots(c, values[:, i]) + offsets[i] for i, c in enumerate(reference.columns) if isinstance(c, NumericColumn)]
    return np.stack(rows, axis=1)


def panes(slots: Counts, times: Counts, pane_ms: int, width: int) -> Iterator[tuple[Counts, int, int]]:
    """Yield (counts, end, rows so far) of each pane with events."""
    place = times // pane_ms
    cuts = [0, *(np.flatnonzero(np.diff(place)) + 1).tolist(), len(times)]
    for first, last in pairwise(cuts):
        yield np.bincount(slots[first:last].ravel(), minlength=width), int((place[first] + 1) * pane_ms), last


def alarms(
    decider: Decider, reference: Reference, slots: Counts, times: Counts, pane_ms: int, *, first_only: bool = False
) -> list[tuple[int, Verdict]]:
    """Rows read and verdict of each alarm; the state starts anew after each."""
    width = sum(column.slots for column in reference.columns)
    state: DeciderState = decider.start()
    found = []
    for counts, end, rows in panes(slots, times, pane_ms, width):
        state = decider.step(state, "features", counts, end, pane_ms / HOUR_MS)
        verdict = decider.verdict(state)
        if verdict.crossed:
            found.append((rows, verdict))
            if first_only:
                return found
            state = decider.start()
    return found
