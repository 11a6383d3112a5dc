"""`Publisher`: one line in a service for each prediction, one for each label."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Self

import msgspec

from driftline.contracts.events import MAX_EVENT_BYTES, InferenceEvent, LabelEvent, encode_event
from driftline.contracts.settings import KafkaSettings, SecuritySettings
from driftline.contracts.topics import INFERENCE_EVENTS, LABEL_EVENTS, topic_name
from driftline.producers import fields
from driftline.producers.buffer import Outgoing
from driftline.producers.features import encode_features, hide_features, pii_rules
from driftline.producers.losses import OnLoss
from driftline.producers.options import LINGER_MS, producer_options
from driftline.producers.sending import BackgroundSender


class PublisherStats(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the events of this process: what was published is delivered, waiting or lost."""

    #: Acknowledged by Kafka.
    delivered: int
    #: In the buffer or on their way, and of how many bytes.
    waiting: int
    waiting_bytes: int
    #: By reason.
    lost: dict[str, int]

    @property
    def published(self) -> int:
        """How many events were published."""
        return self.delivered + self.waiting + sum(self.lost.values())


class Publisher:
    """Publishes the predictions of one model, and later their labels.

    ``publish`` never waits for a broker: events go through a bounded buffer to a thread of their own, with acknowledgement by all replicas and
    without duplicates by retries. What can't be delivered is counted in ``lost``, logged, and told to ``on_loss(event_id, reason)``. Before the
    process ends, and when the ``with`` block does, what is buffered is sent, for at most ``close_timeout`` seconds.

    ::

        with Publisher(bootstrap_servers="127.0.0.1:9092", model="credit-risk", version="7") as publisher:
            event_id = publisher.publish({"amount": 1400, "country": "FR"}, prediction=1, score=0.83)
            ...
            publisher.publish_label(event_id, 0)

    ``pii`` says what of personal features leaves the service: ``{"email": "drop", "user": "hash", "age": "bucket:10"}``, see contracts/pii.py. To
    hash, it needs ``pii_key``, or ``pii_key_file`` with the key in it.

    ``linger_ms`` is how long an event may wait for others to share a request with: longer is less work for the service and the broker, and later.
    ``max_events`` bounds the records that wait (a columnar one counts as one), ``max_bytes`` their size: more is lost at once, and counted.

    Raises SettingsError where the security settings, the compression, ``linger_ms`` or the rules can't be used here.
    """

    def __init__(
        self,
        *,
        bootstrap_servers: str,
        model: str,
        version: str = "1",
        topic_prefix: str = "",
        security: SecuritySettings | None = None,
        compression: str | None = None,
        linger_ms: int = LINGER_MS,
        max_events: int = 50_000,
        max_bytes: int = 64 << 20,
        max_block_ms: int = 1_000,
        delivery_timeout: float = 120.0,
        close_timeout: float = 5.0,
        on_loss: OnLoss | None = None,
        pii: Mapping[str, str] | None = None,
        pii_key: bytes | None = None,
        pii_key_file: str | None = None,
    ) -> None:
        self._model = fields.name("model", model)
        self._version = fields.name("version", version)
        self._pii, self._pii_key = pii_rules(pii or {}, pii_key, pii_key_file)
        kafka = KafkaSettings(topic_prefix=topic_prefix)
        self._events = topic_name(INFERENCE_EVENTS, kafka)
        self._labels = topic_name(LABEL_EVENTS, kafka)
        options = producer_options(
            bootstrap_servers=bootstrap_servers,
            compression=compression,
            max_block_ms=max_block_ms,
            delivery_timeout_s=delivery_timeout,
            security=security,
            linger_ms=linger_ms,
        )
        self._sender = BackgroundSender(
            options, max_records=max_events, max_bytes=max_bytes, delivery_timeout_s=delivery_timeout, close_timeout_s=close_timeout, on_loss=on_loss
        )

    @property
    def stats(self) -> PublisherStats:
        """What became of the events so far, for a service's own metrics."""
        waiting, size = self._sender.waiting
        return PublisherStats(delivered=self._sender.sent, waiting=waiting, waiting_bytes=size, lost=self._sender.lost)

    @property
    def lost(self) -> int:
        """How many events were lost so far; ``lost_by_reason`` says why."""
        return sum(self._sender.lost.values())

    @property
    def lost_by_reason(self) -> dict[str, int]:
        """How many events were lost so far, by reason."""
        return self._sender.lost

    @property
    def delivered(self) -> int:
        """How many events Kafka has acknowledged."""
        return self._sender.sent

    def publish(
        self,
        features: Mapping[str, object],
        *,
        prediction: object = None,
        score: object = None,
        probabilities: Mapping[str, float] | None = None,
        event_id: str | None = None,
        event_time: int | str | datetime | None = None,
        slice: Mapping[str, str] | None = None,  # noqa: A002 - the field's name in the contract
        version: str | None = None,
    ) -> str:
        """Publish one prediction and return its id, which its label will need. ``event_time`` is now unless it is given.

        Raises TypeError naming the field for a value that is no scalar (numpy's scalars are; NaN is null), and ValueError for an event that no
        consumer would accept (an id too long, a time without a zone, more than a megabyte).
        """
        event = InferenceEvent(
            event_id=fields.name("event_id", event_id) if event_id is not None else os.urandom(16).hex(),
            model=self._model,
            version=fields.name("version", version) if version is not None else self._version,
            event_time=fields.millis(event_time),
            features=encode_features(hide_features(features, self._pii, self._pii_key) if self._pii else features),
            prediction=fields.class_or_number("prediction", prediction),
            score=fields.number("score", score),
            probabilities=None if probabilities is None else fields.probabilities(probabilities),
            slice=None if slice is None else fields.slices(slice),
        )
        self._offer(self._events, event)
        return event.event_id

    def publish_batch(
        self,
        features: object,
        *,
        predictions: object = None,
        scores: object = None,
        probabilities: object = None,
        event_ids: object = None,
        event_times: object = None,
        slices: Mapping[str, object] | None = None,
        version: str | None = None,
        timeout: float = 0.0,
    ) -> list[str]:
        """Publish many predictions as columns (Arrow; needs ``driftline[columnar]``) and return their ids, one for each row.

        ``features`` is a pandas DataFrame, an Arrow table, or a mapping of names to sequences; ``predictions``, ``scores`` and ``event_ids`` are
        sequences, ``event_times`` too (or one time for all; now unless given), ``probabilities`` and ``slices`` map classes, or names, to sequences:
        one value for each row. What a row means, and what is refused, is as with ``publish``; if anything is, nothing is published.

        It takes as long as the encoding, a fraction of a microsecond a value. What finds no room in the buffer is lost and counted, unless it finds
        some within ``timeout`` seconds: for a batch job, which has nobody who waits.
        """
        from driftline.contracts.columnar import CONTENT_TYPE, encode_records
        from driftline.producers.batches import event_batch
        from driftline.producers.columns import feature_columns

        columns, rows = feature_columns(features, self._pii, self._pii_key)
        batch, ids = event_batch(
            columns,
            rows,
            predictions=predictions,
            scores=scores,
            probabilities=probabilities,
            event_ids=event_ids,
            event_times=event_times,
            slices=slices,
        )
        records = list(encode_records(batch, model=self._model, version=self._version if version is None else fields.name("version", version)))
        headers = [("content-type", CONTENT_TYPE)]
        deadline = time.monotonic() + timeout
        for start, n, value in records:
            # Without a key: one record after the other, they go round the partitions.
            self._sender.offer(Outgoing(self._events, None, value, ids[start : start + n], headers), timeout=max(0.0, deadline - time.monotonic()))
        return ids

    def publish_label(self, event_id: str, label: object, *, event_time: int | str | datetime | None = None) -> None:
        """Publish what really happened to a prediction. None withdraws an earlier label; a label given again with a later time corrects it.

        ``event_time`` is when it was known (now, by default). Many at once have to come in its order: the latest of a partition is how far its time
        has come, panes close by that, and who comes for a closed one counts in windows and in training, but for no alarm.
        """
        value = fields.class_or_number("label", label)
        if value is None and label is not None:
            raise ValueError(f"label is {label!r}; expected a finite number, text, a bool or None")
        self._offer(
            self._labels, LabelEvent(event_id=fields.name("event_id", event_id), model=self._model, event_time=fields.millis(event_time), label=value)
        )

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was published before is acknowledged or lost; False if ``timeout`` seconds were not enough."""
        return self._sender.flush(timeout)

    def close(self) -> None:
        """Send what is buffered, for at most ``close_timeout`` seconds, and disconnect."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _offer(self, topic: str, event: InferenceEvent | LabelEvent) -> None:
        try:
            value = encode_event(event)
        except UnicodeEncodeError as error:
            raise ValueError(f"a text of the event can't be written as UTF-8: {error}") from None
        if len(value) > MAX_EVENT_BYTES:
            raise ValueError(f"the event has {len(value)} bytes; at most {MAX_EVENT_BYTES} are accepted")
        self._sender.offer(Outgoing(topic, event.event_id.encode(), value, event.event_id))
