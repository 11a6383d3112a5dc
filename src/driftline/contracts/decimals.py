"""Numbers in JSON to the nearest double, in compiled code.

Up to 19 digits are read as one integer ``w``, eight of them at a time; the number is ``w * 10**q``. Where both are doubles, one multiplication or
division is right (Clinger, "How to read floating point numbers accurately", 1990); else ``w`` is multiplied by the first 128 bits of ``5**q``, which
are enough to know how to round (Lemire, "Number parsing at a gigabyte per second", 2021; Mushtak and Lemire, "Fast number parsing without fallback",
2023).
"""

from __future__ import annotations

from math import ldexp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.compiled import compiled, inlined

U = np.uint64
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]

#: Greatest power of ten, up or down, that is read here.
MOST: Final = 110
_DIGITS: Final = 19
#: Powers of ten that are doubles, and the greatest integer up to which all are.
_EXACT: Final = np.array([10.0**k for k in range(23)])
_WHOLE: Final = U(1 << 53)
_TENS: Final = np.array([10**k for k in range(8)], np.uint64)
_ZERO, _DOT, _PLUS, _MINUS, _E = 0x30, 0x2E, 0x2B, 0x2D, 0x65


def _power(q: int) -> int:
    """Return the first 128 bits of ``5**q``; of a fraction rounded up, so that no product is too small."""
    if q >= 0:
        bits = (5**q).bit_length() - 128
        return int(5**q >> bits if bits > 0 else 5**q << -bits)
    shift = (5**-q).bit_length() + 127
    return int(-(-(1 << shift) // 5**-q))


_POWERS: Final = np.array([divmod(_power(q), 1 << 64) for q in range(-MOST, MOST + 1)], np.uint64)


@inlined
def _high(a: np.uint64, b: np.uint64) -> np.uint64:
    """Return the upper 64 bits of a product of 128."""
    low, half = U(0xFFFFFFFF), U(32)
    cross = (a >> half) * (b & low) + ((a & low) * (b & low) >> half)
    return (a >> half) * (b >> half) + (cross >> half) + ((cross & low) + (a & low) * (b >> half) >> half)


@inlined
def signed(n: np.uint64) -> int:
    """Return a number that is less than ``2**63``: signed and unsigned ones together would become a float."""
    return np.int64(n)  # type: ignore[return-value]  # all its integers are NumPy's, when it is compiled


@compiled
def nearest(w: np.uint64, q: int) -> float:
    """Return the double nearest to ``w * 10**q``, NaN where it is none of the usual ones (subnormal, infinite, further than ``MOST``)."""
    if w == U(0):
        return 0.0
    if not -MOST <= q <= MOST:
        return np.nan
    zeros, step = 0, 32
    while step:
        if w >> U(64 - step) == U(0):
            w <<= U(step)
            zeros += step
        step >>= 1
    high, low = _high(w, _POWERS[q + MOST, 0]), w * _POWERS[q + MOST, 0]
    if high & U(0x1FF) == U(0x1FF):  # so near to where rounding changes that the other half of the power counts
        more = _high(w, _POWERS[q + MOST, 1])
        low += more
        high += U(low < more)
        if low == U(0xFFFFFFFFFFFFFFFF) and not -27 <= q <= 55:
            return np.nan
    top = signed(high >> U(63))
    shift = U(top + 9)
    mantissa = high >> shift
    if low <= U(1) and -4 <= q <= 23 and mantissa & U(3) == U(1) and mantissa << shift == high:  # a tie: to the even one
        mantissa &= ~U(1)
    mantissa = (mantissa + (mantissa & U(1))) >> U(1)
    # The binary exponent of 10**q is that of q * log2(10), which this integer product is for every q here.
    exponent = (217_706 * q >> 16) + 63 + top - zeros
    if not -1022 < exponent < 1023:
        return np.nan
    return ldexp(float(mantissa), exponent - 52)


@inlined
def _value(digits: np.uint64) -> np.uint64:
    """Return the number that eight digits are, each in its byte, the first in the lowest: pairs, then fours, then all at once."""
    pairs = digits * U(10) + (digits >> U(8))
    low = U(0x000000FF000000FF)
    return ((pairs & low) * U(0x000F424000000064) + (pairs >> U(16) & low) * U(0x0000271000000001)) >> U(32)


@inlined
def _others(word: np.uint64) -> np.uint64:
    """Return the top bit of each byte that is more than 9."""
    return (((word & U(0x7F7F7F7F7F7F7F7F)) + U(0x7676767676767676)) | word) & U(0x8080808080808080)


@inlined
def _leading(tops: np.uint64) -> np.uint64:
    """Return how many bytes come before the first whose top bit is set; one is."""
    first = (tops & (~tops + U(1))) >> U(7)
    return ((first - U(1)) & U(0x0101010101010101)) * U(0x0101010101010101) >> U(56)


@inlined
def digits(words: Words, p: int, w: np.uint64) -> tuple[int, np.uint64]:
    """Return the place after the digits at ``p``, and ``w`` with them at its end."""
    while True:
        word = words[p] ^ U(0x3030303030303030)
        others = _others(word)
        if others != U(0):
            break
        w = w * U(100_000_000) + _value(word)
        p += 8
    n = _leading(others)
    # In two steps: a word can't be shifted by all of its bits.
    return p + signed(n), w * _TENS[n] + _value(word << U(8) << (U(56) - U(8) * n))


@inlined
def number(raw: Bytes, words: Words, p: int) -> tuple[int, float]:  # noqa: PLR0911  # whatever is no number
    """Return the place after the number at ``p``, and the number; the place -1 where there is none, or one that is not read here.

    Not read are numbers of more than 19 digits or 4 of an exponent, the integer ``-0``, and what ``nearest`` refuses. ``words[p]`` are the eight
    bytes at ``p``; after all that is read stand eight that are no digits.
    """
    # Signs come as they like: neither here nor at the end is there a branch that the processor would have to guess.
    negative = signed(U(raw[p] == _MINUS))
    first = p + negative
    p, w = digits(words, first, U(0))
    n = p - first
    if n == 0 or (n > 1 and raw[first] == _ZERO):
        return -1, 0.0
    whole, q = True, 0
    if raw[p] == _DOT:
        after, w = digits(words, p + 1, w)
        q = p + 1 - after
        if q == 0:
            return -1, 0.0
        n, p, whole = n - q, after, False
    at = first
    while n > _DIGITS and (raw[at] == _ZERO or raw[at] == _DOT):  # zeros that lead are none of its digits
        n -= raw[at] == _ZERO
        at += 1
    if n > _DIGITS:
        return -1, 0.0
    if raw[p] | 0x20 == _E:
        p, power = _exponent(raw, words, p + 1)
        if p < 0:
            return -1, 0.0
        q, whole = q + power, False
    if negative and whole and w == U(0):  # an integer has no minus zero
        return -1, 0.0
    if w > _WHOLE or not -22 <= q <= 22:
        found = nearest(w, q)
        if np.isnan(found):
            return -1, 0.0
    else:
        found = float(w) / _EXACT[-q] if q < 0 else float(w) * _EXACT[q]
    return p, found * np.float64(1 - 2 * negative)


@inlined
def _past_digits(words: Words, p: int) -> int:
    """Return the place after the digits at ``p``."""
    while True:
        others = _others(words[p] ^ U(0x3030303030303030))
        if others != U(0):
            return p + signed(_leading(others))
        p += 8


@inlined
def past_number(raw: Bytes, words: Words, p: int) -> int:
    """Return the place after the number at ``p``, whatever it is; -1 where there is none."""
    first = p + signed(U(raw[p] == _MINUS))
    p = _past_digits(words, first)
    if p == first or (p > first + 1 and raw[first] == _ZERO):
        return -1
    if raw[p] == _DOT:
        first = p + 1
        p = _past_digits(words, first)
        if p == first:
            return -1
    if raw[p] | 0x20 == _E:
        first = p + 1 + signed(U(raw[p + 1] == _MINUS or raw[p + 1] == _PLUS))
        p = _past_digits(words, first)
        if p == first:
            return -1
    return p


@inlined
def _exponent(raw: Bytes, words: Words, p: int) -> tuple[int, int]:
    """Return the place after the exponent at ``p``, and the exponent; the place -1 where there is none, or a large one."""
    down = raw[p] == _MINUS
    if down or raw[p] == _PLUS:
        p += 1
    after, power = digits(words, p, U(0))
    if not 0 < after - p <= 4:
        return -1, 0
    return after, -signed(power) if down else signed(power)
