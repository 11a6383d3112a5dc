"""A batch of the log as records that stay where they lie in what was fetched. Python makes no object for any of them; compiled code finds them."""

from __future__ import annotations

from struct import Struct
from typing import Final

import numpy as np

from driftline.contracts.compiling import Compiling
from driftline.contracts.joined_values import PADDING
from driftline.streams.packed import Packed

#: A batch's header in format 2: base offset, length, (leader's epoch), format, (checksum), attributes, (last offset), first time, greatest time,
#: (producer's id, epoch and sequence), number of records.
_HEADER: Final = Struct(">qi4xb4xh4xqq14xi")
HEADER_SIZE: Final = _HEADER.size
_FORMAT_2: Final = 2
_APPEND_TIME: Final = 0b1000


def packed(header: bytes | memoryview, content: bytes, start: int, end: int) -> Packed | None:
    """Return the records of a batch with this header, which are ``content[start:end]``; None where it is of an older format, or not sound."""
    from driftline.streams.transport.batch_scan import split

    base, _, form, attributes, first, greatest, n = _HEADER.unpack_from(header)
    # A record takes seven bytes at the least: whatever a header says, no room is made for more.
    if form != _FORMAT_2 or not 0 < n <= (end - start) // 7:
        return None
    offsets, times = np.empty(n, np.int64), np.empty(n, np.int64)
    keys, values, headers = np.empty((n, 2), np.int64), np.empty((n, 2), np.int64), np.empty((n, 2), np.int64)
    if not split(np.frombuffer(content, np.uint8), start, end, offsets, times, keys, values, headers):
        return None
    appended = bool(attributes & _APPEND_TIME)
    times = np.full(n, greatest) if appended else times + first
    return Packed(content, offsets + base, times, np.full(n, int(appended)), keys, values, headers)


def _try() -> None:
    """Find the record of a batch that has one."""
    record = bytes((14, 0, 0, 0, 1, 2, 0x61, 0))
    found = packed(_HEADER.pack(0, 0, _FORMAT_2, 0, 0, 0, 1), bytes(1) + record + bytes(PADDING), 1, 1 + len(record))
    if found is None or found[0].value != b"a":
        raise RuntimeError("what was compiled does not find a record")


unpacking: Final = Compiling("batches", _try)
"""The compiled code of this process that finds records."""
