"""Records go to Kafka from a thread of their own, through a bounded buffer: a service never waits for a broker, and every loss is counted.

kafka-python's own buffer has no bound, and its ``send`` waits for metadata; so records wait here, and count until their acknowledgement is in.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from kafka import KafkaProducer
from kafka.errors import KafkaError, RetriableError

log = logging.getLogger(__name__)

#: Lost records of the same reason are reported together, at most this often.
_WARN_EVERY_S = 10.0
_LONGEST_PAUSE_S = 2.0
#: So many records are taken from the buffer at once.
_BATCH = 500

OnLoss = Callable[[str, str], None]


class Outgoing(NamedTuple):
    """A record on its way. ``epoch`` is the flush it belongs to, ``since`` when it was handed over (monotonic seconds)."""

    topic: str
    key: bytes
    value: bytes
    event_id: str
    epoch: int
    since: float


class BackgroundSender:
    """Sends records in order of arrival. ``max_events`` and ``max_bytes`` bound what is not yet acknowledged; what finds no room is lost and counted.

    A record that can't be given to Kafka's client within ``delivery_timeout_s`` (no broker, no topic) is lost too, and so is one that the client
    gives up. ``on_loss(event_id, reason)`` is called from whichever thread finds out.
    """

    def __init__(
        self,
        options: dict[str, Any],
        *,
        max_events: int = 50_000,
        max_bytes: int = 64 << 20,
        delivery_timeout_s: float = 120.0,
        close_timeout_s: float = 5.0,
        on_loss: OnLoss | None = None,
    ) -> None:
        self._lock: threading.Condition
        self._thread: threading.Thread | None
        self._producer: KafkaProducer | None
        self._idle: bool
        self._closing: bool
        self._ended: bool
        self._options = options
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._delivery_timeout_s = delivery_timeout_s
        self._close_timeout_s = close_timeout_s
        self._on_loss = on_loss
        self.sent = 0
        self._lost: Counter[str] = Counter()
        self._warned: dict[str, float] = {}
        self._inherited: list[object] = []
        self._start_anew()
        _senders.add(self)

    @property
    def lost(self) -> dict[str, int]:
        """How many records were lost, by reason."""
        with self._lock:
            return dict(self._lost)

    def offer(self, topic: str, key: bytes, value: bytes, event_id: str) -> bool:
        """Hand over a record without waiting. False: there was no room, it is lost."""
        size = len(value)
        with self._lock:
            if self._closing:
                raise RuntimeError("the publisher is closed")
            fits = self._events < self._max_events and self._bytes + size <= self._max_bytes
            if fits:
                self._events += 1
                self._bytes += size
                self._open[self._epoch] += 1
                self._queue.append(Outgoing(topic, key, value, event_id, self._epoch, time.monotonic()))
                if self._idle:
                    self._idle = False
                    self._lock.notify_all()
                if self._thread is None:
                    self._begin()
        if not fits:
            self._report(event_id, "the buffer is full")
        return fits

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until each record handed over so far is acknowledged or lost; False if the time is up before."""
        with self._lock:
            epoch = self._epoch
            self._epoch += 1
            return self._lock.wait_for(lambda: not any(e <= epoch for e in self._open), timeout)

    def close(self) -> None:
        """Flush for at most ``close_timeout_s``, stop the thread, and count what is left as lost."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        atexit.unregister(self.close)
        deadline = time.monotonic() + self._close_timeout_s
        self.flush(self._close_timeout_s)
        with self._lock:
            self._ended = True
            self._lock.notify_all()
        if self._thread is not None:
            # The thread counts what is left; only a connection that is just being made can keep it longer than this.
            self._thread.join(max(0.0, deadline - time.monotonic()) + 1.0)
        with self._lock:
            left = self._events
        if left:
            log.warning("driftline publisher: %d events lost (closed before delivery)", left)

    def _start_anew(self) -> None:
        self._lock = threading.Condition()
        self._queue: deque[Outgoing] = deque()
        self._open: Counter[int] = Counter()
        self._events = self._bytes = self._epoch = 0
        self._idle = self._closing = self._ended = False
        self._thread = None
        self._producer = None

    def after_fork(self) -> None:
        """Begin anew in a child process: thread and connection are the parent's, and so are the records that wait."""
        if self._producer is not None:
            self._producer._closed = True  # noqa: SLF001 - or its handler would wait at exit for a thread that is not here
            self._inherited.append(self._producer)  # kept, for its end would reach into the parent's selector
        self._start_anew()

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="driftline-publisher", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._queue and not self._ended:
                    self._idle = True
                    self._lock.wait()
                self._idle = False
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), _BATCH))]
            if not batch:
                break
            for record in batch:
                self._send(record)
        if self._producer is not None:
            _shut(self._producer)

    def _send(self, record: Outgoing) -> None:
        pause = 0.05
        while True:
            left = record.since + self._delivery_timeout_s - time.monotonic()
            if left <= 0 or self._ended:
                self._done(record, "closed before delivery" if self._ended else "not delivered in time")
                return
            try:
                future = self._connected().send(record.topic, value=record.value, key=record.key)
            except (RetriableError, OSError) as error:
                # No broker, or no such topic (yet): neither is the record's fault.
                self._warn(f"{record.topic} can't be reached", f"{type(error).__name__}: {error}")
                with self._lock:
                    self._lock.wait_for(lambda: self._ended, min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is one record's; the thread has to live on
                self._warn(f"{record.topic} refuses a record", f"{type(error).__name__}: {error}")
                self._done(record, f"refused: {type(error).__name__}")
                return
            else:
                future.add_callback(lambda _: self._done(record, None))
                future.add_errback(lambda error: self._done(record, f"not delivered: {type(error).__name__}"))
                return

    def _connected(self) -> KafkaProducer:
        if self._producer is None:
            self._producer = _connect(self._options)
            # kafka-python's own handler closes it at exit; handlers run last in, first out, and ours has to flush before.
            atexit.unregister(self.close)
            atexit.register(self.close)
        return self._producer

    def _done(self, record: Outgoing, reason: str | None) -> None:
        with self._lock:
            self._events -= 1
            self._bytes -= len(record.value)
            self._open[record.epoch] -= 1
            if not self._open[record.epoch]:
                del self._open[record.epoch]
                self._lock.notify_all()
            if reason is None:
                self.sent += 1
        if reason is not None:
            self._report(record.event_id, reason)

    def _report(self, event_id: str, reason: str) -> None:
        with self._lock:
            self._lost[reason] += 1
            total = self._lost[reason]
        self._warn(reason, f"{total} events lost so far")
        if self._on_loss is not None:
            try:
                self._on_loss(event_id, reason)
            except Exception:
                log.exception("the callback for lost events failed")

    def _warn(self, what: str, detail: str) -> None:
        now = time.monotonic()
        if now - self._warned.get(what, float("-inf")) >= _WARN_EVERY_S:
            self._warned[what] = now
            log.warning("driftline publisher: %s (%s)", what, detail)


def _connect(options: dict[str, Any]) -> KafkaProducer:
    clients: list[Any] = []

    def client(**config: Any) -> Any:
        clients.append(KafkaProducer.DEFAULT_CONFIG["kafka_client"](**config))
        return clients[-1]

    try:
        return KafkaProducer(**options, kafka_client=client)
    except BaseException:
        # A producer that found no broker leaves its client's sockets open, and during an outage there are many of them.
        for each in clients:
            each.close()
        raise


def _shut(producer: KafkaProducer) -> None:
    """Close at once: what is not acknowledged by now fails, and each record hears of it."""
    try:
        producer.close(timeout=0)
    except KafkaError:  # kafka-python 3.0 raises where records are left, and then leaves them and its thread alive
        producer._sender.force_close()  # noqa: SLF001
        producer._sender.join(1.0)  # noqa: SLF001


_senders: weakref.WeakSet[BackgroundSender] = weakref.WeakSet()


def _after_fork() -> None:
    for sender in list(_senders):
        sender.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
