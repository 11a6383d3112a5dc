"""Record batches that no client library makes: built with one, then spoilt, then sealed with the right checksum again."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.record._crc32c import crc as crc32c

#: Where a batch's checksum stands, what it covers, and where its records begin.
_CRC_AT: Final = 17
_COVERED_FROM: Final = 21
BODY_AT: Final = 61

Spoil = Callable[[bytearray], bytearray]


class RawBatch:
    """What aiokafka's producer takes for a batch builder: bytes that are ready."""

    def __init__(self, content: bytes, count: int) -> None:
        self._content = content
        self._count = count

    def record_count(self) -> int:
        """Return how many records the batch says that it has."""
        return self._count

    def closed(self) -> bool:
        """Say that nothing can be appended."""
        return True

    def close(self) -> None:
        """Do nothing."""

    def size(self) -> int:
        """Return the length."""
        return len(self._content)

    def _build(self) -> bytes:
        return self._content


def spoilt_batch(producer: AIOKafkaProducer, values: Sequence[bytes], spoil: Spoil, headers: Sequence[tuple[str, bytes]] = ()) -> Any:
    """Return a batch of these values, compressed as the producer does it, with its bytes changed and its checksum right."""
    builder = producer.create_batch()
    for i, value in enumerate(values):
        if builder.append(key=b"raw%d" % i, value=value, timestamp=None, headers=list(headers)) is None:
            raise ValueError("the batch is full")
    content = sealed(spoil(bytearray(builder._build())))
    return RawBatch(content, len(values))


def sealed(content: bytearray) -> bytes:
    """Return a batch with its length and its checksum set right."""
    struct.pack_into(">i", content, 8, len(content) - 12)
    struct.pack_into(">I", content, _CRC_AT, crc32c(bytes(content[_COVERED_FROM:])))
    return bytes(content)


def cut_short(content: bytearray) -> bytearray:
    """Leave out the last part of the body."""
    return content[: BODY_AT + (len(content) - BODY_AT) * 2 // 3]


def garbled(content: bytearray) -> bytearray:
    """Put noise in the place of the body."""
    content[BODY_AT + 4 :] = bytes((i * 37 + 11) % 256 for i in range(len(content) - BODY_AT - 4))
    return content


def of_unknown_codec(content: bytearray) -> bytearray:
    """Say that the body is compressed with a codec that nobody has."""
    content[22] = content[22] & ~7 | 6
    return content


def with_header_that_is_no_text(content: bytearray) -> bytearray:
    """Break the UTF-8 of the header that is called ``poison``."""
    at = content.index(b"poison")
    content[at : at + 2] = b"\xff\xfe"
    return content
