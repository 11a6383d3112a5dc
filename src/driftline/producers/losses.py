"""Lost events: counted by reason at once, told to the service's callback, and logged from time to time by the thread that sends."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

OnLoss = Callable[[str, str], None]

#: The same warning comes at most this often.
WARN_EVERY_S = 10.0


class Losses:
    """``count`` may be called from any thread and waits for no log; ``tell`` logs what has been counted since it last did."""

    def __init__(self, on_loss: OnLoss | None) -> None:
        self._on_loss = on_loss
        self._lock = threading.Lock()
        self._lost: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._untold = False
        self._warned: dict[str, float] = {}

    @property
    def by_reason(self) -> dict[str, int]:
        """How many events were lost, by reason."""
        with self._lock:
            return dict(self._lost)

    def count(self, event_ids: Sequence[str], reason: str) -> None:
        """Note that events are lost."""
        with self._lock:
            self._lost[reason] += len(event_ids)
            self._untold = True
        if self._on_loss is None:
            return
        for event_id in event_ids:
            try:
                self._on_loss(event_id, reason)
            except Exception:
                log.exception("the callback for lost events failed")

    def tell(self, *, at_once: bool = False) -> None:
        """Log the losses that were not logged yet, each reason after a while again unless it has to be ``at_once``."""
        if not self._untold:
            return
        self._untold = False
        for reason, total in self.by_reason.items():
            if total == self._told[reason]:
                continue
            if self.warn(reason, f"{total} events lost so far", at_once=at_once):
                self._told[reason] = total
            else:
                self._untold = True

    def warn(self, what: str, detail: str, *, at_once: bool = False) -> bool:
        """Log a warning unless it was logged a moment ago; say whether it was."""
        now = time.monotonic()
        if not at_once and now - self._warned.get(what, float("-inf")) < WARN_EVERY_S:
            return False
        self._warned[what] = now
        log.warning("driftline publisher: %s (%s)", what, detail)
        return True
