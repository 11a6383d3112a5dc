"""``driftline retrain``: takes triggers from the topic one at a time, and keeps its place in the group however long a
training lasts.

The training runs in a process of its own; this one goes on polling, with its partitions paused, and renews the run's
lease. A trigger's offset is committed only when its run is settled and all that it says to the world is acknowledged;
so whatever dies in between, the trigger is read again, and finds its run settled, or takes it over once the lease is
out.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from types import FrameType
from typing import Any

from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata, TopicPartition
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from driftline.contracts.errors import DecodeError
from driftline.contracts.findings import RetrainTrigger, decode_json
from driftline.contracts.settings import Settings
from driftline.retrain.checking import check_trainers
from driftline.retrain.connection import event_ends, open_consumer, open_producer
from driftline.retrain.handling import Ends, Handling
from driftline.retrain.publishing import bury, publish_turns
from driftline.store.database import check_revision, open_database

log = logging.getLogger("driftline.retrain")

Beat = Callable[[str | None], None]

_POLL_MS = 200
_COMMIT_MS = 5_000
_PUBLISH_EVERY_MS = 1_000
_PUBLISH_RETRY_MS = 5_000
_ANEW_S = 5.0


def run_worker(settings: Settings, *, stop: threading.Event | None = None, beat: Beat = lambda _: None) -> int:
    """Work until told to stop (SIGTERM, SIGINT or ``stop``), and return the exit code.

    The first signal ends the training, if one is under way, and gives its run back; a second one ends this process at
    once. ``beat`` is called each time round, with what the worker waits for if it can't work. A database that goes away
    is waited for: what was in hand is then read again, and its run taken over once the lease is out.

    Raises:
        SettingsError: a trainer can't be loaded. SetupError, TopicError, SchemaOutdated: what the worker needs is not there.
    """
    check_trainers(settings)  # now, rather than when a trigger comes in the night
    stop = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        _install_signals(stop)
    engine = open_database(settings.database)
    try:
        check_revision(engine)
        while not stop.is_set():
            try:
                _work(engine, settings, stop, beat)
            except OperationalError as error:
                log.warning("The database does not answer (%s): starting anew.", error.orig, extra={"fields": {"event": "database-away"}})
                beat("the database does not answer")
                stop.wait(_ANEW_S)
    finally:
        engine.dispose()
    return 0


def _work(engine: Engine, settings: Settings, stop: threading.Event, beat: Beat) -> None:
    consumer = open_consumer(settings)
    try:
        producer = open_producer(settings)
        try:
            _Worker(engine, settings, consumer, producer).run(stop, beat)
        finally:
            producer.close(timeout=5)
    finally:
        consumer.close(autocommit=False)


class _Worker:
    def __init__(self, engine: Engine, settings: Settings, consumer: Any, producer: Any) -> None:
        self._engine = engine
        self._settings = settings
        self._consumer = consumer
        self._producer = producer
        self._owner = settings.worker.instance_id or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._record: Any = None  # the trigger's record, from its arrival until nothing is left of it
        self._owed: dict[TopicPartition, int] = {}  # what is done and has yet to be committed
        self._handling: Handling | None = None
        self._unreadable: DecodeError | None = None
        self._publish_at = 0
        self._broken = False  # the broker took nothing the last time

    def run(self, stop: threading.Event, beat: Beat) -> None:
        log.info("The retrain worker is ready.")
        try:
            while not stop.is_set():
                self._advance(_now())
                self._commit()
                self._poll()
                beat("the broker does not take what is to be published" if self._broken else None)
        finally:
            if self._handling is not None:
                self._handling.abandon(_now())
                log.info("Stopped in the middle of a run; it is free for the next worker.")

    def _advance(self, now: int) -> None:
        """Take the record in hand a step further, publish what is due, and commit the record once nothing is left of
        it.
        """
        settled = self._record is not None and (self._handling is None or self._handling.step(now))
        if settled and not self._broken:
            self._publish_at = 0
        if self._published(now) and settled:
            self._done(self._record)

    def _poll(self) -> None:
        assigned = self._consumer.assignment()
        if self._record is None:
            self._consumer.resume(*assigned)
        else:
            self._consumer.pause(*assigned)
        batches: dict[TopicPartition, list[Any]] = self._consumer.poll(timeout_ms=_POLL_MS, max_records=1)
        for partition, records in batches.items():
            for record in records:
                if self._record is None:
                    self._take(record)
                else:  # of a partition that was assigned to us within this very poll
                    self._consumer.seek(partition, record.offset)

    def _take(self, record: Any) -> None:
        self._record = record
        try:
            if record.value is None:
                raise DecodeError("the record has no value")
            trigger = decode_json(record.value, RetrainTrigger)
        except DecodeError as error:
            fields = {"event": "unreadable", "topic": record.topic, "partition": record.partition, "offset": record.offset, "code": error.code}
            log.warning("A record at offset %d is no trigger: %s", record.offset, error.reason, extra={"fields": fields})
            self._unreadable = error
            return
        self._handling = Handling(self._engine, self._settings, trigger, owner=self._owner, event_ends=self._event_ends)

    def _done(self, record: Any) -> None:
        self._record = self._handling = None
        self._owed[TopicPartition(record.topic, record.partition)] = record.offset + 1

    def _commit(self) -> None:
        """Commit what is done: a group that is being shared out anew takes no commit, so again until it does, or until another worker has the
        partition, who will find the run settled.
        """
        for partition, offset in list(self._owed.items()):
            if partition not in self._consumer.assignment():
                del self._owed[partition]
                continue
            try:
                self._consumer.commit({partition: OffsetAndMetadata(offset, "", -1)}, timeout_ms=_COMMIT_MS)
                at = self._consumer.position(partition, timeout_ms=_COMMIT_MS)
                if at is not None and at < offset:  # it was assigned anew from what had been committed
                    self._consumer.seek(partition, offset)
            except KafkaError as error:
                log.info("The offset after trigger %d is not committed yet (%s): trying again.", offset - 1, error)
            else:
                del self._owed[partition]

    def _published(self, now: int) -> bool:
        """Publish what waits; False while the broker does not take it. Other turns than this worker's own (an accepted
        drift) leave this way too.
        """
        if now < self._publish_at:
            return not self._broken
        try:
            if self._unreadable is not None:
                bury(self._producer, self._settings.kafka, self._settings.limits, self._record, self._unreadable)
                self._unreadable = None
            publish_turns(self._engine, self._settings.kafka)
        except KafkaError as error:
            log.warning("The broker does not take what is to be published (%s): trying again.", error)
            self._broken, self._publish_at = True, now + _PUBLISH_RETRY_MS
        else:
            self._broken, self._publish_at = False, now + _PUBLISH_EVERY_MS
        return not self._broken

    def _event_ends(self) -> Ends:
        try:
            return event_ends(self._consumer, self._settings.kafka)
        except KafkaError as error:
            log.warning("The broker does not say how far the events go (%s): not waiting for the join.", error)
            return {}


def _install_signals(stop: threading.Event) -> None:
    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)  # asked twice: the lease runs out by itself, and the child ends with us
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)


def _now() -> int:
    return time.time_ns() // 1_000_000
