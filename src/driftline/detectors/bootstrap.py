"""Null data out of a reference's own rows: its panes, drawn anew in blocks of time. Pure; the generator is seeded by the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from driftline.contracts.reference import Reference, where_of
from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS
from driftline.detectors.counting import binned
from driftline.detectors.layout import layout_of
from driftline.detectors.multivariate.course import PairCourse
from driftline.detectors.rows import Held

Ints = npt.NDArray[np.int64]

#: Panes that are read at the most, and panes that a reference is cut into at the least: what is read takes a time that a person waits.
MOST_PANES, LEAST_PIECES = 15_000, 256
#: A reference keeps the phase of its days, or weeks, if it holds so many of them.
LEAST_PERIODS = 10
_WIDTHS = tuple(m * MINUTE_MS for m in (1, 5, 15, 30, 60, 120, 180, 240, 360, 480, 720, 1440))


@dataclass(frozen=True)
class Plan:
    """How null data are drawn: ``series`` panes of ``pane_ms`` from ``start`` (ms), of which ``panes`` are drawn in phase with ``period``."""

    pane_ms: int
    start: int
    series: int
    panes: int
    period: int


def plan_of(since: int, until: int, own_pane: int, hours: float, calendar: int = 0) -> Plan | None:
    """Return how to draw ``hours`` out of a reference from ``since`` to ``until`` (ms); None where it spans too little.

    Panes may be wider than the model's own, so that there are not too many; with those that there may be, the hours are what they come to.
    ``calendar``: the hours of the cycle (24, 168) that the reference knows, kept in phase.

    >>> plan_of(0, 60 * DAY_MS, 5_000, 14_400.0)
    Plan(pane_ms=3600000, start=0, series=1440, panes=14400, period=24)
    """
    span, wanted = until - since, hours * HOUR_MS
    least = max(own_pane, min(wanted / MOST_PANES, span / LEAST_PIECES))
    pane = next((width for width in (own_pane, *_WIDTHS) if width >= least), max(own_pane, DAY_MS))
    known = [c for c in (7 * DAY_MS, DAY_MS) if span >= LEAST_PERIODS * c or calendar * HOUR_MS >= c]
    cycle = next((c for c in known if c % pane == 0 and span >= 2 * c), pane)
    start = -(-since // cycle) * cycle
    series = (until - start) // cycle * (cycle // pane)
    if series < 2:
        return None
    return Plan(pane, start, series, min(max(round(wanted / pane), 1), MOST_PANES), cycle // pane)


@dataclass(frozen=True, eq=False)
class Course:
    """How one kind of rows went by: ``counts`` of the shape (panes, slots of the layout), pane by pane.

    ``events`` tells how many there were in each pane, where all are there: then their number is judged, too. ``pairs`` has what samples would
    have kept, where the rows are there and the decider watches pairs of their columns.
    """

    kind: PaneKind
    counts: sparse.csr_array
    rows: int
    events: Ints | None = None
    pairs: PairCourse | None = None

    def events_of(self, pane: int) -> int | None:
        """Return how many events a pane held; None where not all are there."""
        return None if self.events is None else int(self.events[pane])


def course_of(
    reference: Reference,
    kind: PaneKind,
    values: Mapping[str, Held],
    times: Ints,
    plan: Plan,
    *,
    slicing: Mapping[str, Held] | None = None,
    whole: bool = False,
) -> Course:
    """Return the course of rows over the plan's series; rows outside are left out, and columns that ``values`` lacks hold nothing.

    ``times`` in epoch ms, in any order. ``slicing`` has the features by which slices are told apart; the rows are all events where they are
    ``whole``.
    """
    layout = layout_of(reference, kind)
    place = (times - plan.start) // plan.pane_ms
    inside = (place >= 0) & (place < plan.series)
    columns = layout.columns[: layout.whole]
    told = {feature: (slicing or {}).get(feature, [None] * len(times)) for feature in layout.slicers}
    slots, _ = binned(layout, {c.name: values.get(c.name, [None] * len(times)) for c in columns}, len(times), told)
    lanes, rows = np.nonzero((slots >= 0) & inside)
    held = sparse.csr_array((np.ones(len(rows), np.int64), (place[rows], slots[lanes, rows])), shape=(plan.series, layout.slots))
    held.sum_duplicates()
    for column in layout.columns:
        where = where_of(column)
        there = column.name in values if where is None else where.column in values and where.feature in (slicing or {})
        if not there:
            of = layout.slice_of(column.name)
            held.data[(held.indices >= of.start) & (held.indices < of.stop)] = 0
    held.eliminate_zeros()
    events = np.bincount(place[inside], minlength=plan.series) if whole else None
    return Course(kind, held, int(inside.sum()), events)


def independent_course(reference: Reference, kind: PaneKind, rate: float, rng: np.random.Generator, *, panes: int) -> Course:
    """Return panes of independent rows, some ``rate`` each, as the reference's counts have them: what to draw from where there are no rows."""
    layout = layout_of(reference, kind)
    n = rng.poisson(rate, panes)
    parts = [np.zeros((panes, 0), np.int64)]
    for column in layout.columns:
        counts = np.asarray(column.counts, np.float64)
        parts.append(rng.multinomial(n, counts / counts.sum()) if counts.sum() else np.zeros((panes, column.slots), np.int64))
    return Course(kind, sparse.csr_array(np.concatenate(parts, axis=1)), int(n.sum()))


def stationary(places: int, length: int, mean_block: float, rng: np.random.Generator, *, period: int = 1) -> Ints:
    """Return ``length`` places of a series of ``places`` by the stationary bootstrap (Politis and Romano, 1994).

    Blocks are of geometric length, ``mean_block`` on average, and go round at the end, so that each place is as likely as any other. A block begins
    at the same phase of ``period`` as the one before has ended: with 24 hourly panes the hours of the day stay where they are.

    >>> stationary(6, 8, 3.0, np.random.default_rng(1), period=3).tolist()
    [3, 4, 5, 0, 1, 2, 3, 4]
    """
    if places < 1 or places % period:
        raise ValueError(f"{places} places in periods of {period}")
    at = np.arange(length)
    fresh = rng.random(length) < 1 / max(mean_block, 1.0)
    fresh[:1] = True
    begun = at[fresh]
    first = rng.integers(places // period, size=len(begun)) * period + begun % period
    block = np.cumsum(fresh) - 1
    found: Ints = (first[block] + at - begun[block]) % places
    return found
