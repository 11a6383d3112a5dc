"""What is said to people: one plain sentence each, with what, how large, since when, at what n."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import exp

from driftline.alerts.ranking import ranked
from driftline.contracts.findings import AlertStatus, Cause
from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, format_duration, format_time

_NAMED = 3
#: Columns of outcomes of which more is worse. ``error`` is '0' (right) or '1' for classes, and a signed number for regression.
LOSSES = ("loss", "brier", "absolute_error")
#: Columns beside the inputs of a model that are no inputs, and how they are called.
_OTHERS = {
    "score": "the score",
    "model.score": "the score",  # so called where a feature has its name
    "prediction": "the prediction",
    "model.prediction": "the prediction",
    "volume": "the traffic",
}


def cause_phrase(cause: Cause, kind: PaneKind = "features", since: str = "") -> str:
    """Return one cause in words, with ``since`` (a time in words, where it has one of its own) and what else is worth saying of it.

    >>> c = Cause(column="temp", term="location", direction="up", effect=0.81, low=0.7, high=0.9, tolerance=0.2, share=0.9, importance=0.1, onset=0)
    >>> cause_phrase(c)
    'temp is higher by 0.81 sd (0.70 to 0.90)'
    >>> from msgspec import structs
    >>> cause_phrase(structs.replace(c, column="temp @ site=north", of="temp", where="site = north", only=True))
    'temp is higher by 0.81 sd (0.70 to 0.90) only where site = north'
    >>> cause_phrase(structs.replace(c, term="null", share_then=0.01, share_now=0.091))
    'temp is more often missing, from 1.00% to 9.10% (8.00% to 10.00%)'
    """
    if cause.term == "silence":
        before = f"before never more than {lasted(round(cause.tolerance * HOUR_MS))}" if cause.tolerance > 0 else "as never before"
        return f"no event for {lasted(round(cause.high * HOUR_MS))}; {before}"
    began = f" since {since}" if since else ""
    if cause.term == "volume":
        sign = 1 if cause.effect >= 0 else -1
        least, most = sorted((exp(sign * cause.low), exp(sign * cause.high)))
        return f"events are {exp(cause.effect):.2f} times as many as in the reference ({least:.2f} to {most:.2f}){began}"
    said = _phrase(cause, cause.of or cause.column, kind) + (f"{' only' if cause.only else ''} where {cause.where}" if cause.where else "") + began
    return f"{said}, {cause.note}" if cause.note else said


def _phrase(cause: Cause, column: str, kind: PaneKind) -> str:  # noqa: PLR0911 - a phrase for each kind of term
    interval = f"({cause.low:.2f} to {cause.high:.2f})"
    size = f"{abs(cause.effect):.2f}"
    up = cause.direction == "up"
    if cause.term == "location":
        return f"{column} is {'higher' if up else 'lower'} by {size} sd {interval}"
    if cause.term == "scale":
        return f"{column} is {'wider' if up else 'narrower'} by {size} {interval}"
    if cause.term == "tails":
        return f"the shape of {column} has changed by {size} {interval}"
    if cause.term == "correlation":
        return f"the correlation of {column} is {'higher' if up else 'lower'} by {size} {interval}"
    how_much = _share(cause, of_the_rest=False) or f"by {size} sd {interval}"
    if cause.term == "null":
        return f"{column} is {'more' if up else 'less'} often missing, {how_much}"
    if cause.term == "unseen":
        return f"{column} takes values that the reference never saw, {how_much}"
    right = cause.term == "value:0"
    if kind == "outcomes" and column == "error" and (right or cause.term == "value:1") and cause.share_now is not None:
        return f"the error rate is {'higher' if up != right else 'lower'}, {_share(cause, of_the_rest=right)}"
    if cause.term.startswith("value"):
        value = cause.term.removeprefix("value:").removeprefix("value ")
        return f"{column} = {value} is {'more' if up else 'less'} frequent, {how_much}"
    return f"{column} ({cause.term}) has changed by {size} sd {interval}"


def _share(cause: Cause, *, of_the_rest: bool) -> str:
    """Return in percent what the share was and what it is, with its interval; nothing where the cause does not hold both."""
    then, now = cause.share_then, cause.share_now
    if then is None or now is None:
        return ""
    ends = [now]
    if cause.effect:
        each = (now - then) / abs(cause.effect)
        ends = [min(max(then + each * size, 0.0), 1.0) for size in (cause.low, cause.high)]
    if of_the_rest:
        then, now, ends = 1 - then, 1 - now, [1 - end for end in ends]
    return f"from {then:.2%} to {now:.2%} ({min(ends):.2%} to {max(ends):.2%})"


def telling(causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
    """Return the causes without those whose effect lies within tolerance, interval and all; of nothing else, all."""
    return tuple(cause for cause in causes if cause.high > cause.tolerance) or causes


def _only(causes: tuple[Cause, ...], *terms: str) -> bool:
    """Say whether there is nothing but such terms among the causes."""
    return bool(causes) and all(cause.term in terms for cause in causes)


def opened_sentence(model: str, kind: PaneKind, causes: tuple[Cause, ...], onset: int, n: int, moved: Collection[str] = ()) -> str:  # noqa: PLR0917 - what, whose, why, when, in how many
    """Return the sentence of an episode that opens. ``moved`` names all columns that did, of which ``causes`` holds the first."""
    told = telling(causes)
    within = {cause.column for cause in causes} - {cause.column for cause in told}
    names = {*moved, *(cause.column for cause in told)} - within
    first = min((cause.onset for cause in told), default=onset)
    if _only(told, "silence"):
        return f"{model} has gone quiet since {format_time(first)}: {cause_phrase(told[0])}."
    if _only(told, "volume"):
        return f"The traffic of {model} has changed since {format_time(first)}: {cause_phrase(told[0])}, {n:,} of them."
    subject = f"The errors of {model} have {_how(told)}" if kind == "outcomes" else _drifted(model, names)
    return f"{subject} since {format_time(first)}: {_named(told, kind, len(names), first) or 'many small changes together'}, seen in {n:,} events."


def _drifted(model: str, names: Collection[str]) -> str:
    """Say which side of a model has drifted: inputs are counted, what it says of them is named.

    >>> _drifted("m", ["temp", "score", "hour"]), _drifted("m", ["score"]), _drifted("m", ["temp"])
    ('2 inputs and the score of m have drifted', 'The score of m has drifted', 'The inputs of m have drifted')
    """
    inputs, others = _sides(names)
    if not others:
        return f"{f'{inputs:,}' if inputs > _NAMED else 'The'} inputs of {model} have drifted"
    parts = [f"{inputs:,} {'input' if inputs == 1 else 'inputs'}", *others] if inputs else others
    subject = _listed(parts)
    return f"{subject[0].upper()}{subject[1:]} of {model} {'have' if len(parts) > 1 else 'has'} drifted"


def _sides(names: Collection[str]) -> tuple[int, list[str]]:
    """Return how many of the columns are inputs, and in words what else there is among them."""
    wholes = [name.partition(" @ ")[0] for name in names]
    return sum(name not in _OTHERS for name in wholes), list(dict.fromkeys(word for name, word in _OTHERS.items() if name in wholes))


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _how(causes: tuple[Cause, ...]) -> str:
    """Say whether errors have grown, or become smaller, which is no bad news; of anything else, that they have changed.

    Losses that are higher, and spread or shaped otherwise as well, have grown; what is smaller is good news only if nothing else is told of it.
    """
    ways = {_way(cause) for cause in causes}
    if "up" in ways and "down" not in ways:
        return "grown"
    return "become smaller" if ways == {"down"} else "changed"


def _way(cause: Cause) -> str:
    column = cause.of or cause.column
    if (cause.term == "location" and column in LOSSES) or (cause.term == "value:1" and column == "error"):
        return cause.direction
    if cause.term == "value:0" and column == "error":  # right
        return "down" if cause.direction == "up" else "up"
    return "changed"


def outside_sentence(by: str) -> str:
    """Return what is added where a sequential detector opened the episode.

    >>> outside_sentence("page_hinkley on the errors")
    'Opened by page_hinkley on the errors, which stands outside the alarm budget.'
    """
    return f"Opened by {by}, which stands outside the alarm budget."


def spread_sentence(  # noqa: PLR0917 - as above
    model: str, kind: PaneKind, news: tuple[Cause, ...], now: tuple[Cause, ...], more: Collection[str], moved: int, onset: int, n: int
) -> str:
    """Return the sentence of an episode (of ``onset``) to which ``more`` columns have come, of which ``news`` holds the first; ``moved`` in all.
    ``now``: all its causes as they are now.
    """
    if _only(news, "silence"):
        return f"Besides, {model} has gone quiet: {cause_phrase(news[0])}."
    names = {*more, *(cause.column for cause in news)}
    count, whole = len(names), max(moved, len(names))
    named = _named(news, kind, count, onset)
    if kind == "outcomes":
        how = _how(tuple(cause for cause in now if abs(cause.effect) > cause.tolerance))
        columns = "column" if count == 1 else "columns"
        return f"The errors of {model} have {how} by now; {count:,} {columns} more, {whole:,} in all: {named}, seen in {n:,} events."
    inputs, others = _sides(names)
    subject = _listed(["more inputs", *others] if inputs else others)
    drifted = f"{subject[0].upper()}{subject[1:]} of {model} {'have' if inputs or len(others) > 1 else 'has'} drifted{'' if inputs else ' too'}"
    return f"{drifted}, {count:,} that come to {whole:,}: {named}, seen in {n:,} events."


def turned_sentence(model: str, kind: PaneKind, turned: tuple[Cause, ...], now: tuple[Cause, ...], n: int) -> str:
    """Return the sentence of an episode in which ``turned`` have come to move the other way; ``now``: all its causes as they are now.

    >>> c = Cause(column="x", term="location", direction="down", effect=-0.81, low=0.7, high=0.9, tolerance=0.2, share=1, importance=0.1, onset=0)
    >>> turned_sentence("m", "features", (c,), (c,), 1_200)
    'What has drifted in m has turned: x is lower by 0.81 sd (0.70 to 0.90), seen in 1,200 events.'
    """
    first = _one_each(turned)
    named = "; ".join(cause_phrase(cause, kind) for cause in first[:_NAMED]) + (f"; and {len(first) - _NAMED:,} more" if len(first) > _NAMED else "")
    how = _how(tuple(cause for cause in now if abs(cause.effect) > cause.tolerance))
    subject = f"The errors of {model} have turned, and have {how} by now" if kind == "outcomes" else f"What has drifted in {model} has turned"
    return f"{subject}: {named}, seen in {n:,} events."


def ended_sentence(model: str, how: AlertStatus, causes: tuple[Cause, ...], opened_at: int, at: int) -> str:
    """Return the sentence of an episode that ends."""
    what = (
        ", ".join(f"{cause.of} where {cause.where}" if cause.where else cause.column for cause in _one_each(telling(causes))[:_NAMED])
        or "many small changes"
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


def _named(causes: tuple[Cause, ...], kind: PaneKind, moved: int, onset: int) -> str:
    """Return the first of the causes in words, each with its own beginning where that is not ``onset``, and how many there are beside them."""
    first = _one_each(causes)[:_NAMED]
    more = moved - len(first)
    phrases = (cause_phrase(cause, kind, "" if cause.onset == onset else format_time(cause.onset)) for cause in first)
    return "; ".join(phrases) + (f"; and {more:,} more" if first and more > 0 else "")


def _one_each(causes: tuple[Cause, ...]) -> list[Cause]:
    """Return the first cause of each column, by what they do to the model."""
    best: dict[str, Cause] = {}
    for cause in ranked(causes):
        best.setdefault(cause.column, cause)
    return list(best.values())
