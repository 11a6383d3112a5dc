"""Records go to Kafka from a thread of their own, through a bounded buffer: a service never waits for a broker, and every loss is counted.

kafka-python's own buffer has no bound, and its ``send`` waits for metadata; so records wait here, and count until their acknowledgement is in.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from driftline.contracts.knock import broker_answers
from driftline.producers.buffer import Buffer, Outgoing
from driftline.producers.forking import begin_anew_after_fork, steady
from driftline.producers.losses import WARN_EVERY_S, Losses, OnLoss

if TYPE_CHECKING:
    from kafka import KafkaProducer

_LONGEST_PAUSE_S = 2.0
#: So long this thread works at most (seconds) before it lets the service's threads have the interpreter, which would wait 5 ms to get it by
#: themselves; unless the buffer fills up, for then it is better that they wait than that events are lost.
_TURN_S = 0.0005
_PAUSE_S = 0.00005
#: So long (seconds) this thread waits at a time for what a flush has sent; what is published meanwhile waits in the buffer.
_HURRY_S = 0.05
#: So long (seconds) a broker may take to answer a knock, as long as it may take to answer Kafka's client (``options.py``).
_KNOCK_S = 2.0
FULL = "the buffer is full"


class BackgroundSender:
    """Sends records in order of arrival. ``max_records`` and ``max_bytes`` bound what is not yet acknowledged; the rest is lost, and counted.

    A record that can't be given to Kafka's client within ``delivery_timeout_s`` (no broker, no topic) is lost too, and so is one that the client
    gives up. ``on_loss(event_id, reason)`` is called from whichever thread finds out. A child process begins with an empty buffer and counts of its
    own: what waits in its parent, the parent sends.
    """

    def __init__(
        self,
        options: dict[str, Any],
        *,
        max_records: int = 50_000,
        max_bytes: int = 64 << 20,
        delivery_timeout_s: float = 120.0,
        close_timeout_s: float = 5.0,
        on_loss: OnLoss | None = None,
    ) -> None:
        self._buffer: Buffer
        self._losses: Losses
        self._starting: threading.Lock
        self._thread: threading.Thread | None
        self._producer: KafkaProducer | None
        self._away: bool
        self._options = options
        self._servers: list[str] = options["bootstrap_servers"]
        self._bounds = (max_records, max_bytes)
        self._delivery_timeout_s = delivery_timeout_s
        self._close_timeout_s = close_timeout_s
        self._on_loss = on_loss
        self._inherited: list[object] = []
        self._producer = None
        self.begin_anew()
        begin_anew_after_fork(self)

    @property
    def lost(self) -> dict[str, int]:
        """How many events were lost, by reason."""
        return self._losses.by_reason

    @property
    def sent(self) -> int:
        """How many events were acknowledged."""
        return self._sent

    @property
    def waiting(self) -> tuple[int, int]:
        """How many events, and of how many bytes, are neither acknowledged nor lost."""
        return self._buffer.events, self._buffer.size

    def offer(self, record: Outgoing, *, timeout: float = 0.0) -> bool:
        """Hand over a record, waiting for room no longer than ``timeout`` seconds. False: there was none, its events are lost."""
        fits = self._buffer.put(record)
        if self._thread is None:
            self._begin()
        if not fits and timeout > 0:
            deadline = time.monotonic() + timeout
            while not fits and self._buffer.wait_for_room(len(record.value), deadline - time.monotonic()):
                fits = self._buffer.put(record)
        if not fits:
            self._losses.count(record.ids, FULL)
        return fits

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until each record handed over so far is acknowledged or lost, none held back for others; False if the time is up before."""
        return self._buffer.flush(timeout)

    def close(self) -> None:
        """Flush for at most ``close_timeout_s``, stop the thread, and count what is left as lost."""
        if not self._buffer.close():
            return
        atexit.unregister(self.close)
        if self._finalizer is not None:
            self._finalizer.cancel()
        deadline = time.monotonic() + self._close_timeout_s
        self._buffer.flush(self._close_timeout_s)
        self._buffer.end()
        if self._thread is not None:
            # The thread counts what is left; only a connection that is just being made can keep it longer than this.
            self._thread.join(max(0.0, deadline - time.monotonic()) + 1.0)
        self._losses.tell(at_once=True)
        if self._buffer.events:
            self._losses.warn("closed before delivery", f"{self._buffer.events} events lost", at_once=True)

    def begin_anew(self) -> None:
        """Begin, or begin anew in a child process: thread and connection are the parent's, and so are the records that wait."""
        if self._producer is not None:
            self._producer._closed = True  # noqa: SLF001 - or its handler would wait at exit for a thread that is not here
            self._inherited.append(self._producer)  # kept, for its end would reach into the parent's selector
        self._buffer = Buffer(*self._bounds)
        self._losses = Losses(self._on_loss)
        self._starting = threading.Lock()
        self._counting = threading.Lock()
        self._sent = 0
        self._finalizer: Any = None
        self._thread = None
        self._producer = None
        self._away = False

    def _begin(self) -> None:
        with self._starting:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="driftline-publisher", daemon=True)
            thread.start()
            self._thread = thread
        atexit.register(self.close)
        multiprocessing = sys.modules.get("multiprocessing.util")
        if multiprocessing is not None:  # its processes end without atexit, but not without its own finalizers
            self._finalizer = multiprocessing.Finalize(None, self.close, exitpriority=10)

    def _run(self) -> None:
        began = time.monotonic()
        while True:
            record = self._buffer.take(WARN_EVERY_S)
            if record is not None:
                self._send(record)
            elif self._buffer.ended.is_set():
                break
            elif self._buffer.urgent:
                self._hurry()
            self._losses.tell()
            if time.monotonic() - began > _TURN_S:
                if not self._buffer.crowded:
                    time.sleep(_PAUSE_S)
                began = time.monotonic()
        if self._producer is not None:
            _shut(self._producer)

    def _send(self, record: Outgoing) -> None:
        pause = 0.05
        while True:
            left = record.since + self._delivery_timeout_s - time.monotonic()
            if left <= 0 or self._buffer.ended.is_set():
                self._lose(record, "closed before delivery" if self._buffer.ended.is_set() else "not delivered in time")
                return
            try:
                future = self._connected().send(record.topic, value=record.value, key=record.key, headers=record.headers)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is one record's; the thread has to live on
                said = f"{type(error).__name__}: {error}"
                if not _passes(error):
                    self._losses.warn(f"{record.topic} refuses a record", said)
                    self._lose(record, f"refused: {type(error).__name__}")
                    return
                self._losses.warn(f"{record.topic} can't be reached", said)
                self._losses.tell()
                self._buffer.ended.wait(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                future.add_callback(self._acknowledged, record)
                future.add_errback(self._given_up, record)
                return

    def _hurry(self) -> None:
        """Have Kafka's client send what it holds back for company (``linger_ms``)."""
        if self._producer is not None:
            with suppress(Exception):  # what fails, or takes longer, each record hears of by itself
                self._producer.flush(_HURRY_S)

    def _connected(self) -> KafkaProducer:
        if self._producer is None:
            # Forks are held up while Kafka's client is made, which takes seconds where no broker answers: so that is found out before, but for the
            # first time. A knock imports nothing.
            if self._away and not any(broker_answers([server], self._options.get("ssl_context"), _KNOCK_S) for server in self._servers):
                raise ConnectionError(f"none of {', '.join(self._servers)} answers")
            self._away = True
            with steady():
                self._producer = _connect(self._options)
            self._away = False
            # kafka-python's own handler closes it at exit; handlers run last in, first out, and ours has to flush before.
            atexit.unregister(self.close)
            atexit.register(self.close)
        return self._producer

    def _acknowledged(self, record: Outgoing, _: object) -> None:
        with self._counting:
            self._sent += record.events
        self._buffer.done(record)

    def _given_up(self, record: Outgoing, error: BaseException) -> None:
        self._lose(record, f"not delivered: {type(error).__name__}")

    def _lose(self, record: Outgoing, reason: str) -> None:
        self._losses.count(record.ids, reason)
        self._losses.tell()
        self._buffer.done(record)


def _passes(error: Exception) -> bool:
    """Say whether an error is not the record's fault: no broker, or no such topic (yet)."""
    from kafka.errors import RetriableError

    return isinstance(error, RetriableError | OSError)


def _connect(options: dict[str, Any]) -> KafkaProducer:
    from kafka import KafkaProducer

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
    from kafka.errors import KafkaError

    try:
        producer.close(timeout=0)
    except KafkaError:  # kafka-python 3.0 raises where records are left, and then leaves them and its thread alive
        producer._sender.force_close()  # noqa: SLF001
        producer._sender.join(1.0)  # noqa: SLF001
