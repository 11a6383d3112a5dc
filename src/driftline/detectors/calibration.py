"""How much a term wanders by itself: V, from the reference's own times.

Events of one hour resemble one another (weather, campaigns, batches), so the mean of n of them varies by more than 1
/ n. V (hours) is the long-run variance of what they share: over a stretch of T hours the mean of a term varies by
about ``1 / n + V / T``. It tempers the evidence and widens tolerances and intervals. Two estimates, the greater
counts:

- *blocks*: T times the variance of block means, upper 90 % limit by chi-square on the number of blocks, less the part
  that independent events have; at the finest block length, from a few events to 1/32 of the span, whose limit no
  coarser one contradicts (with 90 % confidence);
- *extrapolated*: a first-order autoregression of the block means at 1/32, 1/64 and 1/128 of the span, where neighbours
  resemble one another (of a location: by more than chance), corrected for the bias of short series, which sees regimes longer than the
  blocks; upper 90 % limit by chi-square on the number of independent stretches that the span holds.

What the hour of the day or week explains (``calendar``) is taken off first.

A term is **uncalibrated** where the reference is too short for its own cycles: fewer than ``MIN_ROWS`` rows or
``MIN_BLOCKS`` blocks with any, or a wandering of at least ``MATERIAL`` standard deviations of which the reference
holds fewer than ``MIN_REGIMES`` independent stretches. Scale, tails and range of values whose location is
uncalibrated are so too: a location that goes where the reference never was takes them along.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import chdtri

from driftline.contracts.reference import Column, NumericColumn, TermCalibration
from driftline.contracts.times import HOUR_MS
from driftline.detectors.calendar import NO_CYCLE, Calendar, Cycle, cycle_of, hours_of
from driftline.detectors.moments import Floats, indicator, moments_of

MIN_ROWS = 200
MIN_BLOCKS = 16
#: Sd of a slow wandering below which it can't reach the default tolerance (.2), so that not knowing its length does
#: no harm.
MATERIAL = 0.15
MIN_REGIMES = 7.0

Mask = npt.NDArray[np.bool_]

COARSEST, FINEST = 32, 4096
_EVENTS_PER_BLOCK = 4
_UPPER = 0.9
# Correlation of neighbouring blocks from which on regimes are longer than they; less may be chance in 32 of them.
_LONG = 0.35
# So many of its own standard errors, 1 / sqrt(blocks) where blocks are independent (Bartlett, 1946), must a correlation have to be extrapolated.
_BARTLETT = 2.0


def calibrate(column: Column, slots: npt.NDArray[np.int64], times: npt.NDArray[np.int64], calendar: Calendar = "none") -> tuple[TermCalibration, ...]:
    """Return what the reference says about each term of a column, from its rows' slots and their event times (ms), in
    any order.
    """
    moments = moments_of(column)
    if not moments.terms:
        return ()
    place, blocks, span = blocks_of(times)
    if span <= 0:
        return tuple(entry_of(column.name, term, 0.0, 0, NO_CYCLE, calibrated=False) for term in moments.terms)
    table = np.bincount(place * column.slots + slots, minlength=blocks * column.slots).reshape(blocks, column.slots).astype(np.float64)
    phi = _proxied(column, moments.phi)
    n = table @ moments.base.T
    total = n.sum(axis=0)
    safe = np.maximum(total, 1)
    mean = (table @ phi.T).sum(axis=0) / safe
    sums = table @ phi.T - n * mean
    # The reference's own variance of phi: 1 but for smoothing, 0 for an event it never had.
    within = np.maximum((table @ (phi**2).T).sum(axis=0) / safe - mean**2, 0.0)
    cycles = [NO_CYCLE] * len(moments.terms)
    if calendar != "none":
        # A stand-in tells how values cluster; when there are none of what it stands for is not its to say: weekends lie in a weekday's last bin.
        own = [np.array_equal(phi[i], moments.phi[i]) for i in range(len(phi))]
        cycles = [cycle_of(phi[i][slots] - mean[i], base[slots], times, calendar) if own[i] else NO_CYCLE for i, base in enumerate(moments.base > 0)]
    for i, cycle in enumerate(cycles):
        if cycle.there:
            explained = np.where(moments.base[i][slots] > 0, cycle.means[hours_of(times, len(cycle.means))], 0.0)
            sums[:, i] -= np.bincount(place, weights=explained, minlength=blocks)
            within[i] = max(within[i] - float(explained @ explained) / safe[i], 0.0)
    variance, slow, held = longrun(sums, n, within, span / HOUR_MS, led=np.array(moments.terms) == "location")
    calibrated = steady_of(total, variance, slow, held, span / HOUR_MS)
    if moments.terms[0] == "location" and not calibrated[0]:
        calibrated &= moments.indicator & (np.array(moments.terms) != "unseen")
    return tuple(
        entry_of(column.name, term, float(variance[i]), int(held[i]), cycles[i], calibrated=bool(calibrated[i]))
        for i, term in enumerate(moments.terms)
    )


def wandering(values: Floats, there: Floats, times: npt.NDArray[np.int64]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return V (hours) and whether it is calibrated, for terms that are no function of one column's slots: ``values``
    and ``there`` (1 where a row counts) have the shape (rows, terms); ``times`` are epoch ms, in any order.
    """
    place, blocks, span = blocks_of(times)
    if span <= 0:
        return np.zeros(values.shape[1]), np.zeros(values.shape[1], np.bool_)
    into = sparse.csr_array((np.ones(len(times)), (place, np.arange(len(times)))), shape=(blocks, len(times)))
    n = np.asarray(into @ there)
    total = n.sum(axis=0)
    safe = np.maximum(total, 1)
    mean = (values * there).sum(axis=0) / safe
    within = np.maximum((values**2 * there).sum(axis=0) / safe - mean**2, 0.0)
    variance, slow, held = longrun(into @ (values * there) - n * mean, n, within, span / HOUR_MS)
    return variance, steady_of(total, variance, slow, held, span / HOUR_MS)


