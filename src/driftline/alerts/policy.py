"""When to retrain: rules over what was seen, each answer with its reason. Pure; a "no" is an answer too.

A retraining that helps nobody harms: it costs, and a challenger fitted on a passing season is worse in the next. So a trigger needs either errors
that have surely grown, or inputs that matter and stay away; and then the trial has the last word.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from driftline.alerts.episodes import Episode
from driftline.alerts.sentences import lasted
from driftline.contracts.findings import Performance, RetrainDecision, RetrainTrigger
from driftline.contracts.ids import stable_id
from driftline.contracts.reference import Task
from driftline.contracts.settings import PolicySettings
from driftline.contracts.times import format_duration, format_time, parse_duration

#: The loss that decides, by task: the one that the model was fitted to. Where it is not known, the error rate does.
LOSS: dict[Task, str] = {"classification": "log_loss", "multiclass": "log_loss", "regression": "rmse"}

Reason = Literal["performance", "drift"]


class PolicyState(msgspec.Struct, frozen=True):
    """What the policy remembers: when it last called for a challenger."""

    last_trigger_at: int | None = None


class PolicyInput(msgspec.Struct, frozen=True, kw_only=True):
    """What was known at one moment of event time (``at``): realised performance over the trailing ripe windows, and the episodes open then."""

    model: str
    version: str
    reference_id: str
    task: Task
    at: int
    performance: Performance | None
    reference_performance: dict[str, float]
    episodes: tuple[Episode, ...]


def decide(
    policy: PolicySettings, state: PolicyState, seen: PolicyInput, config_hash: str
) -> tuple[PolicyState, RetrainDecision, RetrainTrigger | None]:
    """Return the policy's answer at one moment, with the trigger when it is yes."""
    asked, sentence, evidence, episode_id = _rule(policy, seen)
    if asked is None:
        return state, _decision(seen, "none", sentence), None
    refusal = _refusal(policy, state, seen)
    if refusal is not None:
        rule, why = refusal
        return state, _decision(seen, rule, f"{sentence} But {why}"), None
    trigger = RetrainTrigger(
        trigger_id=stable_id("trigger", seen.model, seen.reference_id, seen.at),
        model=seen.model,
        version=seen.version,
        reason=asked,
        at=seen.at,
        episode_id=episode_id,
        sentence=sentence,
        evidence=evidence,
        config_hash=config_hash,
    )
    return PolicyState(seen.at), _decision(seen, asked, sentence, trigger), trigger


def _rule(policy: PolicySettings, seen: PolicyInput) -> tuple[Reason | None, str, dict[str, float], str | None]:
    fallen, fall_sentence, evidence = _performance_fell(policy, seen)
    if fallen:
        return "performance", fall_sentence, evidence, None
    persistent = _persistent_drift(policy, seen)
    if persistent is not None:
        share = _importance(persistent)
        named = ", ".join(dict.fromkeys(cause.column for cause in persistent.causes))
        sentence = (
            f"Drift in {named}, which carry {share:.0%} of the importance of {seen.model}, has lasted {lasted(seen.at - persistent.opened_at)}."
        )
        return "drift", sentence, {"importance": share}, persistent.episode_id
    persists = format_duration(parse_duration(policy.drift_persists))
    drift = f"no drift of important features has lasted {persists}" if seen.episodes else "no episode is open"
    return None, f"No reason to retrain {seen.model}: {fall_sentence}, and {drift}.", {}, None


def _performance_fell(policy: PolicySettings, seen: PolicyInput) -> tuple[bool, str, dict[str, float]]:
    now, before_all = seen.performance, seen.reference_performance
    if now is not None and LOSS[seen.task] in now.metrics and LOSS[seen.task] in before_all:
        name = LOSS[seen.task]
        metric, before, value, low = name, before_all[name], now.metrics[name], now.low.get(name, now.metrics[name])
    elif now is not None and "accuracy" in now.metrics and "accuracy" in before_all:  # no probabilities, no log-loss
        right = now.metrics["accuracy"]
        metric, before, value, low = "error rate", 1.0 - before_all["accuracy"], 1.0 - right, 1.0 - now.high.get("accuracy", right)
    else:
        return False, "its realised performance is not known", {}
    bound = before * (1 + policy.performance_tolerance)
    evidence = {"value": value, "low": low, "reference": before, "bound": bound, "n": float(now.n)}
    if now.n < policy.min_labelled:
        return False, f"only {now.n:,} labelled predictions are ripe ({policy.min_labelled:,} are needed)", evidence
    if low > bound:
        sentence = (
            f"The {metric} of {seen.model} {seen.version} rose to {value:.3f} (at least {low:.3f}) on {now.n:,} ripe predictions, "
            f"against {before:.3f} at reference time."
        )
        return True, sentence, evidence
    return False, f"its {metric} of {value:.3f} on {now.n:,} ripe predictions is not surely above {bound:.3f}", evidence


def _persistent_drift(policy: PolicySettings, seen: PolicyInput) -> Episode | None:
    persists = parse_duration(policy.drift_persists)
    lasting = [e for e in seen.episodes if e.kind == "features" and seen.at - e.opened_at >= persists and _importance(e) >= policy.drift_importance]
    return min(lasting, key=lambda e: (e.opened_at, e.episode_id)) if lasting else None


def _importance(episode: Episode) -> float:
    return sum({cause.of or cause.column: cause.importance for cause in episode.causes}.values())


def _refusal(policy: PolicySettings, state: PolicyState, seen: PolicyInput) -> tuple[str, str] | None:
    if not policy.enabled:
        return "disabled", "retraining is switched off for this model."
    cooldown = parse_duration(policy.cooldown)
    if state.last_trigger_at is not None and seen.at - state.last_trigger_at < cooldown:
        until = format_time(state.last_trigger_at + cooldown)
        return "cooldown", f"the last trigger was at {format_time(state.last_trigger_at)}; the cooldown lasts until {until}."
    return None


def _decision(seen: PolicyInput, rule: str, sentence: str, trigger: RetrainTrigger | None = None) -> RetrainDecision:
    return RetrainDecision(
        decision_id=stable_id("decision", seen.model, seen.reference_id, seen.at),
        model=seen.model,
        version=seen.version,
        at=seen.at,
        retrain=trigger is not None,
        rule=rule,
        sentence=sentence,
        trigger_id=trigger.trigger_id if trigger is not None else None,
    )
