from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.builders import DAY, HASH, HOUR, T0, cause, episode, realised, seen

from driftline.alerts.policy import PolicyInput, PolicyState, decide
from driftline.contracts.findings import Performance, RetrainDecision, RetrainTrigger
from driftline.contracts.settings import PolicySettings
from driftline.contracts.times import parse_duration

#: Said here one by one: the defaults may be tuned.
RULES = PolicySettings(performance_tolerance=0.05, min_labelled=500, drift_importance=0.05, drift_persists="7d", cooldown="14d", enabled=True)
NEVER = PolicyState()
FALLEN = seen(performance=realised(0.6, 0.55), reference_performance={"log_loss": 0.5})
DRIFTED = seen(at=T0 + 7 * DAY, episodes=(episode(cause("x"), at=T0),))


def _answer(policy: PolicySettings, found: PolicyInput, state: PolicyState = NEVER) -> tuple[RetrainDecision, RetrainTrigger | None]:
    after, decision, trigger = decide(policy, state, found, HASH)
    assert decision.retrain == (trigger is not None)
    assert decision.trigger_id == (trigger.trigger_id if trigger else None)
    assert after == (PolicyState(found.at) if trigger else state)
    return decision, trigger


# -- performance --------------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_surely_above_the_reference_calls_for_a_challenger() -> None:
    decision, trigger = _answer(RULES, FALLEN)
    assert trigger is not None
    assert (trigger.reason, trigger.at, trigger.episode_id, trigger.config_hash) == ("performance", T0, None, HASH)
    assert trigger.evidence == {"value": 0.6, "low": 0.55, "reference": 0.5, "bound": 0.525, "n": 1000.0}
    assert decision.rule == "performance"
    assert "0.600" in decision.sentence


@pytest.mark.parametrize(
    ("performance", "before", "why"),
    [
        (realised(0.6, 0.52), 0.5, "is not surely above 0.525"),  # the interval reaches the bound
        (realised(0.6, 0.525), 0.5, "is not surely above 0.525"),  # and at the bound itself
        (realised(0.6, 0.55, n=499), 0.5, "only 499 labelled predictions are ripe (500 are needed)"),
        (realised(0.4, 0.3), 0.5, "is not surely above"),
        (None, 0.5, "is not known"),
        (realised(0.6, 0.55), None, "is not known"),
        (realised(0.6, 0.55, metric="brier"), 0.5, "is not known"),
    ],
)
def test_a_loss_that_may_be_chance_or_is_not_known_is_a_no_with_its_reason(performance: Performance | None, before: float | None, why: str) -> None:
    known = {} if before is None else {"log_loss": before}
    decision, trigger = _answer(RULES, seen(performance=performance, reference_performance=known))
    assert trigger is None
    assert decision.rule == "none"
    assert why in decision.sentence


def test_a_loss_without_an_interval_is_taken_as_it_is() -> None:
    bare = Performance(n=1000, metrics={"log_loss": 0.6})
    assert _answer(RULES, seen(performance=bare, reference_performance={"log_loss": 0.5}))[1] is not None


def test_a_regression_is_judged_by_its_rmse() -> None:
    fallen = seen(task="regression", performance=realised(6.0, 5.5, metric="rmse"), reference_performance={"rmse": 5.0})
    assert _answer(RULES, fallen)[1] is not None


@pytest.mark.parametrize("task", ["multiclass", "classification"])
def test_without_probabilities_the_error_rate_is_judged(task: str) -> None:
    def accuracy(value: float, high: float) -> PolicyInput:
        performance = Performance(n=1000, metrics={"accuracy": value}, low={"accuracy": 2 * value - high}, high={"accuracy": high})
        return seen(task=task, performance=performance, reference_performance={"accuracy": 0.9})

    _, trigger = _answer(RULES, accuracy(0.8, 0.82))
    assert trigger is not None
    assert trigger.evidence["value"] == pytest.approx(0.2)
    assert trigger.evidence["low"] == pytest.approx(0.18)
    assert trigger.evidence["bound"] == pytest.approx(0.105)
    assert "error rate" in trigger.sentence
    assert _answer(RULES, accuracy(0.88, 0.9))[1] is None  # surely no more than at reference time
    assert _answer(RULES, accuracy(0.95, 0.97))[1] is None


# -- drift --------------------------------------------------------------------------------------------------------------------


def test_drift_of_important_features_that_lasts_calls_for_a_challenger() -> None:
    _, trigger = _answer(RULES, DRIFTED)
    assert trigger is not None
    assert (trigger.reason, trigger.episode_id) == ("drift", DRIFTED.episodes[0].episode_id)
    assert trigger.sentence == "Drift in x, which carry 30% of the importance of m, has lasted 7d."


@pytest.mark.parametrize(
    ("causes", "kind", "age"),
    [
        ((cause("x"),), "features", 7 * DAY - 1),  # not long enough
        ((cause("x", importance=0.04),), "features", 30 * DAY),  # not important enough
        ((cause("x", importance=0.04), cause("x", term="scale", importance=0.04)), "features", 30 * DAY),  # one column counts once
        ((cause("loss"),), "outcomes", 30 * DAY),  # errors are judged by the performance
    ],
)
def test_drift_that_is_young_or_unimportant_is_a_no_with_its_reason(causes: tuple[object, ...], kind: str, age: int) -> None:
    decision, trigger = _answer(RULES, seen(at=T0 + age, episodes=(episode(*causes, kind=kind, at=T0),)))  # type: ignore[arg-type]
    assert trigger is None
    assert "no drift of important features has lasted 7d" in decision.sentence


