"""Times are integers: milliseconds since 1970-01-01 UTC. Durations too."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from driftline.contracts.errors import DecodeError, SettingsError

SECOND_MS = 1_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

# Years 1971 to 2199: anything else is a unit mistake (seconds for milliseconds, say) or junk, and would open panes without end.
EARLIEST_MS = 31_536_000_000
LATEST_MS = 7_258_118_400_000
#: A hundred years: a longer duration is a slip, and would overflow what it is added to.
LONGEST_MS = 36_500 * DAY_MS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "min": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)\s*")


def parse_time(value: object) -> int:
    """Return epoch milliseconds from RFC 3339 text or an epoch in milliseconds.

    >>> parse_time("2013-03-01T05:15:00Z")
    1362114900000
    >>> parse_time(1362114900000)
    1362114900000
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise DecodeError(f"event_time is of type {type(value).__name__}; expected RFC 3339 text or epoch milliseconds")
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value.upper())  # RFC 3339 lets t and z be small
        except ValueError:
            raise DecodeError("event_time is text that is not RFC 3339") from None
        if parsed.tzinfo is None:
            raise DecodeError("event_time has no time zone; write Z or an offset")
        millis = (parsed - _EPOCH) // timedelta(milliseconds=1)
    else:
        if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - NaN is the value unequal to itself
            raise DecodeError("event_time is not finite")
        millis = int(value)
    if not EARLIEST_MS <= millis < LATEST_MS:
        raise DecodeError("event_time is outside the years 1971 to 2199")
    return millis


def format_time(millis: int, *, seconds: bool = False) -> str:
    """Return RFC 3339 text; unless ``seconds`` are asked for, to the minute where they are zero (that is ISO 8601 and easier to read).

    >>> format_time(1362114900000), format_time(1362114900000, seconds=True)
    ('2013-03-01T05:15Z', '2013-03-01T05:15:00Z')
    """
    moment = _EPOCH + timedelta(milliseconds=millis)
    text = moment.strftime("%Y-%m-%dT%H:%M")
    rest = millis % MINUTE_MS
    if rest or seconds:
        text += f":{rest // SECOND_MS:02d}" + (f".{rest % SECOND_MS:03d}" if rest % SECOND_MS else "")
    return text + "Z"


def parse_duration(value: object, field: str = "duration") -> int:
    """Return milliseconds from text such as ``90s``, ``1h``, ``30d``.

    >>> parse_duration("1.5h")
    5400000
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise SettingsError(field, value, "a duration such as 500ms, 5s, 10m, 1h, 30d, 2w")
    millis = float(match[1]) * _UNITS[match[2]]
    if millis > LONGEST_MS:
        raise SettingsError(field, value, "a duration of at most 36500d")
    return round(millis)


def is_duration(value: object) -> bool:
    """Say whether a value reads as a duration.

    >>> is_duration("5s"), is_duration("all")
    (True, False)
    """
    return isinstance(value, str) and _DURATION.fullmatch(value) is not None


def format_duration(millis: int) -> str:
    """Return a duration in its largest exact unit.

    >>> format_duration(5_400_000), format_duration(86_400_000)
    ('90m', '1d')
    """
    for unit in ("d", "h", "m", "s"):
        if millis and millis % _UNITS[unit] == 0:
            return f"{millis // _UNITS[unit]}{unit}"
    return f"{millis}ms"
