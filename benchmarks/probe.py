"""What a process under test tells of itself: how many records it has had, when, and at what cost. Standard library only: peers use it as well.

One line of JSON every 50 ms in a file of its own: ``[wall, cpu, count, rss_kb]``. The counting itself is one addition.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

_EVERY_S = 0.05
_PAGE_KB = 4


class Probe:
    """Counts records as they are taken. ``wall`` is epoch seconds, ``cpu`` seconds of user and system time of all threads since the process began."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        self._out = path.open("w", buffering=1)
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, name="probe", daemon=True).start()

    def begin(self) -> None:
        """Mark the moment at which the first records are here, before anything is done with them."""
        if self._begun is False:
            self._begun = True
            self._mark()

    _begun = False

    def took(self, n: int = 1) -> None:
        """Count records that are done."""
        self.count += n

    def reached(self, count: int) -> None:
        """Say that ``count`` records are done in all."""
        self.count = max(self.count, count)

    def _watch(self) -> None:
        last, idle = -1, 0
        while True:
            time.sleep(_EVERY_S)
            count = self.count
            idle = 0 if count != last else idle + 1
            # An idle process says so once a second.
            if idle < 2 or idle % 20 == 0:
                self._mark()
            last = count

    def _mark(self) -> None:
        with self._lock:
            self._out.write(json.dumps([round(time.time(), 4), round(time.process_time(), 4), self.count, _rss_kb()]) + "\n")


def _rss_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_KB
