"""The fields of an event as the contract has them, or an error that names the field, the value and what is accepted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from driftline.contracts.errors import DecodeError
from driftline.contracts.events import MAX_CLASSES, MAX_ID_CHARS, MAX_SLICES
from driftline.contracts.times import parse_time
from driftline.producers.features import plain_scalar

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def name(field: str, value: object) -> str:
    """Return a name or an id; TypeError for what is no text, ValueError for an empty one, a long one or one with NUL."""
    if not isinstance(value, str):
        raise TypeError(f"{field} is of type {type(value).__name__}; expected text")
    if not value or len(value) > MAX_ID_CHARS or "\x00" in value:
        raise ValueError(f"{field} has {len(value)} characters; expected 1 to {MAX_ID_CHARS}, none of them NUL")
    return value


def class_or_number(field: str, value: object) -> float | str | bool | None:
    """Return a prediction or a label."""
    plain = plain_scalar(field, value)
    return text(field, plain) if isinstance(plain, str) else plain


def text(field: str, value: str) -> str:
    """Return a text that is no longer than an id may be; it may be empty."""
    if len(value) > MAX_ID_CHARS or "\x00" in value:
        raise ValueError(f"{field} has {len(value)} characters; expected at most {MAX_ID_CHARS}, none of them NUL")
    return value


def slices(given: Mapping[str, object]) -> dict[str, str]:
    """Return the names and values of slices as text."""
    _check_size("slice", given, MAX_SLICES)
    return {text("a name in slice", str(name)): text("a value in slice", str(value)) for name, value in given.items()}


def probabilities(given: Mapping[str, object]) -> dict[str, float]:
    """Return the probabilities of the classes, each of them finite."""
    _check_size("probabilities", given, MAX_CLASSES)
    return {text("a name in probabilities", str(label)): probability(label, share) for label, share in given.items()}


def _check_size(field: str, given: Mapping[str, object], most: int) -> None:
    if len(given) > most:
        raise ValueError(f"{field} has {len(given)} entries; at most {most} are accepted")


def number(field: str, value: object) -> float | None:
    """Return a number; infinities and NaN are None."""
    plain = plain_scalar(field, value)
    if plain is None or (isinstance(plain, int | float) and not isinstance(plain, bool)):
        return plain
    raise TypeError(f"{field} is of type {type(value).__name__}; expected a number or None")


def probability(label: object, value: object) -> float:
    """Return the probability of a class, which has to be finite."""
    share = number(f"probabilities[{label!r}]", value)
    if share is None:
        raise ValueError(f"probabilities[{label!r}] is {value!r}; expected a finite number")
    return share


def millis(value: object) -> int:
    """Return a time as epoch milliseconds, cut as text is; None is now.

    >>> millis(datetime(2013, 3, 1, 5, 15, tzinfo=UTC)) == millis("2013-03-01T05:15:00Z") == 1362114900000
    True
    """
    if value is None:
        return time.time_ns() // 1_000_000
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("event_time has no time zone")
        value = (value - _EPOCH) // timedelta(milliseconds=1)
    try:
        return parse_time(value)
    except DecodeError as error:
        raise ValueError(error.reason) from None
