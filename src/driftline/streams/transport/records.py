r"""Record batches read although a header's name is no UTF-8.

Kafka lets any bytes through there, and clients in C send them. aiokafka then raises in the middle of the batch, at every attempt: one such record
would hold its partition for ever. A batch that fails so is read once more here, with ``\xff`` written out in the name.

The broker itself takes apart what is compressed before it lets it in, so truncated compression, unknown codecs and records of wrong lengths never
come this far (``tests/poison/test_raw_batches.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint
from crc32c import crc32c

from driftline.contracts.joined_values import PADDING
from driftline.streams.packed import Packed
from driftline.streams.transport.unpacked import HEADER_SIZE, packed
from driftline.streams.varints import bytes_at

# Where things stand in a batch: after its offset and length (12 bytes) the rest, in it the format, and after the checksum what that is of.
_PREAMBLE: Final = 12
_MAGIC: Final = 16
_CHECKED_FROM: Final = 21
_ATTRIBUTES: Final = 22
_COMPRESSED: Final = 0b111
_FORMAT_2: Final = 2


class ReadableRecords:
    """aiokafka's ``MemoryRecords``, of batches that can be read. The last may have been cut by the fetch, and is none then."""

    def __init__(self, raw: bytes | memoryview) -> None:
        self._end = len(raw)
        self._at = 0
        # The one copy of what was fetched, with zeros behind it: what is read from it goes by words.
        self._content = b"".join((raw, bytes(PADDING)))
        self._records = MemoryRecords(self._content)

    def has_next(self) -> bool:
        """Say whether there is another batch."""
        return self._next() is not None

    def next_batch(self) -> ReadableBatch | None:
        """Return the next batch."""
        end = self._next()
        if end is None:
            return None
        start, self._at = self._at, end
        return ReadableBatch(self._records.next_batch(), self._content, start, end)

    def size_in_bytes(self) -> int:
        """Return the length of all that was fetched."""
        return self._end

    def _next(self) -> int | None:
        """Return where the next batch ends, if all of it is here."""
        if self._at + _PREAMBLE > self._end:
            return None
        end = self._at + _PREAMBLE + int.from_bytes(self._content[self._at + 8 : self._at + _PREAMBLE])
        return end if end <= self._end else None


class ReadableBatch:
    """A batch as aiokafka reads it or, where a header's name is no text, as we do."""

    def __init__(self, batch: Any, content: bytes, start: int, end: int) -> None:
        self._batch = batch
        self._content = content
        self._start = start
        self._end = end
        self._raw = memoryview(content)[start:end]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.records())

    def records(self) -> list[Any]:
        """Return all records."""
        try:
            return list(self._batch)
        except UnicodeDecodeError:
            return list(_read_again(self._raw))

    def where_they_lie(self) -> Packed | None:
        """Return the records without making one: in what was fetched, or in what that held when compressed; None where that can't be done."""
        if len(self._raw) < HEADER_SIZE or self._raw[_MAGIC] < _FORMAT_2:
            return None
        if not self._raw[_ATTRIBUTES] & _COMPRESSED:
            return packed(self._raw, self._content, self._start + HEADER_SIZE, self._end)
        content = bytes(_uncompressed(self._raw)._buffer) + bytes(PADDING)  # noqa: SLF001
        return packed(self._raw, content, 0, len(content) - PADDING)

    def validate_crc(self) -> bool:
        """Say whether the batch is as its producer wrote it: by the processor's own instruction, in a tenth of the time."""
        if self._raw[_MAGIC] < _FORMAT_2:
            return bool(self._batch.validate_crc())
        return bool(crc32c(self._raw[_CHECKED_FROM:]) == self._batch.crc)


def _uncompressed(raw: memoryview) -> _DefaultRecordBatchPy:
    batch = _DefaultRecordBatchPy(bytearray(raw))
    batch._maybe_uncompress()  # noqa: SLF001  # its own reader goes on to make records, and decodes names
    return batch


def _read_again(raw: memoryview) -> Iterator[_DefaultRecordPy]:
    batch = _uncompressed(raw)
    at: int = batch._pos  # noqa: SLF001
    for _ in range(batch._num_records):  # noqa: SLF001
        record, at = _record(batch, batch._buffer, at)  # noqa: SLF001
        yield record


def _record(batch: Any, buffer: bytearray, at: int) -> tuple[_DefaultRecordPy, int]:
    """Return the record at a place (Kafka's message format 2), and the place after it."""
    _, at = decode_varint(buffer, at)  # its length
    _, at = decode_varint(buffer, at)  # attributes: there are none yet
    since, at = decode_varint(buffer, at)
    delta, at = decode_varint(buffer, at)
    key, at = bytes_at(buffer, at)
    value, at = bytes_at(buffer, at)
    count, at = decode_varint(buffer, at)
    headers = []
    for _ in range(count):
        name, at = bytes_at(buffer, at)
        content, at = bytes_at(buffer, at)
        headers.append(((name or b"").decode(errors="backslashreplace"), content))
    timestamp = batch.max_timestamp if batch.timestamp_type == batch.LOG_APPEND_TIME else batch.first_timestamp + since
    return _DefaultRecordPy(batch.base_offset + delta, timestamp, batch.timestamp_type, key, value, headers), at
