"""Values of records one after the other, as compiled code reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.events import MAX_EVENT_BYTES

Ints = NDArray[np.int64]

#: Reading goes in words, and looks beyond the last byte: so many zeros follow it.
PADDING: Final = 16


class Joined(Sequence[bytes]):
    """The values ``content[starts[i]:ends[i]]``; ``content`` ends with ``PADDING`` zeros, and may have other things between them.

    ``raw`` are its bytes, ``words[p]`` the eight that begin at byte ``p``. What is too large to be an event is empty.
    """

    __slots__ = ("content", "ends", "raw", "starts", "words")

    def __init__(self, content: bytes, starts: Ints, ends: Ints) -> None:
        self.content = content
        self.raw: NDArray[np.uint8] = np.frombuffer(content, np.uint8)
        self.words: NDArray[np.uint64] = np.ndarray(len(content) - 7, "<u8", content, strides=(1,))
        self.starts = starts
        self.ends = np.where(ends - starts > MAX_EVENT_BYTES, starts, ends)

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> Joined:
        """Return values in this form; None is empty.

        >>> list(Joined.of([b"a", None, b"bc"]))
        [b'a', b'', b'bc']
        """
        if isinstance(values, Joined):
            return values
        filled = [value if value is not None and len(value) <= MAX_EVENT_BYTES else b"" for value in values]
        ends = np.cumsum(np.fromiter(map(len, filled), np.int64, len(filled)))
        return cls(b"".join([*filled, bytes(PADDING)]), np.concatenate(([0], ends[:-1])) if filled else ends, ends)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, i: int) -> bytes: ...
    @overload
    def __getitem__(self, i: slice) -> list[bytes]: ...
    def __getitem__(self, i: int | slice) -> bytes | list[bytes]:
        if isinstance(i, slice):
            return [*self][i]
        return self.content[self.starts[i] : self.ends[i]]

    def __iter__(self) -> Iterator[bytes]:
        for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True):
            yield self.content[start:end]
