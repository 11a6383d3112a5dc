"""What is known of a column, with its shapes: the cycle of a shape's payoff f, and the V at which a bet on it wins nothing in the reference.

Evidence grows by log(1 + f), so that V is first that of log(1 + f), as of any term (``calibration``): a variance, less what the hours explain. That
of f would be little more than half of it where a column wanders: rare values make most of f, and log(1 + f) goes on with the location.

What is summed of a moment is bounded and soon normal; what is summed of a shape is not. Where rare values come in bursts, or in hours of few events
(tempered evidence weighs time, not rows: where V is longer than an hour they count as much as others), a bet that is tempered by the variance alone
still wins. So V becomes greater until over the reference's own blocks, from the finest to the coarsest,

    mean of exp( sum of eta log(1 + f) ) <= 1,      eta = 1 / (1 + V rate),

as evidence has to be where nothing has changed. A payoff without such a V, or of a column whose level is uncalibrated, is none to bet on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from driftline.contracts.reference import Column, TermCalibration
from driftline.contracts.times import HOUR_MS
from driftline.detectors.calendar import NO_CYCLE, Calendar, Cycle, cycle_of, hours_of
from driftline.detectors.calibration import COARSEST, Mask, blocks_of, calibrate, entry_of, longrun, steady_of
from driftline.detectors.moments import Floats, moments_of
from driftline.detectors.shapes import SHAPES, growths, shaped, spread

Ints = npt.NDArray[np.int64]

# V grows by a quarter at a time and at least by a fiftieth of an event; what still wins after so many times (V is 7,000 times what it was) has none.
_STEP, _LEAST, _TIMES = 1.25, 0.02, 40
_MAX_LOG = 700.0


def calibrate_shaped(column: Column, slots: Ints, times: Ints, calendar: Calendar = "none") -> tuple[TermCalibration, ...]:
    """Return what the reference says about each term of a column and, after them, each shape that may be bet on; rows as ``calibrate`` has them."""
    found, moments = calibrate(column, slots, times, calendar), moments_of(column)
    payoff = shaped(moments)
    if not len(payoff) or not found[0].calibrated:
        return found
    valued = moments.base[0][slots] > 0
    slots, times = slots[valued], times[valued]
    place, blocks, span = blocks_of(times)
    table = np.bincount(place * column.slots + slots, minlength=blocks * column.slots).reshape(blocks, column.slots).astype(np.float64)
    n = np.repeat(table.sum(axis=1, keepdims=True), len(payoff), axis=1)
    growth, sd = growths(moments), spread(payoff, moments)
    counts = table.sum(axis=0)
    growth = growth - (growth @ counts / len(times))[:, None]
    sums, gained, within = table @ growth.T, table @ np.log1p(payoff).T, growth**2 @ counts / len(times)
    cycles = _cycles(payoff / sd[:, None], slots, times, calendar)
    for i, cycle in enumerate(cycles):
        if cycle.there:
            hours, most = hours_of(times, len(cycle.means)), len(cycle.means)
            explained = (np.bincount(hours, growth[i][slots], most) / np.maximum(np.bincount(hours, minlength=most), 1))[hours]
            sums[:, i] -= np.bincount(place, explained, blocks)
            within[i] = max(within[i] - float(explained @ explained) / len(times), 0.0)
            # What is normal at an hour is in the price.
            gained[:, i] -= np.bincount(place, np.log1p(np.maximum(cycle.means * sd[i], -0.9))[hours], blocks)
    led = np.array([shape.ratio == 1 for shape in SHAPES])
    variance, slow, held = longrun(sums, n, within, span / HOUR_MS, led=led)
    known = steady_of(n.sum(axis=0), variance, slow, held, span / HOUR_MS)
    variance, safe = tempered(gained, n, variance, span / HOUR_MS / blocks)
    told = [entry_of(column.name, shape.term, float(variance[i]), int(held[i]), cycles[i], calibrated=True) for i, shape in enumerate(SHAPES)]
    return (*found, *(entry for entry, usable in zip(told, known & safe, strict=True) if usable))


def _cycles(payoffs: Floats, slots: Ints, times: Ints, calendar: Calendar) -> list[Cycle]:
    """The cycle of each payoff, from the means of each hour of the reference: of six payoffs these are sooner looked at than each row."""
    if calendar == "none":
        return [NO_CYCLE] * len(payoffs)
    first = int(times.min()) // HOUR_MS
    hour = times // HOUR_MS - first
    rows = np.bincount(hour)
    means = (np.bincount(hour, (payoff - payoff[slots].mean())[slots]) / np.maximum(rows, 1) for payoff in payoffs)
    return [cycle_of(mean, rows > 0, (np.arange(len(rows)) + first) * HOUR_MS, calendar, rows=rows) for mean in means]


def tempered(sums: Floats, n: Floats, variance: Floats, length: float) -> tuple[Floats, Mask]:
    """Return V (hours), no less than it was, and whether there is one, from the sums of log(1 + f) and the rows in blocks of ``length`` hours,
    (blocks, shapes).

    >>> rows = np.full((64, 1), 10.0)
    >>> burst = np.where(np.arange(64) % 32 == 5, 20.0, -1.0)[:, None]
    >>> v, known = tempered(burst, rows, np.zeros(1), 1.0)
    >>> bool(known[0]), bool(np.exp(burst / (1 + v * 10)).mean() <= 1), round(float(v[0]), 1)
    (True, True, 2.6)
    """
    least = _LEAST * length * len(n) / np.maximum(n.sum(axis=0), 1)
    for _ in range(_TIMES):
        wins = _wins(sums / (1 + variance * n / length))
        if not wins.any():
            break
        variance = np.where(wins, np.maximum(_STEP * variance, variance + least), variance)
    return variance, ~wins


def _wins(log_e: Floats) -> Mask:
    won = np.zeros(log_e.shape[1], np.bool_)
    while True:
        won |= np.exp(np.minimum(log_e, _MAX_LOG)).mean(axis=0) > 1
        if len(log_e) <= COARSEST:
            return won
        log_e = log_e[::2] + log_e[1::2]
