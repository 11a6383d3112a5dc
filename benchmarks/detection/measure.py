"""What a watcher did on a stream, over seeds, and how a peer is tuned to as many false alarms as the budget allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import binom

from benchmarks.detection.chunks import STATISTICS
from benchmarks.detection.streams import HOUR, Run, Stream
from benchmarks.detection.watching import Alarm, Watcher
from driftline.detectors.nullrun import poisson_interval


@dataclass(frozen=True)
class Figures:
    """``false_episodes`` over ``runs`` (on drifting streams: before the onset) against the ``budget`` of them.

    ``interval`` (95 %) is of the mean of which so many were seen; ``kept`` unless its lower end is above the budget. Delays in events from the
    onset to the first alarm after it, misses counting as never; ``delay_interval`` (95 %) is of their median, from order statistics; an end at
    which most missed is None. ``named``: the share of these alarms that named a drifting column first; ``named_wrongly``: how many columns that
    did not drift they named beside. ``onset_error_median`` in events.
    """

    setting: float
    runs: int
    budget: float
    false_episodes: int
    interval: tuple[float, float]
    kept: bool
    delay_median: float | None = None
    delay_hours_median: float | None = None
    missed: int | None = None
    named: float | None = None
    named_wrongly: float | None = None
    onset_error_median: float | None = None
    delay_interval: tuple[float | None, float | None] | None = None


@dataclass
class _Tally:
    """What one watcher did, run by run."""

    false: int = 0
    delays: list[float] = field(default_factory=list)
    hours: list[float] = field(default_factory=list)
    named: list[bool] = field(default_factory=list)
    wrongly: list[int] = field(default_factory=list)
    dated: list[float] = field(default_factory=list)

    def take(self, run: Run, alarms: list[Alarm]) -> None:
        if run.onset is None:
            self.false += len(alarms)
            return
        self.false += sum(alarm.row <= run.onset for alarm in alarms)
        first = next((alarm for alarm in alarms if alarm.row > run.onset), None)
        self.delays.append(first.row - run.onset if first else np.inf)
        self.hours.append((run.times[first.row - 1] - run.times[run.onset]) / HOUR if first else np.inf)
        if first is not None:
            changed = {f"f{i}" for i in run.changed}
            self.named.append(bool(first.columns) and first.columns[0] in changed)
            self.wrongly.append(len(set(first.columns) - changed))
        if first is not None and first.onset is not None:
            self.dated.append(abs(int(np.searchsorted(run.times, first.onset)) - run.onset))

    def figures(self, setting: float, stream: Stream, runs: int) -> Figures:
        low, high = poisson_interval(self.false)
        budget = stream.expected * runs
        quiet = Figures(setting, runs, budget, self.false, (low, high), low <= budget)
        if not stream.drifts:
            return quiet
        return replace(
            quiet,
            delay_median=_median(self.delays),
            delay_hours_median=_median(self.hours) if stream.per_hour else None,
            missed=int(np.isinf(self.delays).sum()),
            named=float(np.mean(self.named)) if self.named else None,
            named_wrongly=float(np.mean(self.wrongly)) if self.wrongly else None,
            onset_error_median=_median(self.dated),
            delay_interval=median_interval(self.delays),
        )


def measure(plans: Sequence[tuple[Watcher, float]], stream: Stream, seeds: Sequence[int]) -> list[Figures]:
    """Return what each watcher with its setting does on a stream; all watch the same runs."""
    tallies = [_Tally() for _ in plans]
    for seed in seeds:
        run = stream.make(seed)
        for tally, (watcher, setting) in zip(tallies, plans, strict=True):
            tally.take(run, watcher.watch(run, setting, run.onset))
    return [tally.figures(setting, stream, len(seeds)) for tally, (_, setting) in zip(tallies, plans, strict=True)]


def tuned(watcher: Watcher, null: Stream, seeds: Sequence[int]) -> float | None:
    """Return the most eager setting with which a peer keeps the budget on null data; None where it has none.

    Of rules with a limit this is exact; of the others the first of their settings, halving among them: the more reluctant, the fewer alarms.
    """
    allowed = null.expected * len(seeds)
    statistic = STATISTICS.get(watcher.name)
    if statistic is not None:
        greatest = np.sort(np.concatenate([statistic(null.make(seed)).max(axis=1) for seed in seeds]))[::-1]
        return float(greatest[min(int(allowed), len(greatest) - 1)])
    low, high = 0, len(watcher.settings)
    while low < high:
        middle = (low + high) // 2
        told = sum(len(watcher.watch(null.make(seed), watcher.settings[middle], None)) for seed in seeds)
        low, high = (low, middle) if told <= allowed else (middle + 1, high)
    return watcher.settings[low] if low < len(watcher.settings) else None


def median_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a median: the order statistics that binomial chance allows (Conover, Practical Nonparametric Statistics, 3.2).

    >>> median_interval([10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, float("inf")])
    (20.0, 80.0)
    """
    n = len(values)
    below = int(binom.ppf(0.025, n, 0.5))
    ends = np.sort(values)[[max(below - 1, 0), min(n - below, n - 1)]].tolist()
    low, high = (end if np.isfinite(end) else None for end in ends)
    return low, high


def _median(values: Sequence[float]) -> float | None:
    if not values:
        return None
    median = float(np.median(values))
    return median if np.isfinite(median) else None
