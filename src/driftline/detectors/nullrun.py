"""How often the decider speaks where nothing is wrong: its false episodes on null data out of the reference itself, against the budget. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np
from scipy.stats import chi2

from driftline.contracts.times import HOUR_MS
from driftline.detectors.bootstrap import Course, Plan, stationary
from driftline.detectors.decider import Decider
from driftline.detectors.evidence import DeciderState
from driftline.detectors.whole import Whole

#: Blocks are so long on average that the series holds this many: longer ones keep more of its regimes, but repeat one another.
BLOCKS = 10
# Numbers of pairs that are kept for panes that are drawn again.
_HELD = 8_000_000


class NullRun(msgspec.Struct, frozen=True, kw_only=True):
    """``false_episodes`` in ``hours``, where the budget allows ``allowed``; ``interval`` (95 %) of the mean of which so many were seen.

    ``kept`` is false where even its lower end is above what is allowed. ``rows`` are those that were drawn from, ``rate`` theirs an hour.
    """

    rows: int
    rate: float
    hours: float
    pane_hours: float
    block_hours: float
    allowed: float
    false_episodes: int
    interval: tuple[float, float]
    kept: bool
    seed: int


def null_run(whole: Whole, courses: Sequence[Course], plan: Plan, *, seed: int, independent: bool = False) -> NullRun:
    """Let the whole decider read so many panes drawn from the courses, all kinds in step; the evidence begins anew after each alarm.

    Every alarm counts as an episode of its own, which is the harder count: live, what comes back while an episode is open
    belongs to it. ``independent`` draws pane by pane, for courses that have no order.
    """
    mean_block = 1.0 if independent else max(plan.series / BLOCKS, 1.0)
    order = stationary(plan.series, plan.panes, mean_block, np.random.default_rng(seed), period=plan.period)
    decider, hours, false = whole.decider, plan.pane_ms / HOUR_MS, 0
    growths = [None if c.pairs is None else lru_cache(max(_HELD // c.pairs.table.theta.size, 1))(c.pairs.growth) for c in courses]
    states = [decider.start() for _ in courses]  # each kind of pane has evidence of its own
    held = [course.counts.indptr for course in courses]
    for at, place in enumerate(order.tolist(), start=1):
        for i, (course, pointers, growth) in enumerate(zip(courses, held, growths, strict=True)):
            if pointers[place] == pointers[place + 1]:  # a pane without events is never closed
                continue
            counts = course.counts[[place], :].toarray()[0]
            states[i] = decider.step(states[i], course.kind, counts, at * plan.pane_ms, hours, course.events_of(place))
            if growth is not None and course.pairs is not None and course.pairs.rows(place):
                states[i] = whole.take(states[i], growth(place), at * plan.pane_ms, hours, course.pairs.most)
            if may_cross(decider, states[i]) and decider.verdict(states[i]).crossed:
                false, states[i] = false + 1, decider.start()
    allowed = plan.panes * hours / decider.budget
    low, high = poisson_interval(false)
    rows = max((course.rows for course in courses), default=0)
    return NullRun(
        rows=rows,
        rate=rows / (plan.series * hours),
        hours=plan.panes * hours,
        pane_hours=hours,
        block_hours=mean_block * hours,
        allowed=allowed,
        false_episodes=false,
        interval=(low, high),
        kept=low <= allowed,
        seed=seed,
    )


def may_cross(decider: Decider, state: DeciderState) -> bool:
    """Say whether a verdict can be that the budget is reached: a sum is at most its greatest part times their number. Cheap, for long replays."""
    parts = [state.features.log_r, state.outcomes.log_r, *(extra.log_r for extra in state.extras.values())]
    return any(part.size > 0 and float(part.max()) >= np.log(decider.budget / (len(parts) * part.size)) for part in parts)


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval (Garwood, 1936) of the mean of which ``count`` was seen.

    >>> [round(end, 2) for end in poisson_interval(3)]
    [0.62, 8.77]
    """
    tail = (1 - level) / 2
    return (float(chi2.ppf(tail, 2 * count) / 2) if count else 0.0), float(chi2.ppf(1 - tail, 2 * count + 2) / 2)