def steady_of(total: Floats, variance: Floats, slow: Floats, held: npt.NDArray[np.int64], span: float) -> Mask:
    """Return which terms the reference is long enough for, by their rows, V (hours), and what ``longrun`` says beside that."""
    regimes = np.where(variance > 0, span * slow**2 / np.maximum(variance, 1e-300), np.inf)
    steady: npt.NDArray[np.bool_] = (total >= MIN_ROWS) & (held >= MIN_BLOCKS) & ((slow < MATERIAL) | (regimes >= MIN_REGIMES))
    return steady


def blocks_of(times: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], int, int]:
    """Return in which stretch of the rows' time, cut at the finest, each row is, how many stretches there are, and how long all are together (ms)."""
    first, last = (int(times.min()), int(times.max())) if len(times) else (0, 0)
    blocks = COARSEST
    while blocks < FINEST and len(times) >= 2 * blocks * _EVENTS_PER_BLOCK:
        blocks *= 2
    return np.minimum((times - first) * blocks // max(last - first, 1), blocks - 1), blocks, last - first


def entry_of(column: str, term: str, variance: float, blocks: int, cycle: Cycle, *, calibrated: bool) -> TermCalibration:
    """Return what is known of a column's term."""
    return TermCalibration(
        column=column,
        term=term,
        variance_hours=variance,
        blocks=blocks,
        calibrated=calibrated,
        seasons=tuple(cycle.means.tolist()),
        season_error=cycle.error if cycle.there else None,
    )


def _proxied(column: Column, phi: Floats) -> Floats:
    """No value of the reference lies outside its own range: how such values cluster is read from the outermost bins."""
    if not isinstance(column, NumericColumn):
        return phi
    counts = np.asarray(column.counts, np.float64)
    values = np.zeros(len(counts))
    values[: len(column.edges) + 1] = 1
    outer = np.zeros(len(counts))
    outer[[0, 1, len(column.edges) - 1, len(column.edges)]] = 1
    share = float(counts @ outer) / max(float(counts @ values), 1.0)
    phi = phi.copy()
    phi[moments_of(column).terms.index("unseen")] = indicator(outer, values, share) if 0 < share < 1 else 0.0
    return phi


def longrun(sums: Floats, n: Floats, within: Floats, span: float, *, led: bool | Mask = False) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Return V (hours), the sd of the slowest wandering, and the number of coarsest blocks with rows, for each term
    (columns of sums and n). ``led``: which of them go as a location goes.
    """
    variance, upper, slow = (np.zeros(sums.shape[1]) for _ in range(3))
    while True:
        length = span / len(sums)
        weight = np.maximum((n**2).sum(axis=0), 1e-300)
        alone = within * n.sum(axis=0) / weight
        seen = np.maximum((sums**2).sum(axis=0) / weight, alone)
        freedom = np.maximum(weight**2 / np.maximum((n**4).sum(axis=0), 1e-300) - 1, 1)
        # Coarser blocks count only if they show more than finer ones allow for: else their limit is wide only because they are few (Lepski, 1991).
        lower = length * (seen * freedom / chdtri(freedom, 1 - _UPPER) - alone)
        upper = np.where(lower > upper, length * (seen * freedom / chdtri(freedom, _UPPER) - alone), upper)
        if len(sums) <= 4 * COARSEST:
            extrapolated, sd = _autoregressive(sums, n, within, np.maximum(seen - alone, 0), length, led=led)
            variance, slow = np.maximum(variance, extrapolated), np.maximum(slow, sd)
        if len(sums) == COARSEST:
            return np.maximum(variance, upper), slow, (n > 0).sum(axis=0)
        sums = sums[::2] + sums[1::2]
        n = n[::2] + n[1::2]


def _autoregressive(sums: Floats, n: Floats, within: Floats, shared: Floats, length: float, *, led: bool | Mask) -> tuple[Floats, Floats]:
    """Long-run variance (hours) of an AR(1) of the block means, and the sd of what the blocks share; zero where
    nothing significant is shared.
    """
    blocks = len(sums)
    pairs = n[:-1] * n[1:]
    lagged = (sums[:-1] * sums[1:]).sum(axis=0)
    significant = lagged > 3 * within * np.sqrt(np.maximum(pairs.sum(axis=0), 1e-300))
    # What goes as a location goes: also by more than independent blocks that vary as these do. Else regimes that end within a block are extrapolated
    # from chance, at three lengths, of which the greatest counts. Scale and tails go with a power of it: of what is not normal a V too high is none
    # too much.
    varied = (sums**2).sum(axis=0) / np.maximum((n**2).sum(axis=0), 1e-300)
    significant &= ~np.asarray(led) | (lagged > _BARTLETT * varied * np.sqrt((pairs**2).sum(axis=0)))
    phi = lagged / np.maximum(pairs.sum(axis=0), 1e-300) / np.maximum(shared, 1e-300)
    phi = np.clip(phi, 0.0, 1.0)
    # Kendall (1954): the sample's own mean is taken off, which hides part of a slow wandering.
    phi = np.minimum(phi + (1 + 4 * phi) / blocks, 1 - 2 / blocks)
    longrun = length * shared * (1 + phi) / (1 - phi)
    sd = np.sqrt(shared + np.minimum(longrun / (length * blocks), shared))
    usable = significant & (shared > 0)
    stretches = np.clip(length * blocks * sd**2 / np.maximum(longrun, 1e-300), 1.0, 1e6)
    # Regimes that end within a block are counted by the blocks themselves, with a limit of their own.
    longrun = np.where(phi > _LONG, longrun * stretches / chdtri(stretches, _UPPER), longrun)
    return np.where(usable, longrun, 0.0), np.where(usable, sd, 0.0)
