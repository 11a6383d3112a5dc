"""Whether a process lives and is ready, as sentences about what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Vitals(Protocol):
    """Judged in the endpoint's thread, so that a loop that hangs can be told from one that works."""

    def trouble(self) -> str | None:
        """Say why the process should be started again; None while it gets on. A broker or a database that is away is no reason."""
        ...

    def unready(self) -> str | None:
        """Say why the process is not ready: nothing assigned yet, or too far behind; None when it is."""
        ...


class Pulse:
    """The vitals of a plain loop: it beats each time round, and says whether it has what it needs.

    >>> pulse = Pulse(patience_s=60.0, now=lambda: 100.0)
    >>> pulse.trouble(), pulse.unready()
    (None, 'it has not begun yet')
    >>> pulse.beat()
    >>> pulse.unready() is None
    True
    """

    def __init__(self, patience_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._patience_s = patience_s
        self._now = now
        self._beat_at = now()
        self._waits: str | None = "it has not begun yet"

    def beat(self, waits: str | None = None) -> None:
        """Say that the loop comes round, and what it waits for, if it can't work."""
        self._beat_at, self._waits = self._now(), waits

    def trouble(self) -> str | None:
        """Say how long the loop has not come round, if that is too long."""
        silent = self._now() - self._beat_at
        return f"its loop has not come round for {silent:.0f} s" if silent > self._patience_s else None

    def unready(self) -> str | None:
        """Say what the loop waits for."""
        return self.trouble() or self._waits
