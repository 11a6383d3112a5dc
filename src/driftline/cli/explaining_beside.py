"""What is watched beside the columns, explained as a column is: the number of events, and the relation of a pair of columns. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log1p

import msgspec
import numpy as np
import numpy.typing as npt

from driftline.cli.explaining import Explanation, Seen, TermStory, restored
from driftline.cli.wording import episode_words, evidence_sentence, past_of, reference_words, stretch_words
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import SampleRow
from driftline.detectors.decider import Decider, TermEffect
from driftline.detectors.describe import MIN_ROWS, state_of
from driftline.detectors.moments import Floats
from driftline.detectors.multivariate.pairs import TERM, PairTable
from driftline.detectors.volume import MIN_DAYS, VOLUME, volume_of
from driftline.detectors.whole import Whole
from driftline.store.episodes import Episode


@dataclass(frozen=True, eq=False)
class _Watched:
    """What there is to tell. ``log_r``, ``cusum`` and ``onset`` of its own bets; ``mute``: why it can't alarm, empty where it can."""

    name: str
    effect: TermEffect | None
    n: int
    hours: float
    tolerance: float
    tolerance_set: float
    variance: float
    mute: str
    log_r: Floats
    cusum: Floats
    onset: npt.NDArray[np.int64]
    importance: float | None
    sentences: tuple[str, ...]


def explain_volume(whole: Whole, alarm_budget: str, seen: Seen, n: int) -> Explanation:
    """Return the story of the number of events, of which the closed windows held ``n``. Effects are logs of its multiple of the reference's."""
    reference, config, decider = whole.reference, whole.config, whole.decider
    told, volume = volume_of(reference), decider.volume
    effect = decider.volume_effect(n, seen.since, seen.until) if seen.since is not None and seen.until is not None else None
    if told is None:
        mute = "the reference does not hold all events of its time (reference_rows), so it does not say how many are normal"
    elif volume is None:
        mute = f"the reference does not tell the rate of events well enough: it takes {MIN_DAYS} days, and a rate that does not wander"
    else:
        mute = "volume has weight 0 in the settings, so what it does is shown and no more" if config.weights.get(VOLUME) == 0 else ""
    wished = float(log1p(config.volume_tolerance))
    tolerance = volume.tolerance if volume is not None else wished
    said = [f"How many events {reference.model} has is measured against the {reference_words(reference)}."]
    if told is not None and told.rate:
        said[0] = f"{said[0][:-1]}, {told.rate:,.1f} an hour."
    if effect is not None and seen.since is not None and seen.until is not None:
        said.append(
            f"{stretch_words(seen.since, seen.until)} (n = {n:,}, {n / max(seen.hours, 1e-9):,.1f} an hour) events are "
            f"{exp(effect.effect):.2f} times as many (95 % interval {exp(effect.low):.2f} to {exp(effect.high):.2f})."
        )
    why = "the reference's own error, which is larger than the tolerance set"
    if tolerance <= wished:
        why = f"the tolerance set (volume_tolerance: {config.volume_tolerance:g})"
    said.append(f"From {exp(-tolerance):.2f} to {exp(tolerance):.2f} times as many count as no change: that is {why}.")
    state = restored(decider, seen.evidence)
    own = state.extras.get(volume.extra.name) if volume is not None else None
    none: Floats = np.zeros(0)
    return _told(
        reference, decider, alarm_budget, seen,
        _Watched(
            VOLUME, effect, n, seen.hours, tolerance, wished, told.variance_hours if told else 0.0, mute,
            own.log_r if own else none, own.cusum if own else none, own.onset if own else np.zeros(0, np.int64), None, tuple(said),
        ),
    )  # fmt: skip


def pair_of(table: PairTable | None, name: str) -> int | None:
    """Return the place of a pair that is called ``a x b`` or ``b x a``; None where there is none."""
    if table is None:
        return None
    names = (table.names(k) for k in range(len(table.left)))
    return next((k for k, (left, right) in enumerate(names) if name in (f"{left} x {right}", f"{right} x {left}")), None)


