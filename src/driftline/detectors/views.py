"""What of a feature's value its column holds: a length, an age, an hour of the day, or the value if it is of the right kind.

Pure and row by row: a value, the event's time and the column tell it all, so that the same rows give the same slots however they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.contracts.reference import Column, GridColumn, NumericColumn, Reference, View
from driftline.contracts.times import DAY_MS, EARLIEST_MS, HOUR_MS, LATEST_MS
from driftline.detectors.binning import NULL, WRONG_TYPE, numbers_of
from driftline.detectors.rows import Coded, Held, Numbers, listed
from driftline.detectors.values import MISSING, finite_number

Ints = NDArray[np.int64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLI = timedelta(milliseconds=1)
#: From these on a number is no time in seconds, milliseconds, microseconds any more: 10^10 s is the year 2286.
_UNITS = ((1e17, 1, 1_000_000), (1e14, 1, 1_000), (1e10, 1, 1), (0.0, 1_000, 1))
_DATE = len("2026-11-26")


def viewed(column: Column, values: Held, times: Ints) -> Held:
    """Return what the column holds of its feature's ``values``, in events of these ``times`` (ms); as they are where it says nothing else.

    >>> column = NumericColumn(name="length(note)", role="feature", edges=(0.0, 9.0), center=4, scale=2, counts=(), view="length")
    >>> list(viewed(column, ["late", "", None], np.zeros(3, np.int64)))
    [4.0, 0.0, None]
    """
    if not isinstance(column, NumericColumn) or column.view is msgspec.UNSET:
        return values
    view: View = column.view
    if view == "integer":
        return _whole(values)
    if view == "length":
        longest = None if column.longest is msgspec.UNSET else column.longest
        return _told(values, lambda value: min(len(value), longest or len(value)) if isinstance(value, str) else None)
    if view in ("age", "hour"):
        moments = _told(values, moment_of)
        numbers = (times - moments.values) / DAY_MS if view == "age" else moments.values % DAY_MS / HOUR_MS
        return moments if moments.kinds is not None and moments.kinds.all() else _kept(numbers, moments.kinds)
    return values


def features_of(reference: Reference) -> dict[str, bool]:
    """Return the features that a reference watches, in its order, and whether each is taken as numbers by all its columns: such are read faster."""
    found: dict[str, bool] = {}
    for column in reference.columns:
        if column.role == "feature" and not isinstance(column, GridColumn):
            numeric = isinstance(column, NumericColumn) and column.view in (msgspec.UNSET, "value", "integer")
            found[column.feature] = numeric and found.get(column.feature, True)
    return found


def longest_of(lengths: Held) -> int:
    """Return the greatest length there is, 0 without any."""
    return int(numbers_of(lengths)[0].max(initial=0))


def moment_of(value: object) -> int | None:
    """Return the epoch milliseconds of a date or time of ISO 8601 (UTC without a zone), or of an epoch in s, ms, us or ns (us and ns: after
    March 1973); None for what is none.

    >>> [moment_of(v) for v in ("2013-03-01T05:15:00Z", "2013-03-01", 1362114900, 1362114900000, 7, "soon", True)]
    [1362114900000, 1362096000000, 1362114900000, 1362114900000, None, None, None]
    """
    if isinstance(value, str):
        return _parsed(value)
    if isinstance(value, bool) or (number := finite_number(value)) is None:
        return None
    up, down = next(unit for least, *unit in _UNITS if abs(number) >= least)
    millis = round(number * up / down)  # a float of nanoseconds is off by some hundreds of them: cut off, it would be a millisecond less
    return millis if EARLIEST_MS <= millis < LATEST_MS else None


def _parsed(text: str) -> int | None:
    # fromisoformat takes 20261126 too, which is as likely to be a number of something.
    if len(text) < _DATE or text[4] != "-":
        return None
    try:
        parsed = datetime.fromisoformat(text)
        return ((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)) - _EPOCH) // _MILLI
    except (ValueError, OverflowError):
        return None


def _told(values: Held, tell: Callable[[object], int | None]) -> Numbers:
    """Return what ``tell`` says of each value; None for one of a wrong type."""
    if isinstance(values, Coded):
        known = _told(values.values, tell)
        return known.take(values.codes)
    found, kinds = _one_by_one(listed(values), tell)
    return Numbers(found, kinds if kinds.any() else None)


def _one_by_one(values: Sequence[object], tell: Callable[[object], int | None]) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    found = np.zeros(len(values), np.float64)
    kinds = np.zeros(len(values), np.int8)
    for i, value in enumerate(values):
        if value is None or value is MISSING:
            kinds[i] = NULL
            continue
        told = tell(value)
        if told is None:
            kinds[i] = WRONG_TYPE
        else:
            found[i] = told
    return found, kinds


def _whole(values: Held) -> Numbers:
    numbers, kinds = numbers_of(values)
    odd = (kinds == 0) & (numbers != np.rint(numbers))
    if odd.any():
        kinds = np.where(odd, WRONG_TYPE, kinds).astype(np.int8)
    return _kept(numbers, kinds)


def _kept(numbers: NDArray[np.float64], kinds: NDArray[np.int8] | None) -> Numbers:
    if kinds is None or not kinds.any():
        return Numbers(numbers)
    return Numbers(np.where(kinds == 0, numbers, 0.0), kinds)
