"""Points in time as text, in compiled code: RFC 3339 as nearly all programs write it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.compiled import inlined
from driftline.contracts.decimals import digits, signed

U = np.uint64
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]

_DASH, _COLON, _DOT, _T, _Z, _PLUS = 0x2D, 0x3A, 0x2E, 0x54, 0x5A, 0x2B
#: Days of each month but the last of February in a leap year.
_DAYS: Final = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


@inlined
def _field(words: Words, p: int, width: int) -> tuple[int, int]:
    """Return the place after a number of so many digits, and the number; -1 where there are not as many."""
    after, found = digits(words, p, U(0))
    return (after, signed(found)) if p >= 0 and after - p == width else (-1, 0)


@inlined
def _days(year: int, month: int, day: int) -> int:
    """Return the days since 1970-01-01: of a year that begins in March, so that the day that some years lack is the last."""
    shifted = year - (month <= 2)
    of_year = (153 * (month - 3 + 12 * (month <= 2)) + 2) // 5 + day - 1
    return shifted * 365 + shifted // 4 - shifted // 100 + shifted // 400 + of_year - 719_468


@inlined
def rfc_3339(raw: Bytes, words: Words, p: int) -> tuple[int, int]:  # noqa: PLR0911  # whatever is none
    """Return the place after the time at ``p``, and its milliseconds since 1970; -1 where there is none, or one that is not read here.

    Read are ``2013-03-01T05:15:00Z``, with three or six digits of a second after a dot or none, and with an offset such as ``+01:30`` for ``Z``.
    """
    a, year = _field(words, p, 4)
    b, month = _field(words, a + 1, 2) if a > 0 and raw[a] == _DASH else (-1, 0)
    c, day = _field(words, b + 1, 2) if b > 0 and raw[b] == _DASH else (-1, 0)
    d, hour = _field(words, c + 1, 2) if c > 0 and raw[c] == _T else (-1, 0)
    e, minute = _field(words, d + 1, 2) if d > 0 and raw[d] == _COLON else (-1, 0)
    f, second = _field(words, e + 1, 2) if e > 0 and raw[e] == _COLON else (-1, 0)
    if f < 0 or not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return -1, 0
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _DAYS[month - 1] + leap:
        return -1, 0
    millis = ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60_000 + second * 1_000
    if raw[f] == _DOT:
        g, fraction = digits(words, f + 1, U(0))
        if g - f == 4:
            millis += signed(fraction)
        elif g - f == 7:
            millis += signed(fraction) // 1_000
        else:
            return -1, 0
        f = g
    if raw[f] == _Z:
        return f + 1, millis
    if raw[f] != _PLUS and raw[f] != _DASH:
        return -1, 0
    h, hours = _field(words, f + 1, 2)
    m, minutes = _field(words, h + 1, 2) if h > 0 and raw[h] == _COLON else (-1, 0)
    if m < 0 or hours > 23 or minutes > 59:
        return -1, 0
    ahead = (hours * 60 + minutes) * 60_000
    return m, millis - ahead if raw[f] == _PLUS else millis + ahead