def test_several_columns_are_important_together() -> None:
    few = tuple(cause(name, importance=0.02) for name in "abc")
    assert _answer(RULES, seen(at=T0 + 7 * DAY, episodes=(episode(*few, at=T0),)))[1] is not None


def test_of_several_episodes_the_oldest_is_named() -> None:
    old, young = episode(at=T0), episode(at=T0 + HOUR, reference_id="s")
    _, trigger = _answer(RULES, seen(at=T0 + 30 * DAY, episodes=(young, old)))
    assert trigger is not None
    assert trigger.episode_id == old.episode_id


def test_performance_speaks_before_drift() -> None:
    both = seen(at=T0 + 7 * DAY, episodes=DRIFTED.episodes, performance=FALLEN.performance, reference_performance={"log_loss": 0.5})
    _, trigger = _answer(RULES, both)
    assert trigger is not None
    assert trigger.reason == "performance"


# -- refusals -----------------------------------------------------------------------------------------------------------------


def test_within_the_cooldown_the_answer_is_no_and_says_until_when() -> None:
    decision, trigger = _answer(RULES, FALLEN, PolicyState(T0 - 14 * DAY + 1))
    assert trigger is None
    assert decision.rule == "cooldown"
    assert "0.600" in decision.sentence
    assert "the cooldown lasts until 2020-09-13T12:26:40.001Z" in decision.sentence


def test_when_the_cooldown_is_over_the_answer_is_yes_again() -> None:
    assert _answer(RULES, FALLEN, PolicyState(T0 - 14 * DAY))[1] is not None


def test_switched_off_it_says_so_where_it_would_have_called() -> None:
    decision, trigger = _answer(PolicySettings(enabled=False), FALLEN)
    assert trigger is None
    assert decision.rule == "disabled"
    assert "switched off" in decision.sentence


# -- laws ---------------------------------------------------------------------------------------------------------------------

_performances = st.one_of(
    st.none(),
    st.builds(
        lambda value, reach, n, metric: realised(value, value - reach, n, metric),
        st.floats(0, 2),
        st.floats(0, 0.2),
        st.integers(0, 2_000),
        st.sampled_from(["log_loss", "rmse", "brier"]),
    ),
)
_episodes = st.lists(
    st.builds(lambda importance, at, kind: episode(cause(importance=importance), at=T0 + at, kind=kind), st.floats(0, 0.2), st.integers(0, 60 * DAY),
              st.sampled_from(["features", "outcomes"])),
    max_size=3,
).map(tuple)  # fmt: skip
_moments = st.lists(st.tuples(st.integers(0, 90 * DAY), _performances, _episodes), max_size=25)
_policies = st.builds(
    PolicySettings,
    enabled=st.sampled_from([True, True, True, False]),
    cooldown=st.sampled_from(["0s", "1d", "14d"]),
    drift_persists=st.sampled_from(["0s", "1d", "7d"]),
    min_labelled=st.sampled_from([1, 500]),
)


@given(_policies, _moments, st.booleans())
def test_two_triggers_are_never_closer_than_the_cooldown_and_every_answer_has_its_reason(
    policy: PolicySettings, moments: list[tuple[int, Performance | None, tuple[object, ...]]], ordered: bool
) -> None:
    state, triggers, decisions = NEVER, [], []
    for at, performance, found in sorted(moments, key=lambda m: m[0]) if ordered else moments:
        now = seen(at=T0 + at, performance=performance, reference_performance={"log_loss": 0.5, "rmse": 0.5}, episodes=found)
        state, decision, trigger = decide(policy, state, now, HASH)
        decisions.append((now, decision))
        triggers += [trigger] if trigger else []
    cooldown = parse_duration(policy.cooldown)
    assert all(other.at - one.at >= cooldown for one, other in pairwise(triggers))
    assert policy.enabled or not triggers
    for now, decision in decisions:
        assert decision.at == now.at
        assert decision.sentence.endswith(".")
        assert decision.rule in ({"performance", "drift"} if decision.retrain else {"none", "cooldown", "disabled"})
    # One moment of one reference has one decision and at most one trigger, whatever else was known.
    assert len({d.decision_id for _, d in decisions}) == len({now.at for now, _ in decisions})
    assert len({t.trigger_id for t in triggers}) == len({t.at for t in triggers})


@given(_policies, _performances, _episodes, st.integers(0, 90 * DAY))
def test_the_same_sight_gives_the_same_answer(policy: PolicySettings, performance: Performance | None, found: tuple[object, ...], at: int) -> None:
    now = seen(at=T0 + at, performance=performance, reference_performance={"log_loss": 0.5}, episodes=found)
    assert decide(policy, NEVER, now, HASH) == decide(policy, NEVER, now, HASH)


@given(st.floats(0, 2), st.floats(0, 1), st.floats(0.01, 2))
def test_a_greater_loss_is_never_answered_with_no_where_a_smaller_one_was_with_yes(value: float, more: float, before: float) -> None:
    def asked(loss: float) -> bool:
        return _answer(RULES, seen(performance=realised(loss, loss), reference_performance={"log_loss": before}))[0].retrain

    assert asked(value + more) or not asked(value)
