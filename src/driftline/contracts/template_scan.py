"""Records against a template, in compiled code: each value is read where the template has it, and all else has to be the same to the byte.

What is accepted here is JSON, and means what ``msgspec`` reads in it; whatever might not is refused, for the other way to read. A place in the bytes
is where reading goes on, and -1 where it does not.

No read goes beyond the zeros that follow the last record: digits and strings end at the first of them, and of a literal, which has no zero, no word
is compared before the one before it was the same.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.compiled import compiled, inlined
from driftline.contracts.decimals import digits, number, past_number, signed
from driftline.contracts.events import MAX_ID_CHARS
from driftline.contracts.templates import Kind
from driftline.contracts.time_texts import rfc_3339
from driftline.contracts.times import EARLIEST_MS, LATEST_MS

U = np.uint64
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Ints = NDArray[np.int64]

_NUMBER, _TIME, _ID, _TOKEN = int(Kind.NUMBER), int(Kind.TIME), int(Kind.ID), int(Kind.TOKEN)
_QUOTE, _BACKSLASH, _COMMA, _CLOSE, _ZERO, _N, _T, _F = 0x22, 0x5C, 0x2C, 0x7D, 0x30, 0x6E, 0x74, 0x66
_LONGEST_TIME: Final = 15
_LONGEST_TOKEN: Final = 1_024
_ONES, _TOPS = 0x0101010101010101, 0x8080808080808080


@compiled
def scan(  # noqa: PLR0917  # arrays, which a compiled function takes one by one
    raw: Bytes,
    words: Words,
    starts: Ints,
    ends: Ints,
    literals: Words,
    masks: Words,
    lengths: Ints,
    kinds: Bytes,
    numbers: NDArray[np.float64],
    nulls: Bytes,
    times: Ints,
    ids: Ints,
    tokens: Ints,
    fit: NDArray[np.bool_],
) -> int:
    """Read the values of each record ``raw[starts[i]:ends[i]]``; say which are ``fit``, and return the length of their ids together.

    What is not fit leaves anything in the other arrays.

    ``words[p]`` are the eight bytes at ``p``; zeros follow the last record. ``literals`` come in words, masked where one ends. ``numbers`` and
    ``nulls`` have the shape (slots of the kind, records), ``ids`` (records, 2) and ``tokens`` (slots, records, 2): from where in ``raw``, to where.
    """
    total = 0
    for i in range(len(starts)):
        p, end = starts[i], ends[i]
        at = n_numbers = n_tokens = 0
        for j in range(len(lengths)):
            p, at = _literal(words, p, literals, masks, at, lengths[j])
            if p < 0 or p > end or j == len(kinds):
                break
            kind = kinds[j]
            if kind == _NUMBER:
                p, numbers[n_numbers, i], nulls[n_numbers, i] = _number_or_null(raw, words, p)
                n_numbers += 1
            elif kind == _TIME:
                p, times[i] = _time(raw, words, p)
            elif kind == _ID:
                ids[i, 0] = p + 1
                p = _id(raw, words, p)
                ids[i, 1] = p - 1
            elif kind == _TOKEN:
                tokens[n_tokens, i, 0] = p
                p = _token(raw, p)
                tokens[n_tokens, i, 1] = p
                n_tokens += 1
            else:
                p = _skipped(raw, words, p)
            if p < 0:
                break
        fit[i] = p == end
        if p == end:
            total += ids[i, 1] - ids[i, 0]
    return total


@inlined
def _literal(words: Words, p: int, literals: Words, masks: Words, at: int, length: int) -> tuple[int, int]:  # noqa: PLR0917
    """Return the places after a literal, among the bytes and among the literals' words; -1 where it does not stand there."""
    differs = U(0)
    n = (length + 7) >> 3
    for k in range(n):
        differs |= (words[p + 8 * k] ^ literals[at + k]) & masks[at + k]
        if differs != U(0):
            return -1, at
    return p + length, at + n


@inlined
def _null(raw: Bytes, p: int) -> bool:
    return bool(raw[p] == _N and raw[p + 1] == 0x75 and raw[p + 2] == 0x6C and raw[p + 3] == 0x6C)


@inlined
def _number_or_null(raw: Bytes, words: Words, p: int) -> tuple[int, float, int]:
    if _null(raw, p):
        return p + 4, 0.0, 1
    after, found = number(raw, words, p)
    return after, found, 0


@inlined
def _time(raw: Bytes, words: Words, p: int) -> tuple[int, int]:
    """Return the place after a point in time, in digits or as text, and the milliseconds."""
    if raw[p] == _QUOTE:
        after, millis = rfc_3339(raw, words, p + 1)
        if after < 0 or raw[after] != _QUOTE or not EARLIEST_MS <= millis < LATEST_MS:
            return -1, 0
        return after + 1, millis
    after, found = digits(words, p, U(0))
    if raw[p] == _ZERO or after - p > _LONGEST_TIME or not EARLIEST_MS <= found < LATEST_MS:
        return -1, 0
    return after, signed(found)


