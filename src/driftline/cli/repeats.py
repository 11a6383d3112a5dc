"""What the clients say again and again, a hundred times a second while a broker is away: once in ten seconds, and how often it was left out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

EVERY_S: Final = 10.0
#: Kinds of messages that are told apart at a time; a client has a few dozen.
_KINDS_MOST: Final = 1_000


class Sparing(logging.Filter):
    """Lets one message of each kind through in ``every_s``; the next one says in ``repeated`` how many were left out since. Ours always pass.

    A kind is a logger and a message before its values are filled in.
    """

    def __init__(self, ours: str, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._ours = ours
        self._every_s = every_s
        self._clock = clock
        self._last: dict[tuple[str, str], float] = {}
        self._left_out: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a record passes."""
        if record.name.partition(".")[0] == self._ours:
            return True
        kind, now = (record.name, str(record.msg)), self._clock()
        if kind in self._last and now - self._last[kind] < self._every_s:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return False
        if len(self._last) >= _KINDS_MOST:
            self._last.clear()
        self._last[kind] = now
        repeated = self._left_out.pop(kind, 0)
        if repeated:
            fields: dict[str, Any] = getattr(record, "fields", {})
            record.fields = {**fields, "repeated": repeated}
        return True
