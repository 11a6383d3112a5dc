"""A column's story in plain sentences, for ``driftline explain``. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from driftline.contracts.reference import Reference
from driftline.contracts.times import HOUR_MS, format_time
from driftline.detectors.decider import TermEffect
from driftline.detectors.describe import MIN_ROWS

if TYPE_CHECKING:
    from driftline.cli.explaining import Explanation, TermStory
    from driftline.detectors.visible import Visible
    from driftline.store.episodes import Episode


def main_term(terms: Sequence[TermStory]) -> TermStory | None:
    """Return the term that has gone furthest in units of its tolerance, those that can alarm first."""
    return max((t for t in terms if t.effect is not None), key=lambda t: (t.calibrated, abs(t.effect or 0.0) / t.tolerance), default=None)


def term_name(term: str) -> str:
    """Return a term in plain words.

    >>> term_name("location"), term_name("value:UA")
    ('level', 'share of UA')
    """
    if term.startswith("value:"):
        return f"share of {term.removeprefix('value:')}"
    return {"location": "level", "scale": "spread", "tails": "shape", "null": "share of missing values", "unseen": "share of values never seen"}.get(
        term, term
    )


def sentences_of(told: Explanation, reference: Reference) -> list[str]:
    """Return what there is to know: the reference, the effect, the tolerance, the evidence, what would be seen."""
    said = [f"{told.column} of {told.model} is measured against the {reference_words(reference)}."]
    main = main_term(told.terms)
    if main is not None and main.effect is not None and told.since is not None and told.until is not None:
        said.append(
            f"{stretch_words(told.since, told.until)} (n = {told.n:,}, {told.rate:,.1f} an hour) its {main.name} is off by "
            f"{main.effect:+.3f} sd (95 % interval {main.low:+.3f} to {main.high:+.3f}){_shares(main)}."
        )
    if main is not None:
        said.append(_tolerance_sentence(main, reference))
    said.append(evidence_sentence(told.column, told.alarm_budget, told.budget, told.evidence, told.evidence_of_column))
    if main is not None and main.calibrated:
        said.append(_visible_sentence(main))
    return said


def reference_words(reference: Reference) -> str:
    """Return which reference it is, and of how much."""
    days = (reference.span_end - reference.span_start) / HOUR_MS / 24
    return f"{reference.origin} reference of version {reference.version}: {reference.rows:,} rows over {days:.1f} days"


def stretch_words(since: int, until: int) -> str:
    """Return a stretch of event time (ms) at the beginning of a sentence."""
    return f"From {format_time(since)} to {format_time(until)}"


def episode_words(column: str, episode: Episode | None) -> tuple[str, str]:
    """Return the answer if the open episode is because of the column; otherwise, with a blank before it, what else there is to say of one."""
    if episode is None:
        return "", ""
    if any(cause.column == column for cause in episode.causes):
        return f"It alarmed: episode {episode.episode_id[:12]} is open since {format_time(episode.onset)}. {episode.sentence}", ""
    return "", f" Episode {episode.episode_id[:12]} is open, but because of other columns."


def evidence_sentence(column: str, alarm_budget: str, budget: float, evidence: float, own: float) -> str:
    """Return how much evidence (hours) an alarm wants, how much there is, and how much of it a column holds."""
    return (
        f"An alarm wants evidence of {budget:,.0f} h over all columns together (alarm_budget: {alarm_budget}); "
        f"there are {hours_text(evidence, budget)}, of which {column} holds {hours_text(own, budget)}."
    )


def _shares(main: TermStory) -> str:
    return "" if main.share_then is None or main.share_now is None else f": {main.share_now:.2%} against {main.share_then:.2%}"


def _tolerance_sentence(main: TermStory, reference: Reference) -> str:
    own = f"the reference's own error, {main.tolerance_reference:.3f} (its {reference.rows:,} rows wander with V = {main.variance_hours:.3g} h)"
    if main.tolerance_reference > main.tolerance_set:
        return f"An effect within {main.tolerance:.3f} counts as none: the tolerance set is {main.tolerance_set:g}, but {own} is larger."
    return f"An effect within {main.tolerance:.3f} counts as none: that is the tolerance set; {own} is smaller."


def _visible_sentence(main: TermStory) -> str:
    parts = []
    for name, visible in main.visible.items():
        found = visible_texts(visible)
        parts.append(f"within {'an' if name == 'hour' else 'a'} {name} {' or '.join(found) if found else 'none'}")
    return f"At this rate the smallest shift of its {main.name} that alarms on average is: {', '.join(parts)}."


def why_of(told: Explanation, effects: Sequence[TermEffect], episode: Episode | None) -> str:
    """Return why the column did or did not alarm."""
    column, main = told.column, main_term(told.terms)
    alarmed, also = episode_words(column, episode)
    if alarmed:
        return alarmed
    if effects and not any(e.weighted for e in effects):
        return f"It can't alarm: {column} has weight 0 in the settings, so what it does is shown and no more.{also}"
    if not any(t.calibrated for t in told.terms):
        return (
            f"It can't alarm: the reference is too short for {column}'s own cycles (uncalibrated), so what it does is shown but neither alarms nor "
            f"retrains by itself. A longer reference calibrates it.{also}"
        )
    if main is None or main.effect is None:
        return f"It did not alarm: no closed window has held a value of {column} yet.{also}"
    if told.n < MIN_ROWS:
        return f"It did not alarm: {told.n:,} rows are too few to judge it by ({MIN_ROWS} are needed).{also}"
    beyond = next(e for e in effects if e.term == main.term)
    if not main.calibrated:
        why = f"the {main.name} is uncalibrated, the reference being too short for its cycles"
    elif beyond.beyond:
        takes = "more evidence than this rate can give" if main.hours_to_alarm is None else f"about {_hours(main.hours_to_alarm)} of it"
        why = f"its {main.name} is surely beyond tolerance, but an alarm takes {takes} without a break, and the evidence has not come that far"
    elif abs(main.effect) > main.tolerance:
        why = f"its {main.name} is beyond tolerance on average, but the interval reaches back within it: chance, or its usual wandering, would do"
    elif beyond.within:
        why = f"its {main.name}, the most that has changed, is surely within tolerance"
    else:
        why = f"its {main.name}, the most that has changed, is within tolerance, if not surely so"
    return f"It did not alarm: {why}.{_unjudged(told, main)}{also}"


def _unjudged(told: Explanation, main: TermStory) -> str:
    """Return what has moved and can't be judged, where that is not what the answer is about."""
    names = [t.name for t in told.terms if not t.calibrated and t.effect is not None and abs(t.effect) > t.tolerance]
    if not names or not main.calibrated:
        return ""
    moved = " and ".join(names)
    return f" Its {moved} moved by more than is tolerated, but can't be judged: the reference is too short for such cycles (uncalibrated)."


