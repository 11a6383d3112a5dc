"""The bounded buffer between a service and the thread that sends: whoever puts something in never waits for whoever takes it out.

Each side has counts and a lock of its own and only reads the other's, so that a thread that publishes can wait for other publishers alone, for the
microsecond that they need. A single lock for both sides would be held now and then by a sender that has just lost the interpreter: 5 ms.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence

import msgspec

#: While a service publishes, its records are fetched this often (seconds): cheaper for it than to wake another thread with each of them ...
_NAP_S = 0.005
#: ... until none has come for so long.
_QUIET_S = 0.5


class Outgoing(msgspec.Struct, gc=False):
    """A record on its way. ``event_ids`` are of the events in it, ``epoch`` the flush it belongs to, ``since`` monotonic seconds.

    The garbage collector does not look at it: tens of thousands of them that wait would otherwise bring on full collections of the service's memory.
    """

    topic: str
    key: bytes | None
    value: bytes
    event_ids: str | Sequence[str]
    headers: list[tuple[str, bytes]] | None = None
    epoch: int = 0
    since: float = 0.0

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the events, also if there is one only."""
        return (self.event_ids,) if isinstance(self.event_ids, str) else self.event_ids

    @property
    def events(self) -> int:
        """How many events there are."""
        return 1 if isinstance(self.event_ids, str) else len(self.event_ids)


class Buffer:
    """Records in order of arrival, at most ``max_records`` and ``max_bytes`` of them that are not ``done``."""

    def __init__(self, max_records: int, max_bytes: int) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._queue: deque[Outgoing] = deque()
        self._in = threading.Lock()
        self._out = threading.Condition()
        self._records_in = self._bytes_in = self._events_in = 0
        self._records_out = self._bytes_out = self._events_out = 0
        self._epoch = 0
        self._put: Counter[int] = Counter()
        self._done: Counter[int] = Counter()
        self._waiting = 0
        self._flushes = 0
        self._idle = False
        self._taken = float("-inf")
        self._wake = threading.Event()
        self._closed = False
        self.ended = threading.Event()

    @property
    def events(self) -> int:
        """How many events are not yet done."""
        return self._events_in - self._events_out

    @property
    def size(self) -> int:
        """How many bytes are not yet done."""
        return self._bytes_in - self._bytes_out

    @property
    def crowded(self) -> bool:
        """Whether more than half of the room is taken."""
        return 2 * (self._records_in - self._records_out) > self._max_records or 2 * self.size > self._max_bytes

    @property
    def urgent(self) -> bool:
        """Whether somebody waits in ``flush``: nothing else is worth waiting for."""
        return self._flushes > 0

    def put(self, record: Outgoing) -> bool:
        """Hand over a record without waiting. False: there is no room. Raises RuntimeError once the buffer is closed."""
        size = len(record.value)
        with self._in:
            if self._closed:
                raise RuntimeError("the publisher is closed")
            if self._records_in - self._records_out >= self._max_records or self._bytes_in - self._bytes_out + size > self._max_bytes:
                return False
            self._records_in += 1
            self._bytes_in += size
            self._events_in += record.events
            record.epoch = self._epoch
            record.since = time.monotonic()
            self._put[self._epoch] += 1
            self._queue.append(record)
        # The other side says that it is idle before it looks into the queue for the last time: one of us sees the other.
        if self._idle:
            self._wake.set()
        return True

    def wait_for_room(self, size: int, timeout: float) -> bool:
        """Wait until a record of ``size`` bytes would fit; False if ``timeout`` seconds were not enough, or nothing so large ever will."""

        def fits() -> bool:
            full = self._records_in - self._records_out >= self._max_records or self._bytes_in - self._bytes_out + size > self._max_bytes
            return self._closed or not full

        if size > self._max_bytes:
            return False
        with self._out:
            self._waiting += 1
            try:
                return self._out.wait_for(fits, timeout)
            finally:
                self._waiting -= 1

    def take(self, patience: float) -> Outgoing | None:
        """Return the next record, as soon as there is one; None if none has come for a while (at most ``patience`` seconds), or at the end."""
        if not self._queue and not self.ended.is_set():
            self._wake.clear()
            if time.monotonic() - self._taken < _QUIET_S:
                self._wake.wait(_NAP_S)
            else:
                self._idle = True
                if not self._queue and not self.ended.is_set():
                    self._wake.wait(patience)
                self._idle = False
        if not self._queue:
            return None
        self._taken = time.monotonic()
        return self._queue.popleft()

    def done(self, record: Outgoing) -> None:
        """Note that a record is acknowledged or lost: its room is free."""
        with self._out:
            self._records_out += 1
            self._bytes_out += len(record.value)
            self._events_out += record.events
            self._done[record.epoch] += 1
            if self._waiting or self._done[record.epoch] == self._put[record.epoch]:
                self._out.notify_all()

    def flush(self, timeout: float | None) -> bool:
        """Wait until each record put before is done; False if the time is up before."""
        with self._in:
            epoch = self._epoch
            self._epoch += 1
        with self._out:
            self._flushes += 1
            self._wake.set()
            try:
                return self._out.wait_for(lambda: self._all_done(epoch), timeout)
            finally:
                self._flushes -= 1

    def close(self) -> bool:
        """Take no more records. False: it was closed before."""
        with self._in:
            before, self._closed = self._closed, True
        return not before

    def end(self) -> None:
        """Tell the other side that nothing comes any more, and that what is left has no time left."""
        self.ended.set()
        self._wake.set()
        with self._out:
            self._out.notify_all()

    def _all_done(self, epoch: int) -> bool:
        """Say whether all of an epoch, and of those before it, is done; those need no counting any more. ``_out`` is held."""
        past = [e for e in list(self._put) if e <= epoch]
        if any(self._done[e] < self._put[e] for e in past):
            return False
        for e in past:
            self._put.pop(e, None)
            self._done.pop(e, None)
        return True
