"""What is said to people: one plain sentence each, with what, how large, since when, at what n."""

from __future__ import annotations

from math import exp

from driftline.alerts.ranking import ranked
from driftline.contracts.findings import AlertStatus, Cause
from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, format_duration, format_time

_NAMED = 3
#: Columns of outcomes of which more is worse. ``error`` is '0' (right) or '1' for classes, and a signed number for regression.
LOSSES = ("loss", "brier", "absolute_error")


def cause_phrase(cause: Cause) -> str:
    """Return one cause in words, with what else is worth saying of it.

    >>> c = Cause(column="temp", term="location", direction="up", effect=0.81, low=0.7, high=0.9, tolerance=0.2, share=0.9, importance=0.1, onset=0)
    >>> cause_phrase(c)
    'temp is higher by 0.81 sd (0.70 to 0.90)'
    >>> from msgspec import structs
    >>> cause_phrase(structs.replace(c, column="temp @ site=north", of="temp", where="site = north", only=True))
    'temp is higher by 0.81 sd (0.70 to 0.90) only where site = north'
    """
    if cause.term == "silence":
        before = f"before never more than {lasted(round(cause.tolerance * HOUR_MS))}" if cause.tolerance > 0 else "as never before"
        return f"no event for {lasted(round(cause.high * HOUR_MS))}; {before}"
    if cause.term == "volume":
        sign = 1 if cause.effect >= 0 else -1
        least, most = sorted((exp(sign * cause.low), exp(sign * cause.high)))
        return f"events are {exp(cause.effect):.2f} times as many as in the reference ({least:.2f} to {most:.2f})"
    said = _phrase(cause, cause.of or cause.column) + (f"{' only' if cause.only else ''} where {cause.where}" if cause.where else "")
    return f"{said}, {cause.note}" if cause.note else said


def _phrase(cause: Cause, column: str) -> str:  # noqa: PLR0911 - a phrase for each kind of term
    interval = f"({cause.low:.2f} to {cause.high:.2f})"
    size = f"{abs(cause.effect):.2f}"
    if cause.term == "location":
        return f"{column} is {'higher' if cause.direction == 'up' else 'lower'} by {size} sd {interval}"
    if cause.term == "scale":
        return f"{column} is {'wider' if cause.direction == 'up' else 'narrower'} by {size} {interval}"
    if cause.term == "tails":
        return f"the shape of {column} has changed by {size} {interval}"
    if cause.term == "correlation":
        return f"the correlation of {column} is {'higher' if cause.direction == 'up' else 'lower'} by {size} {interval}"
    if cause.term == "null":
        return f"{column} is {'more' if cause.direction == 'up' else 'less'} often missing, by {size} sd {interval}"
    if cause.term == "unseen":
        return f"{column} takes values that the reference never saw, by {size} sd {interval}"
    if cause.term.startswith("value:"):
        value = cause.term.removeprefix("value:")
        return f"{column} = {value} is {'more' if cause.direction == 'up' else 'less'} frequent, by {size} sd {interval}"
    return f"{column} ({cause.term}) has changed by {size} sd {interval}"


def _only(causes: tuple[Cause, ...], *terms: str) -> bool:
    """Say whether there is nothing but such terms among the causes."""
    return bool(causes) and all(cause.term in terms for cause in causes)


def opened_sentence(model: str, kind: PaneKind, causes: tuple[Cause, ...], onset: int, n: int, moved: int = 0) -> str:  # noqa: PLR0917 - what, whose, why, when, in how many
    """Return the sentence of an episode that opens. ``moved`` columns did, of which ``causes`` holds the first."""
    moved = max(moved, len(_one_each(causes)))
    if _only(causes, "silence"):
        return f"{model} has gone quiet since {format_time(onset)}: {cause_phrase(causes[0])}."
    if _only(causes, "volume"):
        return f"The traffic of {model} has changed since {format_time(onset)}: {cause_phrase(causes[0])}, {n:,} of them."
    if kind == "outcomes":
        subject = f"The errors of {model} have {_how(causes)}"
    else:
        subject = f"{f'{moved:,}' if moved > _NAMED else 'The'} inputs of {model} have drifted"
    return f"{subject} since {format_time(onset)}: {_named(causes, moved) or 'many small changes together'}, seen in {n:,} events."


def _how(causes: tuple[Cause, ...]) -> str:
    """Say whether errors have grown, or become smaller, which is no bad news; of anything else, that they have changed."""
    ways = {cause.direction if cause.term == "location" and (cause.of or cause.column) in LOSSES else "changed" for cause in causes}
    if ways == {"up"}:
        return "grown"
    return "become smaller" if ways == {"down"} else "changed"


def outside_sentence(by: str) -> str:
    """Return what is added where a sequential detector opened the episode.

    >>> outside_sentence("page_hinkley on the errors")
    'Opened by page_hinkley on the errors, which stands outside the alarm budget.'
    """
    return f"Opened by {by}, which stands outside the alarm budget."


def spread_sentence(model: str, kind: PaneKind, causes: tuple[Cause, ...], more: int, moved: int, n: int) -> str:  # noqa: PLR0917 - as above
    """Return the sentence of an episode to which ``more`` columns have come, of which ``causes`` holds the first; ``moved`` in all."""
    more = max(more, len(_one_each(causes)))
    if _only(causes, "silence"):
        return f"Besides, {model} has gone quiet: {cause_phrase(causes[0])}."
    subject = f"More inputs of {model} have drifted" if kind == "features" else f"More has changed about the errors of {model}"
    return f"{subject}, {more:,} that come to {max(moved, more):,}: {_named(causes, more)}, seen in {n:,} events."


def ended_sentence(model: str, how: AlertStatus, causes: tuple[Cause, ...], opened_at: int, at: int) -> str:
    """Return the sentence of an episode that ends."""
    what = (
        ", ".join(f"{cause.of} where {cause.where}" if cause.where else cause.column for cause in _one_each(causes)[:_NAMED]) or "many small changes"
    )
    after = lasted(at - opened_at)
    if how == "resolved" and _only(causes, "silence"):
        return f"Events of {model} come again after {after}."
    if how == "resolved":
        return f"The drift of {model} ({what}) is back within tolerance after {after}."
    if how == "accepted":
        return f"The drift of {model} ({what}) was accepted as the new normal after {after}: a new reference holds."
    return f"The drift of {model} ({what}) ended after {after} because a new version with its own reference took over."


def lasted(millis: int) -> str:
    """Return how long something went on, in whole units of which there are at least two, as one says it.

    >>> lasted(7 * DAY_MS + HOUR_MS), lasted(30 * HOUR_MS), lasted(90_000), lasted(500)
    ('7d', '30h', '90s', '0s')
    """
    unit = next((unit for unit in (DAY_MS, HOUR_MS, MINUTE_MS) if millis >= 2 * unit), SECOND_MS)
    return format_duration(millis // unit * unit) if millis >= SECOND_MS else "0s"


def _named(causes: tuple[Cause, ...], moved: int) -> str:
    """Return the first of the causes in words, and how many there are beside them."""
    first = _one_each(causes)[:_NAMED]
    more = moved - len(first)
    return "; ".join(map(cause_phrase, first)) + (f"; and {more:,} more" if first and more > 0 else "")


def _one_each(causes: tuple[Cause, ...]) -> list[Cause]:
    """Return the first cause of each column, by what they do to the model."""
    best: dict[str, Cause] = {}
    for cause in ranked(causes):
        best.setdefault(cause.column, cause)
    return list(best.values())
