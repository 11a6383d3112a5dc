from __future__ import annotations

from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from driftline.contracts.findings import TrialResult
from driftline.contracts.settings import PolicySettings
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.retrain.trial import TrialRules, paired_difference, rules_of, too_little, try_challenger

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

RULES = TrialRules(confidence=0.9, min_rows=200, min_blocks=7)
END = 400 * DAY_MS


def times_of(days: int, a_day: int = 50) -> Times:
    return np.sort(END - 1 - np.arange(days * a_day) * (DAY_MS // a_day))


def verdict(champion: Floats, challenger: Floats, times: Times, rules: TrialRules = RULES) -> TrialResult:
    return try_challenger(
        metric="log_loss", champion_losses=champion, challenger_losses=challenger, champion={}, challenger={}, times=times,
        holdout=(END - 14 * DAY_MS, END), train_rows=1000, rules=rules,
    )  # fmt: skip


losses = st.integers(0, 2**32).map(lambda seed: np.random.default_rng(seed).exponential(size=14 * 50))


@given(losses, st.floats(0, 10))
def test_a_challenger_that_is_worse_on_every_row_is_never_promoted(champion: Floats, by: float) -> None:
    assert not verdict(champion, champion + by, times_of(14)).promoted


@given(losses)
def test_an_equal_challenger_is_refused(champion: Floats) -> None:
    result = verdict(champion, champion.copy(), times_of(14))
    assert (result.promoted, result.rule, result.difference) == (False, "not_shown_better", 0.0)


@given(losses, st.floats(0.001, 10))
def test_a_challenger_that_is_better_on_every_row_by_as_much_is_promoted(champion: Floats, by: float) -> None:
    result = verdict(champion + by, champion, times_of(14))
    assert result.promoted
    assert result.difference == pytest.approx(by)


@given(losses, losses)
def test_no_two_models_are_each_better_than_the_other(one: Floats, other: Floats) -> None:
    times = times_of(14)
    there, back = verdict(one, other, times), verdict(other, one, times)
    assert not (there.promoted and back.promoted)
    assert there.low == pytest.approx(-back.high)


@given(losses, losses, st.randoms())
def test_the_order_of_rows_does_not_matter(one: Floats, other: Floats, random: Random) -> None:
    times = times_of(14)
    order = list(range(len(times)))
    random.shuffle(order)
    a = paired_difference(one, other, times, RULES, END)
    b = paired_difference(one[order], other[order], times[order], RULES, END)
    assert [a.mean, a.low, a.high] == pytest.approx([b.mean, b.low, b.high])


def test_with_equal_blocks_the_interval_is_scipys_of_the_block_means() -> None:
    random = np.random.default_rng(1)
    one, other = random.exponential(size=700), random.exponential(size=700)
    gap = paired_difference(one, other, times_of(14), RULES, END)
    means = (one - other).reshape(14, 50).mean(axis=1)
    low, high = stats.t.interval(0.8, 13, loc=means.mean(), scale=stats.sem(means))
    assert [gap.low, gap.high] == pytest.approx([low, high])
    assert gap.blocks == 14


def test_good_days_in_a_row_are_no_proof_although_rows_are_many() -> None:
    # Each day has its own luck: over rows the gain looks certain, over days it is not.
    random = np.random.default_rng(3)
    luck = np.repeat(random.normal(0.02, 0.1, size=14), 5_000)
    times, challenger = times_of(14, 5_000), random.exponential(size=70_000)
    by_row = stats.ttest_1samp(luck + random.normal(0, 0.01, size=70_000), 0).pvalue
    assert by_row < 1e-6
    assert not verdict(challenger + luck, challenger, times).promoted


def test_of_equal_models_at_most_a_tenth_is_promoted_though_days_have_their_luck() -> None:
    random = np.random.default_rng(7)
    times = times_of(14, 20)
    promoted = 0
    for _ in range(2_000):
        luck = np.repeat(random.normal(0, 0.1, size=14), 20)
        promoted += verdict(luck + random.normal(0, 0.3, size=280), np.zeros(280), times).promoted
    assert promoted / 2_000 == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(("days", "a_day", "rule"), [(14, 14, "too_few_rows"), (6, 50, "too_few_blocks"), (1, 500, "too_few_blocks")])
def test_too_little_is_never_enough_however_good_it_looks(days: int, a_day: int, rule: str) -> None:
    times = times_of(days, a_day)
    result = verdict(np.full(len(times), 9.0), np.zeros(len(times)), times)
    assert (result.promoted, result.rule) == (False, rule)
    lack = too_little(times, END, RULES)
    assert lack is not None
    assert lack.rule == rule


def test_no_rows_at_all_are_too_few() -> None:
    empty = np.array([], dtype=np.int64)
    assert verdict(empty.astype(float), empty.astype(float), empty).rule == "too_few_rows"


def test_the_sentence_names_the_gain_and_the_rows() -> None:
    times = times_of(14)
    result = verdict(np.full(700, 0.5), np.full(700, 0.4), times)
    assert result.sentence == (
        "On 700 outcomes from 1971-01-22T00:00Z to 1971-02-05T00:00Z that neither had seen: the challenger's log-loss is "
        "lower by 0.1000 (its gain is +0.1000 to +0.1000, 90% sure of each, over 14 blocks): promoted."
    )


def test_blocks_are_days_unless_the_holdout_is_too_short_for_them() -> None:
    assert rules_of(PolicySettings()).block_ms == DAY_MS
    assert rules_of(PolicySettings(holdout="60d")).block_ms == DAY_MS
    assert rules_of(PolicySettings(holdout="28h")).block_ms == 2 * HOUR_MS
