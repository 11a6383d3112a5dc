"""The places of many events in the hash samples at once: ``sample_hash``, a word of all ids at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.ids import FINISH_1, FINISH_2, MIX

Ints = NDArray[np.int64]
_Words = NDArray[np.uint64]

# Ids longer than this are placed apart from the others: one long id must not make room for all.
_SHORT = 64


def places_of(ids: Sequence[str]) -> Ints:
    """Return ``sample_hash`` of each id.

    >>> from driftline.contracts.ids import sample_hash
    >>> places_of(["a", "transaction-17"]).tolist() == [sample_hash("a"), sample_hash("transaction-17")]
    True
    """
    text = "".join(ids)
    content = text.encode()
    if len(content) == len(text):
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    else:
        lengths = np.fromiter((len(one.encode()) for one in ids), np.int64, len(ids))
    return places_in(np.frombuffer(content, np.uint8), np.concatenate(([0], np.cumsum(lengths))))


def places_in(content: NDArray[np.uint8], offsets: Ints) -> Ints:
    """Return ``sample_hash`` of each id in UTF-8: id ``i`` is ``content[offsets[i]:offsets[i + 1]]``."""
    lengths = np.diff(offsets)
    if not len(lengths):
        return np.zeros(0, np.int64)
    most = int(lengths.max())
    if most == lengths.min():
        return _placed(_padded(content[offsets[0] : offsets[-1]].reshape(len(lengths), most)), lengths)
    places = np.empty(len(lengths), np.int64)
    for chosen in (np.flatnonzero(lengths <= _SHORT), np.flatnonzero(lengths > _SHORT)):
        if len(chosen):
            width = int(lengths[chosen].max()) + 7 & -8
            at = offsets[chosen, None] + np.arange(width)
            inside = np.arange(width) < lengths[chosen, None]
            bytes_ = np.where(inside, content[np.where(inside, at, 0)], 0).astype(np.uint8) if len(content) else inside.astype(np.uint8)
            places[chosen] = _placed(bytes_, lengths[chosen])
    return places


def _padded(table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    short = -table.shape[1] % 8
    return np.pad(table, ((0, 0), (0, short))) if short else table


def _placed(table: NDArray[np.uint8], lengths: Ints) -> Ints:
    """``table`` has the shape (ids, 8 x words), zero beyond the length of each id."""
    words = np.ascontiguousarray(table).view("<u8")
    places: _Words = lengths.astype(np.uint64) * np.uint64(MIX)
    same = int(lengths.min()) + 7 >> 3
    for j in range(words.shape[1]):
        mixed = (places ^ words[:, j]) * np.uint64(MIX)
        mixed ^= mixed >> np.uint64(32)
        places = mixed if j < same else np.where(lengths > 8 * j, mixed, places)
    places = (places ^ places >> np.uint64(30)) * np.uint64(FINISH_1)
    places = (places ^ places >> np.uint64(27)) * np.uint64(FINISH_2)
    return ((places ^ places >> np.uint64(31)) >> np.uint64(1)).astype(np.int64)