def past_of(told: Explanation, past: Sequence[Episode]) -> list[str]:
    """Return in which earlier episodes the column had a part, if any."""
    named = [e for e in past if not e.open and any(cause.column == told.column for cause in e.causes)]
    if not named:
        return []
    last = max(named, key=lambda e: e.updated_at)
    return [
        f"It had a part in {len(named)} earlier episode(s), last from {format_time(last.onset)} to {format_time(last.updated_at)} ({last.status})."
    ]


def visible_texts(visible: Visible) -> list[str]:
    """Return the smallest visible shifts in words, up and down, where there are any: in sd, of shares what they would become."""
    pairs = ((visible.up, visible.up_share), (visible.down, visible.down_share))
    return [f"{effect:+.2f} sd" if share is None else f"{share:.2%}" for effect, share in pairs if effect is not None]


def hours_text(evidence: float, budget: float) -> str:
    """Return evidence in hours; what is far beyond the budget is only said to be so.

    >>> hours_text(12.345, 720.0), hours_text(1e30, 720.0)
    ('12.3 h', 'over 720,000 h')
    """
    return f"{hours_number(evidence, budget)} h"


def hours_number(evidence: float, budget: float) -> str:
    """Return the same without its unit: to three places, or whole.

    >>> hours_number(12.345, 720.0), hours_number(1048.6, 720.0)
    ('12.3', '1,049')
    """
    if evidence > 1000 * budget:
        return f"over {1000 * budget:,.0f}"
    return f"{evidence:,.0f}" if evidence >= 1000 else f"{evidence:.3g}"


def _hours(hours: float) -> str:
    return f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:.1f} days"
