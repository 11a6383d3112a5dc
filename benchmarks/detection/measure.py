"""What a watcher did on a stream, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import chi2

from benchmarks.detection.streams import Run, Stream
from benchmarks.detection.watchers import Alarm, Watch


@dataclass(frozen=True)
class Quiet:
    """False episodes over all runs of a null stream against those that the budget allows; ``interval`` for the allowed number being the truth's."""

    budget: float
    false_episodes: int
    interval: tuple[float, float]
    kept: bool


@dataclass(frozen=True)
class Seen:
    """Delays in events from the onset; a run that spoke before is left out of them and counted. ``named``: the drifting columns came first."""

    delay_median: float | None
    missed: int
    early: int
    named: float | None
    onset_error_median: float | None
    runs: int


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval (Garwood, 1936) of the mean of which ``count`` was seen.

    >>> [round(end, 2) for end in poisson_interval(3)]
    [0.62, 8.77]
    """
    tail = (1 - level) / 2
    return (float(chi2.ppf(tail, 2 * count) / 2) if count else 0.0), float(chi2.ppf(1 - tail, 2 * count + 2) / 2)


def quiet(watch: Watch, setting: float, stream: Stream, seeds: Sequence[int]) -> Quiet:
    """Count what a watcher says on a stream on which nothing is wrong."""
    false = sum(len(watch(stream.make(seed), setting, None)) for seed in seeds)
    low, high = poisson_interval(false)
    budget = stream.expected * len(seeds)
    return Quiet(budget, false, (low, high), kept=low <= budget)


def seen(watch: Watch, setting: float, stream: Stream, seeds: Sequence[int]) -> Seen:
    """Measure how soon a watcher speaks of a drift, and whether of the right columns."""
    delays, named, dated = [], [], []
    missed = early = 0
    for seed in seeds:
        run = stream.make(seed)
        onset = run.onset or 0
        alarms = watch(run, setting, onset)
        early += sum(alarm.row <= onset for alarm in alarms)
        after = [alarm for alarm in alarms if alarm.row > onset]
        if not after:
            missed += 1
            continue
        delays.append(after[0].row - onset)
        named.append(_right(after[0], run))
        if after[0].onset is not None:
            dated.append(abs(int(np.searchsorted(run.times, after[0].onset)) - onset))
    return Seen(
        delay_median=_median([*delays, *([np.inf] * missed)]),
        missed=missed,
        early=early,
        named=float(np.mean(named)) if named else None,
        onset_error_median=_median(dated),
        runs=len(seeds),
    )


def as_json(result: Quiet | Seen) -> dict[str, object]:
    """Return a result's fields."""
    return asdict(result)


def _right(alarm: Alarm, run: Run) -> bool:
    return bool(alarm.columns) and alarm.columns[0] in {f"f{i}" for i in run.changed}


def _median(values: Sequence[float]) -> float | None:
    if not values:
        return None
    median = float(np.median(values))
    return median if np.isfinite(median) else None
