"""Bytes as Kafka's message format 2 has them in a record: their length first, in as few bytes as it takes."""

from __future__ import annotations

from aiokafka.record.util import decode_varint


def bytes_at(content: bytes | bytearray, at: int) -> tuple[bytes | None, int]:
    """Return the bytes at a place, None for none, and the place after them."""
    length, at = decode_varint(content, at)
    return (None, at) if length < 0 else (bytes(content[at : at + length]), at + length)
