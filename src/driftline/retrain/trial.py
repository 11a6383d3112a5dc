"""The trial: champion and challenger answer the same held-out outcomes, the newest ones, that neither was trained on.

The losses are paired row by row, so what makes a day hard for both cancels. Neighbouring rows are not independent
(weather, campaigns), so the interval counts days, not rows: the blocks are consecutive spans of time, their sums the
observations (a ratio estimate with its linearised variance, Cochran, Sampling Techniques, 1977, ch. 6; Student's t with
blocks - 1 degrees of freedom).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from driftline.contracts.findings import TrialResult
from driftline.contracts.settings import PolicySettings
from driftline.contracts.times import DAY_MS, format_time, parse_duration

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrialRules:
    """What a challenger has to show. ``confidence`` is one-sided: with it the gain is at least the interval's lower
    end, which has to be above 0.
    """

    confidence: float = 0.9
    min_rows: int = 200
    min_blocks: int = 7
    block_ms: int = DAY_MS


def rules_of(policy: PolicySettings) -> TrialRules:
    """Return the rules that the settings ask for. A holdout too short for its blocks to be days has shorter ones, twice
    as many as are needed.
    """
    shortest = parse_duration(policy.holdout) // (2 * policy.min_blocks)
    return TrialRules(policy.trial_confidence, min_blocks=policy.min_blocks, block_ms=max(1, min(DAY_MS, shortest)))


@dataclass(frozen=True)
class Interval:
    """A mean with its interval, each end with the rules' one-sided confidence, over ``n`` rows in ``blocks`` blocks.
    Infinite where the blocks are fewer than two.
    """

    mean: float
    low: float
    high: float
    n: int
    blocks: int


def paired_difference(champion: Floats, challenger: Floats, times: npt.NDArray[np.int64], rules: TrialRules, end: int) -> Interval:
    """Return the mean of ``champion - challenger`` (losses of n rows at ``times``, epoch ms) with its block interval.

    Blocks are counted back from ``end``, so that the newest is a whole one.
    """
    from scipy.stats import t as student

    n = len(times)
    difference = champion - challenger
    if n == 0:
        return Interval(0.0, -np.inf, np.inf, 0, 0)
    mean = float(difference.mean())
    _, place = np.unique(_blocks(times, end, rules), return_inverse=True)
    sizes = np.bincount(place)
    blocks = len(sizes)
    if blocks < 2:
        return Interval(mean, -np.inf, np.inf, n, blocks)
    residuals = np.bincount(place, weights=difference) - mean * sizes
    deviation = float(np.sqrt((residuals**2).sum() * blocks / (blocks - 1))) / n
    reach = float(student.ppf(rules.confidence, blocks - 1)) * deviation
    return Interval(mean, mean - reach, mean + reach, n, blocks)


def try_challenger(
    *,
    metric: str,
    champion_losses: Floats,
    challenger_losses: Floats,
    champion: dict[str, float],
    challenger: dict[str, float],
    times: npt.NDArray[np.int64],
    holdout: tuple[int, int],
    train_rows: int,
    rules: TrialRules,
) -> TrialResult:
    """Return the verdict on a challenger. ``champion`` and ``challenger`` are their mean figures on these rows, for
    people to read.

    The challenger is promoted only when the lower end of its gain is above zero: a tie keeps the champion.
    """
    start, end = holdout
    gap = paired_difference(champion_losses, challenger_losses, times, rules, end)
    lack = too_little(times, end, rules)
    rule, promoted, why = _judged(gap, metric, rules.confidence) if lack is None else (lack.rule, False, f"{lack.why}: refused.")
    span = f"{gap.n} outcomes from {format_time(start)} to {format_time(end)}"
    return TrialResult(
        n=gap.n,
        holdout_start=start,
        holdout_end=end,
        train_rows=train_rows,
        metric=metric,
        champion=champion,
        challenger=challenger,
        difference=gap.mean,
        low=_finite(gap.low),
        high=_finite(gap.high),
        promoted=promoted,
        rule=rule,
        sentence=f"On {span} that neither had seen: {why}",
    )


@dataclass(frozen=True)
class Lack:
    """Why outcomes can't be judged by."""

    rule: str
    why: str


def too_little(times: npt.NDArray[np.int64], end: int, rules: TrialRules) -> Lack | None:
    """Return what outcomes at ``times`` lack for a trial, None where they suffice."""
    blocks = len(np.unique(_blocks(times, end, rules)))
    if len(times) < rules.min_rows:
        return Lack("too_few_rows", f"too few to judge by (a trial takes at least {rules.min_rows})")
    if blocks < rules.min_blocks:
        why = f"too short a time to judge by (they fill {blocks} blocks, a trial takes at least {rules.min_blocks})"
        return Lack("too_few_blocks", why)
    return None


def _blocks(times: npt.NDArray[np.int64], end: int, rules: TrialRules) -> npt.NDArray[np.int64]:
    return (end - 1 - times) // rules.block_ms


def _judged(gap: Interval, metric: str, confidence: float) -> tuple[str, bool, str]:
    name = metric.replace("_", "-")
    reach = f"its gain is {gap.low:+.4f} to {gap.high:+.4f}, {confidence:.0%} sure of each, over {gap.blocks} blocks"
    figures = f"{abs(gap.mean):.4f} ({reach})"
    if gap.low > 0:
        return "better", True, f"the challenger's {name} is lower by {figures}: promoted."
    if gap.high < 0:
        return "worse", False, f"the challenger's {name} is higher by {figures}: refused."
    side = "lower" if gap.mean > 0 else "higher"
    return "not_shown_better", False, f"the challenger's {name} is {side} by {figures}, which may be chance: refused."


def _finite(value: float) -> float:
    # JSON has no infinity; an interval without two blocks is as wide as numbers go.
    return float(np.clip(value, -1e308, 1e308))
