"""What a made stream is, and how it is laid out in time. Each is a function of its seed alone.

Values have unit variance while nothing is wrong. Streams counted in events have one event a second; those in time name their rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
HOUR, SECOND = 3_600_000, 1000
#: A midnight in UTC: hours of the day are where one reads them.
START = 1_600_041_600_000 // (24 * HOUR) * (24 * HOUR)
#: The budget of streams counted in events: one false episode in so many.
BUDGET_EVENTS = 100_000
BUDGET_DAYS = 30

#: Of errors and losses the only column is 1 where the model erred, and its residual (prediction - label); labels are known at once.
Group = Literal["columns", "one column", "errors", "losses"]


@dataclass(frozen=True, eq=False)
class Run:
    """Reference and live rows (rows, columns) with their times (ms); from row ``onset`` on the columns ``changed`` drift.

    Columns in ``categories`` hold the places of their values, NaN where there is none.
    """

    reference: Floats
    reference_times: Ints
    live: Floats
    times: Ints
    pane_ms: int
    budget_hours: float
    onset: int | None = None
    changed: tuple[int, ...] = ()
    categories: tuple[int, ...] = ()
    group: Group = "columns"
    #: Whether events come as often as in the reference: else that is news, and right to be told.
    steady: bool = True


@dataclass(frozen=True)
class Stream:
    """A kind of stream: ``make(seed)`` draws one. ``expected`` false episodes at the budget over its live part, up to the onset where it drifts.

    Peers are tuned on the null stream named ``null`` (its own name where nothing drifts). ``per_hour`` is 0 where time is counted in events.
    """

    name: str
    make: Callable[[int], Run]
    expected: float
    null: str
    group: Group = "columns"
    drifts: bool = False
    per_hour: float = 0.0


Draw = Callable[[int, np.random.Generator], Floats]
#: Takes the rows from the onset on, all columns, and those that are to change; returns the rows changed.
Change = Callable[[Floats, tuple[int, ...], np.random.Generator], Floats]


def in_events(
    name: str, draw: Draw, *, null: str | None = None, reference_rows: int = 20_000, live_rows: int = BUDGET_EVENTS, pane: int = 20,
    change: Change | None = None, changed: tuple[int, ...] = (3,), onset: int = 2_000, categories: tuple[int, ...] = (), group: Group = "columns",
) -> Stream:  # fmt: skip
    """One event a second, a budget of one false episode in 100,000 events."""

    def make(seed: int) -> Run:
        rng = np.random.default_rng(seed)
        reference, live = draw(reference_rows, rng), draw(live_rows, rng)
        run = Run(
            reference, _each_second(reference_rows, START), live, _each_second(live_rows, START + 1000 * 24 * HOUR), pane * SECOND,
            BUDGET_EVENTS * SECOND / HOUR, categories=categories, group=group,
        )  # fmt: skip
        return run if change is None else _drifting(run, change, changed, onset, rng)

    expected = (live_rows if change is None else onset) / BUDGET_EVENTS
    return Stream(name, make, expected, null or name, group, change is not None)


#: Told all hours there are, draws a world; the world gives the rows at some hours.
World = Callable[[float, np.random.Generator], Callable[[Floats, np.random.Generator], Floats]]


def in_time(
    name: str, world: World, rate: float, *, null: str | None = None, reference_days: float = 60, live_days: float = 90,
    rate_live: float | None = None, swing: Callable[[Floats], Floats] | None = None, change: Change | None = None,
    changed: tuple[int, ...] = (3,), onset_day: float = 5,
) -> Stream:  # fmt: skip
    """Panes of an hour, a budget of one false episode in 30 days, ``rate`` events an hour. ``swing`` thins them by the hour of the day."""

    def make(seed: int) -> Run:
        rng = np.random.default_rng(seed)
        rows_at = world((reference_days + live_days) * 24, rng)

        def part(first: float, last: float, per_hour: float) -> tuple[Floats, Ints]:
            at = np.sort(rng.uniform(first, last, int((last - first) * per_hour)))
            if swing is not None:
                at = at[rng.uniform(size=len(at)) < swing(at % 24)]
            return rows_at(at, rng), (START + at * HOUR).astype(np.int64)

        reference, before = part(0, reference_days * 24, rate)
        live, after = part(reference_days * 24, (reference_days + live_days) * 24, rate_live or rate)
        run = Run(reference, before, live, after, HOUR, BUDGET_DAYS * 24, steady=rate_live in (None, rate))
        onset = int(np.searchsorted(after, START + (reference_days + onset_day) * 24 * HOUR))
        return run if change is None else _drifting(run, change, changed, onset, rng)

    expected = (live_days if change is None else onset_day) / BUDGET_DAYS
    return Stream(name, make, expected, null or name, "columns", change is not None, rate_live or rate)


def _drifting(run: Run, change: Change, changed: tuple[int, ...], onset: int, rng: np.random.Generator) -> Run:
    run.live[onset:] = change(run.live[onset:], changed, rng)
    return replace(run, onset=onset, changed=changed)


def _each_second(n: int, start: int) -> Ints:
    return np.arange(n, dtype=np.int64) * SECOND + start
