"""What the hour of the day, or of the week, explains of a term: its mean at each hour, where the reference shows one.

The cycle is no drift. Each cell is one hour of one day (or week); as in an analysis of variance without repetition
(Fisher, 1925), days differ as wholes, hours differ as wholes, and what is left is the measure of both. A cycle is
taken for one if the hours' mean square is ``RATIO`` times what is left, from ``MIN_DAYS`` days or ``MIN_WEEKS`` weeks
with rows, and worth it if it has ``LEAST`` standard deviations. Hours with few rows are drawn towards 0 (James and
Stein). All hours are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from driftline.contracts.settings import ModelSettings
from driftline.contracts.times import HOUR_MS, parse_duration
from driftline.detectors.moments import Floats

Calendar = Literal["none", "hour_of_day", "hour_of_week", "auto"]

DAY, WEEK = 24, 168
MIN_DAYS, MIN_WEEKS = 7, 4
RATIO, LEAST = 3.0, 0.05
#: Where the user names a calendar, so many cycles are enough.
_FEWEST = 2


@dataclass(frozen=True, eq=False)
class Cycle:
    """Means of a term at each hour of its calendar (24 or 168), 0 over all rows; ``error`` is their standard error,
    in sd of the term. Without a cycle both are nothing.
    """

    means: Floats
    error: float

    @property
    def there(self) -> bool:
        """Whether the reference shows a cycle."""
        return len(self.means) > 0


def calendar_of(settings: ModelSettings) -> Calendar:
    """Return the calendar that a model's references are to have: none where a pane is longer than an hour."""
    return "none" if parse_duration(settings.pane) > HOUR_MS else settings.reference_calendar


NO_CYCLE = Cycle(np.zeros(0), 0.0)


def hours_of(times: npt.NDArray[np.int64], calendar: int) -> npt.NDArray[np.int64]:
    """Return the hour of the day (``calendar`` 24) or of the week (168, from Monday) of event times (ms).

    >>> hours_of(np.array([0, 25 * HOUR_MS]), 24).tolist(), hours_of(np.array([0]), 168).tolist()
    ([0, 1], [72])
    """
    # 1970 began on a Thursday.
    return (times // HOUR_MS + (72 if calendar == WEEK else 0)) % calendar


def cycle_of(
    values: Floats, counted: npt.NDArray[np.bool_], times: npt.NDArray[np.int64], calendar: Calendar, *, rows: npt.NDArray[np.int64] | None = None
) -> Cycle:
    """Return the cycle of a term whose ``values`` (mean 0 over the rows ``counted``) were seen at ``times``; each may be the mean of so many
    ``rows`` of one hour.
    """
    if calendar == "none" or not counted.any():
        return NO_CYCLE
    values, times = values[counted], times[counted]
    weight = np.ones(len(values)) if rows is None else rows[counted].astype(np.float64)
    daily = _fitted(values, weight, times, DAY, forced=calendar == "hour_of_day", least_cycles=MIN_DAYS)
    if calendar == "hour_of_day":
        return daily
    by_hour = daily.means if daily.there else np.zeros(DAY)
    rest = values - by_hour[hours_of(times, DAY)]
    weekly = _fitted(rest, weight, times, WEEK, forced=calendar == "hour_of_week", least_cycles=MIN_WEEKS)
    if not weekly.there:
        return NO_CYCLE if calendar == "hour_of_week" else daily
    hour_of_day = np.arange(WEEK) % DAY
    return Cycle(weekly.means + by_hour[hour_of_day], float(np.hypot(weekly.error, daily.error)))


def share_of_hours(spans: npt.NDArray[np.int64], weights: Floats, calendar: int) -> Floats:
    """Return how much of the stretches ``spans`` ((start, end) in ms, weighted) fell into each hour of the calendar;
    sums to 1.
    """
    total = np.zeros(calendar)
    for (start, end), weight in zip(spans.tolist(), weights.tolist(), strict=True):
        first, last = start // HOUR_MS, max((end - 1) // HOUR_MS, start // HOUR_MS)
        if last - first >= calendar:
            total += weight / calendar
            continue
        hours = np.arange(first, last + 1)
        part = np.minimum((hours + 1) * HOUR_MS, end) - np.maximum(hours * HOUR_MS, start)
        np.add.at(total, hours_of(hours * HOUR_MS, calendar), weight * np.maximum(part, 1) / max(end - start, 1))
    whole = total.sum()
    return total / whole if whole > 0 else np.full(calendar, 1 / calendar)


def cycle_of_counts(ordered: npt.NDArray[np.int64], rate: float, calendar: Calendar) -> Cycle:
    """Return the cycle of the number of events an hour, as shares of their mean ``rate`` above and below it, from the
    events' times in order. Hours without events count, and the first and the last, which are not whole, do not.
    """
    first, last = int(ordered[0]) // HOUR_MS + 1, int(ordered[-1]) // HOUR_MS
    if calendar == "none" or last - first < DAY:
        return NO_CYCLE
    hours = np.arange(first, last)
    n = np.diff(np.searchsorted(ordered, np.arange(first, last + 1) * HOUR_MS))
    return cycle_of(n / rate - 1, np.ones(len(hours), np.bool_), hours * HOUR_MS, calendar)


def _fitted(values: Floats, weight: Floats, times: npt.NDArray[np.int64], calendar: int, *, forced: bool, least_cycles: int) -> Cycle:
    cycle = times // HOUR_MS // calendar
    cycle -= cycle.min()
    hour = hours_of(times, calendar)
    place = cycle * calendar + hour
    size = (int(cycle.max()) + 1) * calendar
    n = np.bincount(place, weights=weight, minlength=size).reshape(-1, calendar)
    sums = np.bincount(place, weights=values * weight, minlength=size).reshape(-1, calendar)
    cycles, hours = n.sum(axis=1) > 0, n.sum(axis=0) > 0
    if cycles.sum() < (_FEWEST if forced else least_cycles) or hours.sum() < 2:
        return NO_CYCLE
    rows = np.maximum(n.sum(axis=0), 1.0)
    means = sums.sum(axis=0) / rows
    # What the cells have beyond their hour; then less what their day (or week) has as a whole.
    rest = sums / np.maximum(n, 1) - means
    rest -= ((rest * n).sum(axis=1) / np.maximum(n.sum(axis=1), 1))[:, None]
    freedom = max(float((n > 0).sum() - cycles.sum() - hours.sum() + 1), 1.0)
    left = float((n * rest**2).sum()) / freedom
    between = float((rows * means**2)[hours].sum()) / (float(hours.sum()) - 1)
    size_of = max(between - left, 0.0) / float(rows[hours].mean())
    if not forced and (between < RATIO * left or size_of < LEAST**2):
        return NO_CYCLE
    believed = size_of / np.maximum(size_of + left / rows, 1e-300)
    means = np.where(hours, means * believed, 0.0)
    means -= float((means * rows)[hours].sum() / rows[hours].sum())
    error = float(np.sqrt((believed * left)[hours].sum() / rows[hours].sum()))
    return Cycle(means, error)
