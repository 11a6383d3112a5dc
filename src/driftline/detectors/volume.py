"""How many events there are: a term on the clock, not on the slots. Panes without events count, for time passes.

While events come at a rate within a factor ``1 + tolerance`` of the reference's at that hour, up or down, for each bet
on a further factor g

    log e = eta * [ n log g  -  expected * factor * (g - 1) ]        eta = 1 / (1 + V factor expected rate)

has E[e] <= 1 for a Poisson stream: it is its likelihood ratio at the edge of what is normal. Real ones come in bursts
and have their days: V (hours) is the long-run variance of the rate relative to its mean, from the reference's own
blocks, and tempers as everywhere (``calibration``). A rate takes two weekends to know: a reference of less than
``MIN_DAYS`` days is uncalibrated here. How long nothing came is judged elsewhere (streams/detect/silence.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from driftline.contracts.reference import Reference, TermCalibration
from driftline.contracts.times import HOUR_MS
from driftline.detectors.calendar import Calendar, cycle_of_counts, hours_of, share_of_hours
from driftline.detectors.calibration import COARSEST, FINEST, MIN_BLOCKS, MIN_REGIMES, MIN_ROWS, longrun
from driftline.detectors.extras import Extra, ExtraState
from driftline.detectors.moments import Floats

if TYPE_CHECKING:
    from driftline.detectors.terms import DeciderConfig

#: The name of the term, and of its column.
VOLUME = "volume"
MIN_DAYS = 14
#: Sd of a slow wandering of the rate below which it does not reach a factor of two.
MATERIAL = 0.3
#: What the bets are made for, beyond the factor that is normal.
UPWARD, DOWNWARD = (1.25, 1.6, 2.5, 6.0), (0.8, 0.6, 0.3, 0.02)
#: An hour in which the reference had next to nothing still may have this share of the mean rate.
_LEAST_SHARE = 0.05
# Probability that the reference's own error exceeds the tolerance; one term, two sides.
_RISK = 0.05
_Z = 1.959963984540054


def calibrate_volume(times: npt.NDArray[np.int64], calendar: Calendar) -> TermCalibration:
    """Return what the times (ms) of all events of a reference say about their rate, in any order."""
    ordered = np.sort(np.asarray(times, np.int64))
    span = int(ordered[-1] - ordered[0]) if len(ordered) else 0
    if span <= 0:
        return TermCalibration(column=VOLUME, term=VOLUME, variance_hours=0.0, blocks=0, calibrated=False, rate=0.0, longest_gap=0)
    rate = (len(ordered) - 1) / (span / HOUR_MS)
    cycle = cycle_of_counts(ordered, rate, calendar)
    blocks = COARSEST
    while blocks < FINEST and len(ordered) >= 8 * blocks:
        blocks *= 2
    edges = ordered[0] + np.arange(blocks + 1) * span // blocks
    n = np.diff(np.searchsorted(ordered, edges)).astype(np.float64)
    expected = rate * np.diff(edges) / HOUR_MS
    if cycle.there:
        middle = (edges[:-1] + edges[1:]) // 2
        expected = expected * np.maximum(1 + cycle.means[hours_of(middle, len(cycle.means))], _LEAST_SHARE)
    variance, slow, _ = longrun((n - expected)[:, None], expected[:, None], np.ones(1), span / HOUR_MS)
    held = int((n.reshape(COARSEST, -1).sum(axis=1) > 0).sum())
    regimes = span / HOUR_MS * slow[0] ** 2 / variance[0] if variance[0] > 0 else np.inf
    known = len(ordered) >= MIN_ROWS and span >= MIN_DAYS * 24 * HOUR_MS and held >= MIN_BLOCKS
    return TermCalibration(
        column=VOLUME,
        term=VOLUME,
        variance_hours=float(variance[0]),
        blocks=held,
        calibrated=bool(known and (slow[0] < MATERIAL or regimes >= MIN_REGIMES)),
        seasons=tuple(cycle.means.tolist()),
        season_error=cycle.error if cycle.there else None,
        rate=float(rate),
        longest_gap=int(np.diff(ordered).max()),
    )


def volume_of(reference: Reference) -> TermCalibration | None:
    """Return what a reference says about the rate of events; None where it does not hold all events of its time."""
    return next((t for t in reference.terms if t.column == VOLUME and t.term == VOLUME), None)


@dataclass(frozen=True, eq=False)
class Volume:
    """The term of one reference under one configuration. ``tolerance`` is the log of the factor that is normal."""

    rate: float
    seasons: Floats
    variance: float
    tolerance: float
    extra: Extra

    @classmethod
    def of(cls, reference: Reference, config: DeciderConfig) -> Volume | None:
        """Return the term where the reference is calibrated for it."""
        told = volume_of(reference)
        if told is None or not told.calibrated or not told.rate:
            return None
        span = max((reference.span_end - reference.span_start) / HOUR_MS, 1e-9)
        error = np.sqrt(1 / max(told.rate * span, 1) + told.variance_hours / span + (told.season_error or 0.0) ** 2)
        own = float(-ndtri(_RISK / 2) * error)
        signs = (1.0,) * len(UPWARD) + (-1.0,) * len(DOWNWARD)
        extra = Extra("features", VOLUME, VOLUME, signs=signs)
        return cls(told.rate, np.array(told.seasons), told.variance_hours, max(float(np.log1p(config.volume_tolerance)), own), extra)

    def expected(self, start: int, end: int) -> float:
        """Return how many events the reference would have between two event times (ms)."""
        return self._counted(self.seasons, start, end)

    def bounds(self, start: int, end: int) -> tuple[float, float]:
        """Return how few and how many events are normal before any tolerance: those of the hour, of the one before, or of the one after. Hours are
        UTC's, and where people live clocks change twice a year.
        """
        beside = [np.roll(self.seasons, by) for by in (-1, 0, 1)]
        return self._counted(np.minimum.reduce(beside), start, end), self._counted(np.maximum.reduce(beside), start, end)

    def _counted(self, seasons: Floats, start: int, end: int) -> float:
        share = 1.0
        if len(seasons):
            hours = share_of_hours(np.array([[start, end]]), np.ones(1), len(seasons))
            share = float(hours @ np.maximum(1 + seasons, _LEAST_SHARE))
        return self.rate * share * (end - start) / HOUR_MS

    def log_e(self, n: int, start: int, end: int, *, timed: bool = True) -> Floats:
        """Return log e of each bet for ``n`` events between two event times (ms); the time is not ``timed`` where it
        has been counted before.
        """
        signs = np.array(self.extra.signs)
        few, many = self.bounds(start, end)
        g = np.array(UPWARD + DOWNWARD)
        normal = np.where(signs > 0, many, few) * np.exp(self.tolerance * signs)
        eta = 1 / (1 + self.variance * normal / ((end - start) / HOUR_MS))
        log_e: Floats = eta * (max(n, 0) * np.log(g) - (normal * (g - 1) if timed else 0.0))
        return log_e

    def after_nothing(self, state: ExtraState, mass: Floats, until: int) -> ExtraState:
        """Return the state after a stretch without any event, hour by hour where hours differ."""
        start = state.end if state.end is not None else until
        while start < until:
            end = until
            if len(self.seasons) and until - start < 2 * len(self.seasons) * HOUR_MS:
                end = min(until, (start // HOUR_MS + 1) * HOUR_MS)
            hours = (end - start) / HOUR_MS
            state, start = state.grown(self.log_e(0, start, end) / hours, mass, end, hours), end
        return state

    def effect(self, n: int, start: int, end: int) -> tuple[float, float, float]:
        """Return the log of the rate as a multiple of the reference's, with its 95 % interval."""
        normal, hours = max(self.expected(start, end), 1e-9), (end - start) / HOUR_MS
        # Half an event: of nothing there is a logarithm, too.
        effect = float(np.log((n + 0.5) / (normal + 0.5)))
        half = _Z * float(np.sqrt(1 / (n + 0.5) + min(self.variance / hours, 1.0)))
        return effect, effect - half, effect + half