def explain_pair(whole: Whole, alarm_budget: str, seen: Seen, place: int, rows: Sequence[SampleRow]) -> Explanation:
    """Return the story of one of the decider's pairs of columns over the sampled ``rows`` of closed panes, which cover ``seen.hours``."""
    reference, config, decider, table = whole.reference, whole.config, whole.decider, whole.pairs
    if table is None:
        raise ValueError("the decider watches no pairs")
    left, right = table.names(place)
    name = f"{left} x {right}"
    found = [e for e in table.effects(rows, max(seen.hours, 1e-9)) if (e.left, e.right) == (left, right)] if rows else []
    measured = found[0] if found else None
    calibrated = bool(table.calibrated[place])
    watched = bool(table.live[:, place].any())
    mute = ""
    if not calibrated:
        mute = "the reference's sampled rows are too few for the two together, or share too much with their neighbours (uncalibrated)"
    elif not watched:
        mute = f"one of {left} and {right} has weight 0 in the settings, so what they do is shown and no more"
    effect = None
    if measured is not None:
        effect = TermEffect(
            kind="features", column=name, term=TERM, effect=measured.effect, low=measured.low, high=measured.high, tolerance=measured.tolerance,
            n=measured.n, calibrated=calibrated, direction="up" if measured.effect >= 0 else "down", weighted=watched,
        )  # fmt: skip
    said = [f"How {left} and {right} of {reference.model} go together is measured against the {reference_words(reference)}."]
    if effect is not None and seen.since is not None and seen.until is not None:
        said.append(
            f"{stretch_words(seen.since, seen.until)} (n = {effect.n:,} sampled rows) the product of their ranks is off by {effect.effect:+.3f} sd "
            f"(95 % interval {effect.low:+.3f} to {effect.high:+.3f})."
        )
    tolerance = float(table.tolerance[place])
    wished = max(config.tolerances.get(column, config.tolerance) for column in (left, right))
    why = "the tolerance set" if tolerance <= wished else "the error of the reference's own sampled rows, which is larger than the tolerance set"
    said.append(f"An effect within {tolerance:.3f} counts as none: that is {why}.")
    extra = restored(decider, seen.evidence).extras[table.extra.name]
    log_r, cusum, onset = np.full(table.theta.shape, -np.inf), np.zeros(table.theta.shape), np.zeros(table.theta.shape, np.int64)
    log_r[table.live], cusum[table.live], onset[table.live] = extra.log_r, extra.cusum, extra.onset
    own = reference.importance_by_column()
    return _told(
        reference, decider, alarm_budget, seen,
        _Watched(
            name, effect, effect.n if effect is not None else 0, seen.hours, tolerance, wished, float(table.variance[place]), mute,
            log_r[:, place], cusum[:, place], onset[:, place], max(own.get(left, 0.0), own.get(right, 0.0)) if own else None, tuple(said),
        ),
    )  # fmt: skip


def _told(reference: Reference, decider: Decider, alarm_budget: str, seen: Seen, watched: _Watched) -> Explanation:
    effect, best = watched.effect, int(watched.log_r.argmax()) if watched.log_r.size else -1
    evidence = float(np.exp(np.minimum(watched.log_r, 700.0)).sum())
    verdict = decider.verdict(restored(decider, seen.evidence))
    episode = seen.episode if seen.episode is not None and seen.episode.open else None
    term = TermStory(
        term=VOLUME if watched.name == VOLUME else TERM,
        name="number of events" if watched.name == VOLUME else TERM,
        n=watched.n,
        effect=effect.effect if effect else None,
        low=effect.low if effect else None,
        high=effect.high if effect else None,
        tolerance=watched.tolerance,
        tolerance_set=watched.tolerance_set,
        tolerance_reference=watched.tolerance if watched.tolerance > watched.tolerance_set else 0.0,
        calibrated=not watched.mute,
        variance_hours=watched.variance,
        evidence=evidence,
        onset=int(watched.onset[best]) if best >= 0 and watched.cusum[best] > 0 else None,
        rate=watched.n / watched.hours if watched.hours else 0.0,
        share_then=None,
        share_now=None,
        hours_to_alarm=None,
        visible={},
    )
    why = _why(watched, episode)
    total, own = verdict.evidence, min(evidence, verdict.evidence)
    sentences = (*watched.sentences, evidence_sentence(watched.name, alarm_budget, decider.budget, total, own))
    told = Explanation(
        model=reference.model,
        column=watched.name,
        kind="features",
        version=reference.version,
        reference_id=reference.reference_id,
        origin=reference.origin,
        state=state_of([effect] if effect else [], watched.n, MIN_ROWS),
        since=seen.since,
        until=seen.until,
        n=watched.n,
        rate=term.rate,
        importance=watched.importance,
        alarm_budget=alarm_budget,
        budget=decider.budget,
        evidence=total,
        evidence_of_column=own,
        episode_id=episode.episode_id if episode else None,
        terms=(term,),
        formula="",
        why=why,
        sentences=(),
    )
    return msgspec.structs.replace(told, sentences=(*sentences, *past_of(told, seen.past), why))


def _why(watched: _Watched, episode: Episode | None) -> str:
    effect = watched.effect
    alarmed, also = episode_words(watched.name, episode)
    if alarmed:
        return alarmed
    if watched.mute:
        return f"It can't alarm: {watched.mute}.{also}"
    if effect is None:
        return f"It did not alarm: nothing has closed yet that it could be measured over.{also}"
    if effect.beyond:
        why = "it is surely beyond tolerance, but the evidence has not come that far"
    elif abs(effect.effect) > effect.tolerance:
        why = "it is beyond tolerance on average, but the interval reaches back within it: chance, or its usual wandering, would do"
    else:
        why = "it is surely within tolerance" if effect.within else "it is within tolerance, if not surely so"
    return f"It did not alarm: {why}.{also}"
