"""Records where they lie in what was fetched: arrays of offsets, times and places, and no object for a record that nobody asks for by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import index
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.joined_values import Joined
from driftline.streams.varints import bytes_at

Ints = NDArray[np.int64]


class PackedRecord(NamedTuple):
    """A record by itself, as aiokafka would have made it."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(eq=False, slots=True)
class Packed(Sequence[PackedRecord]):
    """Records of one partition, in offset order.

    ``content`` is what was fetched, or what that held when it was compressed, and zeros behind it; ``keys``, ``values`` and ``headers`` (records, 2)
    say from where in it to where, the end before the beginning where there is none.
    """

    content: bytes
    offsets: Ints
    timestamps: Ints
    types: Ints
    keys: Ints
    values: Ints
    headers: Ints

    @classmethod
    def in_one(cls, parts: Sequence[Packed]) -> Packed:
        """Return records of one partition that follow each other, whatever they lie in."""
        if len(parts) == 1:
            return parts[0]
        content, shifts = parts[0].content, [0] * len(parts)
        if any(part.content is not content for part in parts):
            content = b"".join(part.content for part in parts)
            shifts = [0, *accumulate(len(part.content) for part in parts[:-1])]
        offsets, timestamps, types, *spans = zip(*(part.columns for part in parts), strict=True)
        shifted = [np.concatenate([span + shift for span, shift in zip(column, shifts, strict=True)]) for column in spans]
        return cls(content, np.concatenate(offsets), np.concatenate(timestamps), np.concatenate(types), *shifted)

    @property
    def columns(self) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:
        """All that is known of each record."""
        return self.offsets, self.timestamps, self.types, self.keys, self.values, self.headers

    @property
    def sizes(self) -> Ints:
        """How many bytes each value has."""
        sizes: Ints = np.maximum(self.values[:, 1] - self.values[:, 0], 0)
        return sizes

    def with_headers(self) -> list[int]:
        """Return which records have headers."""
        return np.flatnonzero(self.headers[:, 1] > self.headers[:, 0]).tolist()

    def raw_headers(self, i: int) -> bytes:
        """Return the bytes of a record's headers."""
        start, end = self.headers[i].tolist()
        return self.content[start:end]

    def headers_of(self, i: int) -> tuple[tuple[str, bytes | None], ...]:
        """Return a record's headers."""
        return tuple(_headers(self.raw_headers(i)))

    def values_but(self, others: Iterable[int]) -> Joined:
        """Return the values, without those of some records."""
        starts, ends = self.values[:, 0], np.maximum(self.values[:, 0], self.values[:, 1])
        left_out = [*others]
        if left_out:
            ends[left_out] = starts[left_out]
        return Joined(self.content, starts, ends)

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, i: int) -> PackedRecord: ...
    @overload
    def __getitem__(self, i: slice) -> Packed: ...
    def __getitem__(self, i: int | slice) -> PackedRecord | Packed:
        if isinstance(i, slice):
            return Packed(self.content, *(column[i] for column in self.columns))
        i = index(i)  # Faust asks any value for an item with a name, and takes a TypeError as answer
        return PackedRecord(
            int(self.offsets[i]), int(self.timestamps[i]), int(self.types[i]),
            self._bytes(self.keys[i]), self._bytes(self.values[i]), self.headers_of(i),
        )  # fmt: skip

    def _bytes(self, span: Ints) -> bytes | None:
        start, end = span.tolist()
        return self.content[start:end] if end >= start else None


def _headers(raw: bytes) -> Iterator[tuple[str, bytes | None]]:
    """Yield the headers that some bytes are (Kafka's message format 2)."""
    at = 0
    while at < len(raw):
        name, at = bytes_at(raw, at)
        value, at = bytes_at(raw, at)
        # Kafka lets any bytes through there, and clients in C send them.
        yield (name or b"").decode(errors="backslashreplace"), value