@inlined
def _plain_string(raw: Bytes, words: Words, p: int) -> int:
    """Return the place after the string at ``p``: of ASCII without controls, quotes and backslashes; -1 where there is none."""
    if raw[p] != _QUOTE:
        return -1
    p += 1
    while True:
        word = words[p]
        quotes, slashes = word ^ U(_QUOTE * _ONES), word ^ U(_BACKSLASH * _ONES)
        # A byte that is 0, or less than 0x20, borrows from its top bit.
        odd = (quotes - U(_ONES)) & ~quotes | (slashes - U(_ONES)) & ~slashes | (word - U(0x20 * _ONES)) & ~word | word
        if odd & U(_TOPS) != U(0):
            break
        p += 8
    while 0x20 <= raw[p] < 0x80 and raw[p] != _QUOTE and raw[p] != _BACKSLASH:
        p += 1
    return p + 1 if raw[p] == _QUOTE else -1


@inlined
def _id(raw: Bytes, words: Words, p: int) -> int:
    after = _plain_string(raw, words, p)
    return after if 3 <= after - p <= MAX_ID_CHARS + 2 else -1


@inlined
def _token(raw: Bytes, p: int) -> int:
    """Return the place after a string without a backslash, or after what is neither string nor object nor list; it has yet to be decoded.

    One that is long is left for the other way: to find out which are the same takes longer than to decode it.
    """
    first = p
    if raw[p] == _QUOTE:
        p += 1
        while raw[p] >= 0x20 and raw[p] != _QUOTE and raw[p] != _BACKSLASH and p - first < _LONGEST_TOKEN:
            p += 1
        return p + 1 if raw[p] == _QUOTE else -1
    while raw[p] > 0x20 and raw[p] != _COMMA and raw[p] != _CLOSE and raw[p] != _QUOTE and p - first < _LONGEST_TOKEN:
        p += 1
    return p if p > first else -1


@inlined
def _skipped(raw: Bytes, words: Words, p: int) -> int:
    if raw[p] == _QUOTE:
        return _plain_string(raw, words, p)
    if _null(raw, p):
        return p + 4
    if raw[p] == _T:
        return p + 4 if raw[p + 1] == 0x72 and raw[p + 2] == 0x75 and raw[p + 3] == 0x65 else -1
    if raw[p] == _F:
        return p + 5 if raw[p + 1] == 0x61 and raw[p + 2] == 0x6C and raw[p + 3] == 0x73 and raw[p + 4] == 0x65 else -1
    return past_number(raw, words, p)


@compiled
def gather(raw: Bytes, spans: Ints, content: Bytes, offsets: Ints) -> None:
    """Copy ``raw[spans[i, 0]:spans[i, 1]]`` of each row one after the other; ``offsets`` get where each begins, and where the last ends."""
    at = 0
    for i in range(len(spans)):
        offsets[i] = at
        for p in range(spans[i, 0], spans[i, 1]):
            content[at] = raw[p]
            at += 1
    offsets[len(spans)] = at


@compiled
def code(raw: Bytes, spans: Ints, seed: np.uint64, table: Ints, codes: Ints, firsts: Ints, hashes: Words) -> int:  # noqa: PLR0917
    """Number the different texts ``raw[spans[i, 0]:spans[i, 1]]`` in the order in which they come; return how many there are.

    ``codes[i]`` is the number of row ``i``, ``firsts[c]`` the first row of number ``c``, ``hashes[c]`` the hash of its text. ``table`` (a power of
    two, twice the rows, all -1) is room. Nobody who does not know the ``seed`` can choose texts that come to lie in one place.
    """
    n = 0
    last = -1
    for i in range(len(spans)):
        if last >= 0 and _same(raw, spans, i, firsts[last]):
            codes[i] = last
            continue
        found = _hashed(raw, spans[i, 0], spans[i, 1], seed)
        slot = signed(found >> U(33)) & (len(table) - 1)
        while table[slot] >= 0 and (hashes[table[slot]] != found or not _same(raw, spans, i, firsts[table[slot]])):
            slot = (slot + 1) & (len(table) - 1)
        if table[slot] < 0:
            table[slot] = n
            firsts[n] = i
            hashes[n] = found
            n += 1
        last = table[slot]
        codes[i] = last
    return n


@inlined
def _hashed(raw: Bytes, start: int, end: int, seed: np.uint64) -> np.uint64:
    """Return a hash of a text: of a polynomial in an odd number that nobody else knows, mixed once more for its upper bits."""
    found = U(0xCBF29CE484222325)
    for p in range(start, end):
        found = (found ^ U(raw[p])) * seed
    found ^= found >> U(32)
    return found * U(0x9E3779B97F4A7C15)


@inlined
def _same(raw: Bytes, spans: Ints, i: int, j: int) -> bool:
    length = spans[i, 1] - spans[i, 0]
    if length != spans[j, 1] - spans[j, 0]:
        return False
    differs = 0
    for k in range(length):
        differs |= raw[spans[i, 0] + k] ^ raw[spans[j, 0] + k]
    return bool(differs == 0)
