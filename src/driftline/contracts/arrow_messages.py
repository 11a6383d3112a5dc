"""What an Arrow IPC stream declares, read from its messages before anything is allocated: rows, and bytes once decompressed.

An IPC message is a marker (FF FF FF FF), the length of its metadata, the metadata (a FlatBuffers table, padded to eight bytes) and a body of so many
bytes. A FlatBuffers table begins with the distance back to its vtable: two lengths, then for each field its offset within the table, 0 if absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import error as StructError  # noqa: N812  # it is a class, with the name of a variable
from struct import unpack_from

from driftline.contracts.errors import DecodeError

_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_MOST_BUFFERS = 1 << 16


@dataclass(frozen=True)
class Declared:
    """What a stream says that it holds."""

    rows: int
    decoded_bytes: int


def declared(raw: bytes, most_messages: int) -> Declared:
    """Return what a stream declares; DecodeError where its messages are not whole, or too many."""
    try:
        return _declared(raw, most_messages)
    except (StructError, OverflowError) as error:
        raise DecodeError("not Arrow IPC: a message ends before it should", code="not_arrow") from error


def _declared(raw: bytes, most_messages: int) -> Declared:
    at = rows = size = messages = 0
    while at < len(raw):
        marker, length = unpack_from("<Ii", raw, at)
        if marker != 0xFFFFFFFF or length < 0:
            raise DecodeError("not Arrow IPC: no message where one should begin", code="not_arrow")
        if length == 0:
            break
        messages += 1
        if messages > most_messages:
            raise DecodeError(f"not Arrow IPC: more than {most_messages} messages", code="not_arrow")
        body = at + 8 + length
        message = _Table(raw, at + 8 + unpack_from("<I", raw, at + 8)[0])
        body_length = message.number("<q", 3)
        if body_length < 0 or body + body_length > len(raw):
            raise DecodeError("not Arrow IPC: a message ends before it should", code="not_arrow")
        kind = message.number("<B", 1)
        if kind in (_DICTIONARY, _BATCH):
            batch = message.table(2)
            if kind == _DICTIONARY:
                batch = batch.table(1)
            length = batch.number("<q", 0)
            if length < 0:
                raise DecodeError("not Arrow IPC: less than no rows", code="not_arrow")
            # Values of dictionaries are bounded as rows are.
            rows = max(rows, length) if kind == _DICTIONARY else rows + length
            size += _decoded(raw, batch, body, body_length)
        at = body + body_length
    return Declared(rows, size)


def _decoded(raw: bytes, batch: _Table, body: int, body_length: int) -> int:
    """Return how many bytes the buffers of a batch take when decompressed: each begins with that number, -1 where it is as it was."""
    if not batch.has(3):
        return body_length
    total = 0
    start, n = batch.vector(2)
    if n > _MOST_BUFFERS:
        raise DecodeError("not Arrow IPC: too many buffers", code="not_arrow")
    for i in range(n):
        offset, length = unpack_from("<qq", raw, start + 16 * i)
        if length == 0:
            continue
        if offset < 0 or length < 8 or offset + length > body_length:
            raise DecodeError("not Arrow IPC: a buffer lies outside its message", code="not_arrow")
        (size,) = unpack_from("<q", raw, body + offset)
        if size < -1:
            raise DecodeError("not Arrow IPC: a buffer of less than no bytes", code="not_arrow")
        total += length if size == -1 else size
    return total


class _Table:
    """A FlatBuffers table."""

    def __init__(self, raw: bytes, at: int) -> None:
        self._raw = raw
        self._at = at
        self._vtable = at - unpack_from("<i", raw, at)[0]
        if self._vtable < 0:
            raise StructError
        (self._length,) = unpack_from("<H", raw, self._vtable)

    def _place(self, field: int) -> int:
        slot = 4 + 2 * field
        (offset,) = unpack_from("<H", self._raw, self._vtable + slot) if slot + 2 <= self._length else (0,)
        return self._at + offset if offset else 0

    def has(self, field: int) -> bool:
        return self._place(field) != 0

    def number(self, form: str, field: int) -> int:
        place = self._place(field)
        return int(unpack_from(form, self._raw, place)[0]) if place else 0

    def table(self, field: int) -> _Table:
        place = self._place(field)
        if not place:
            raise StructError
        return _Table(self._raw, place + unpack_from("<I", self._raw, place)[0])

    def vector(self, field: int) -> tuple[int, int]:
        """Return where a vector's elements begin and how many there are."""
        place = self._place(field)
        if not place:
            return 0, 0
        place += unpack_from("<I", self._raw, place)[0]
        return place + 4, int(unpack_from("<I", self._raw, place)[0])
