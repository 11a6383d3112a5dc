"""What an answer brought of a partition, looked at where it lies: aiokafka copies it out, some MiB at a time, before anybody has read it.

Whoever reads it (``records.ReadableRecords``) makes the one copy that is needed. Small values, which are all others of the protocol, are as ever.
"""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, Final

from aiokafka import conn
from aiokafka.protocol.types import Bytes, Int32

#: So many bytes are worth it, and no value of the protocol but a partition's records has as many: what the members of a group tell each other is kept
#: in a record of the broker's, which has a megabyte at the most.
LARGE: Final = 1 << 20
_LENGTH: Final = 4
_decode = Bytes.decode


class Answer(io.BytesIO):
    """The bytes of an answer, of which parts can be had without a copy."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.content = memoryview(content)


def decode(data: io.BytesIO) -> Any:
    """Return the value that ``data`` stands at: bytes, a view of them where they are many, or None. Raises ValueError where it is cut."""
    length = Int32.decode(data)
    start = data.tell()
    if length < LARGE or not isinstance(data, Answer) or start + length > len(data.content):
        data.seek(start - _LENGTH)
        return _decode(data)
    data.seek(start + length)
    return data.content[start : start + length]


def install() -> None:
    """Have aiokafka's connections read this way, in this process."""
    conn.io = SimpleNamespace(BytesIO=Answer)
    Bytes.decode = decode
