"""Where the records of a batch lie (Kafka's message format 2), in compiled code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.compiled import compiled, inlined
from driftline.contracts.decimals import signed

U = np.uint64
Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


@compiled
def split(raw: Bytes, p: int, end: int, offsets: Ints, since: Ints, keys: Ints, values: Ints, headers: Ints) -> bool:  # noqa: PLR0917
    """Find the records of ``raw[p:end]``, as many as there is room for. Say whether that is all of it, and sound.

    Offsets and times come after the batch's first; of key, value and headers (their count left out) from where to where they go; what is null ends
    before it begins.
    """
    for i in range(len(offsets)):
        p, length = _varint(raw, p, end)
        last = p + length
        if p < 0 or length < 0 or last > end:
            return False
        p += 1  # attributes: there are none yet
        p, since[i] = _varint(raw, p, last)
        p, offsets[i] = _varint(raw, p, last)
        p = _span(raw, p, last, keys, i)
        p = _span(raw, p, last, values, i)
        p, count = _varint(raw, p, last)
        if p < 0 or count < 0 or (count == 0 and p != last):
            return False
        headers[i, 0], headers[i, 1] = p, last
        p = last
    return p == end


@inlined
def _span(raw: Bytes, p: int, end: int, spans: Ints, i: int) -> int:
    """Note where bytes lie that begin with their length; return the place after them, -1 where they go too far."""
    p, length = _varint(raw, p, end)
    if length < 0:
        spans[i, 0], spans[i, 1] = p, p - 1
        return p
    spans[i, 0], spans[i, 1] = p, p + length
    return p + length if 0 <= p <= end - length else -1


@inlined
def _varint(raw: Bytes, p: int, end: int) -> tuple[int, int]:
    """Return the place after the number at ``p``, and the number; -1 where it goes too far, or began at -1."""
    found, shift = U(0), 0
    if p < 0:
        return -1, 0
    while p < end and raw[p] >= 0x80 and shift < 56:
        found |= U(raw[p] & 0x7F) << U(shift)
        shift += 7
        p += 1
    if p >= end or raw[p] >= 0x80:
        return -1, 0
    found |= U(raw[p]) << U(shift)
    half, negative = signed(found >> U(1)), signed(found & U(1))
    return p + 1, -half - 1 if negative else half
