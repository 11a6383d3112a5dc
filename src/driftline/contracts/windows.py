"""How the windows of a model are cut: by time, by count, or by whichever comes first; tumbling, or sliding by a step."""

from __future__ import annotations

import re
from typing import NamedTuple

from driftline.contracts.errors import SettingsError
from driftline.contracts.times import DAY_MS, is_duration, parse_duration

#: A window by count alone ends after so much event time at the latest: what never fills must not stay open for ever.
LONGEST_BY_COUNT = 30 * DAY_MS
#: Where a window has no time of its own, what is told in windows (labels that are overdue, evidence that is remembered) takes a day for each.
_USUAL = DAY_MS
_MOST_EVENTS = 1_000_000_000
#: Steps in a window by count: each of its findings is the sum of so many cells, and the state knows where the last ones lie.
_MOST_STEPS = 1_000
_COUNT = re.compile(r"\s*(\d{1,18})\s*(?:events?|rows?)\s*")
ACCEPTED = "a duration such as 1h, a number of events such as 10000 events, or both: 1h or 10000 events"


class WindowRule(NamedTuple):
    """How windows are cut. ``longest`` (ms) is their time, or by ``events`` the bound of it. They slide by ``slide`` (ms), or by ``step`` events
    where they end by count; tumbling ones by neither.
    """

    longest: int
    events: int | None = None
    slide: int = 0
    usual: int = 0
    step: int = 0


def parse_window(text: object, slide: object = None, field: str = "window", slide_field: str = "slide") -> WindowRule:
    """Return the rule that a window's text states, whichever of time and count comes first in it. Raises SettingsError.

    >>> parse_window("1h")
    WindowRule(longest=3600000, events=None, slide=0, usual=3600000, step=0)
    >>> parse_window("10000 events or 1h") == parse_window("1h or 10000 events")
    True
    >>> parse_window("500 events").events, parse_window("6h", "15m").slide
    (500, 900000)
    >>> parse_window("1h or 10000 events", "1000 events").step
    1000
    >>> parse_window("an hour")
    Traceback (most recent call last):
    driftline.contracts.errors.SettingsError: window: 'an hour' is not accepted; expected a duration such as 1h, a number of events such as \
10000 events, or both: 1h or 10000 events
    """
    parts = text.split(" or ") if isinstance(text, str) else []
    counts = [int(match[1]) for part in parts if (match := _COUNT.fullmatch(part))]
    times = [parse_duration(part, field) for part in parts if is_duration(part)]
    if not parts or len(counts) + len(times) != len(parts) or len(counts) > 1 or len(times) > 1:
        raise SettingsError(field, text, ACCEPTED)
    if counts and not 1 <= counts[0] <= _MOST_EVENTS:
        raise SettingsError(field, text, f"from 1 to {_MOST_EVENTS} events")
    if times and times[0] == 0:
        raise SettingsError(field, text, "a duration longer than zero")
    longest = times[0] if times else LONGEST_BY_COUNT
    rule = WindowRule(longest, counts[0] if counts else None, usual=times[0] if times else _USUAL)
    if slide is None:
        return rule
    match = _COUNT.fullmatch(slide) if isinstance(slide, str) else None
    if counts:
        events = int(match[1]) if match else 0
        if not 0 < events < counts[0] or counts[0] % events or counts[0] // events > _MOST_STEPS:
            accepted = f"a number of events that divides the window's, from a thousandth to half of it, for the window ({text}) ends by count"
            raise SettingsError(slide_field, slide, accepted)
        return rule._replace(step=events)
    step = 0 if match else parse_duration(slide, slide_field)
    if step == 0 or step >= longest or longest % step:
        raise SettingsError(slide_field, slide, f"a step shorter than the window ({text}) that divides it")
    return rule._replace(slide=step)


def check_window(window: str, slide: str | None, pane: str, place: str) -> None:
    """Judge window, slide and pane of a model together; raises SettingsError with the full name of the field."""
    rule = parse_window(window, slide, f"{place}.window", f"{place}.slide")
    step = parse_duration(pane)
    stated = rule.events is None or rule.longest != LONGEST_BY_COUNT
    if stated and (rule.longest % step or (rule.longest <= step and rule.events is None)):
        raise SettingsError(f"{place}.window", window, f"a multiple of the pane ({pane}), twice as long at least")
    if rule.slide % step or 0 < rule.slide <= step:
        raise SettingsError(f"{place}.slide", slide, f"a multiple of the pane ({pane}), twice as long at least")
