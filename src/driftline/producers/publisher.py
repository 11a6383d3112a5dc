"""`Publisher`: one line in a service for each prediction, one for each label."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Self

from kafka.codec import has_lz4, has_snappy, has_zstd

from driftline.contracts.errors import DecodeError, SettingsError
from driftline.contracts.events import MAX_EVENT_BYTES, MAX_ID_CHARS, InferenceEvent, LabelEvent, encode_event
from driftline.contracts.settings import KafkaSettings, SecuritySettings
from driftline.contracts.times import parse_time
from driftline.contracts.topics import INFERENCE_EVENTS, LABEL_EVENTS, topic_name
from driftline.producers.features import encode_features, plain_scalar
from driftline.producers.security import security_options
from driftline.producers.sending import BackgroundSender, OnLoss

_CODECS = {"gzip": lambda: True, "snappy": has_snappy, "lz4": has_lz4, "zstd": has_zstd}
_LINGER_MS = 5


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

    Raises SettingsError where the security settings, or the compression, can't be used here.
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
        max_events: int = 50_000,
        max_bytes: int = 64 << 20,
        max_block_ms: int = 1_000,
        delivery_timeout: float = 120.0,
        close_timeout: float = 5.0,
        on_loss: OnLoss | None = None,
    ) -> None:
        if compression is not None and not _CODECS.get(compression, lambda: False)():
            raise SettingsError("compression", compression, "gzip, snappy, lz4 or zstd, with its package (driftline[codecs]) installed")
        self._model = _name("model", model)
        self._version = _name("version", version)
        self._close_timeout = close_timeout
        kafka = KafkaSettings(topic_prefix=topic_prefix)
        self._events = topic_name(INFERENCE_EVENTS, kafka)
        self._labels = topic_name(LABEL_EVENTS, kafka)
        delivery_ms = max(2 * _LINGER_MS + 100, int(delivery_timeout * 1000))
        options = {
            "bootstrap_servers": [server.strip() for server in bootstrap_servers.split(",")],
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": compression,
            "linger_ms": _LINGER_MS,
            "batch_size": 1 << 17,
            "max_block_ms": max_block_ms,
            "bootstrap_timeout_ms": max(max_block_ms, 2_000),
            "delivery_timeout_ms": delivery_ms,
            "request_timeout_ms": min(30_000, delivery_ms - _LINGER_MS),
            "reconnect_backoff_max_ms": 2_000,
            # A misspelt topic shall be an error, not a new topic.
            "allow_auto_create_topics": False,
            **security_options(security),
        }
        self._sender = BackgroundSender(
            options, max_events=max_events, max_bytes=max_bytes, delivery_timeout_s=delivery_timeout, close_timeout_s=close_timeout, on_loss=on_loss
        )

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
            event_id=_name("event_id", event_id) if event_id is not None else uuid.uuid4().hex,
            model=self._model,
            version=_name("version", version) if version is not None else self._version,
            event_time=_millis(event_time),
            features=encode_features(features),
            prediction=_class("prediction", prediction),
            score=_number("score", score),
            probabilities=None if probabilities is None else {str(k): _probability(k, p) for k, p in probabilities.items()},
            slice=None if slice is None else {str(k): str(v) for k, v in slice.items()},
        )
        self._offer(self._events, event)
        return event.event_id

    def publish_label(self, event_id: str, label: object, *, event_time: int | str | datetime | None = None) -> None:
        """Publish what really happened to a prediction. None withdraws an earlier label; a label given again with a later time corrects it."""
        value = _class("label", label)
        if value is None and label is not None:
            raise ValueError(f"label is {label!r}; expected a finite number, text, a bool or None")
        self._offer(self._labels, LabelEvent(event_id=_name("event_id", event_id), model=self._model, event_time=_millis(event_time), label=value))

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
        self._sender.offer(topic, event.event_id.encode(), value, event.event_id)


def _name(field: str, value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{field} is of type {type(value).__name__}; expected text")
    if not value or len(value) > MAX_ID_CHARS or "\x00" in value:
        raise ValueError(f"{field} has {len(value)} characters; expected 1 to {MAX_ID_CHARS}, none of them NUL")
    return value


def _class(field: str, value: object) -> float | str | bool | None:
    """Return a prediction or a label as the contract has it."""
    plain = plain_scalar(field, value)
    if isinstance(plain, str) and (len(plain) > MAX_ID_CHARS or "\x00" in plain):
        raise ValueError(f"{field} has {len(plain)} characters; expected at most {MAX_ID_CHARS}, none of them NUL")
    return plain


def _number(field: str, value: object) -> float | None:
    plain = plain_scalar(field, value)
    if plain is None or (isinstance(plain, int | float) and not isinstance(plain, bool)):
        return plain
    raise TypeError(f"{field} is of type {type(value).__name__}; expected a number or None")


def _probability(name: object, value: object) -> float:
    number = _number(f"probabilities[{name!r}]", value)
    if number is None:
        raise ValueError(f"probabilities[{name!r}] is {value!r}; expected a finite number")
    return number


def _millis(value: int | str | datetime | None) -> int:
    if value is None:
        return time.time_ns() // 1_000_000
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("event_time has no time zone")
        value = round(value.timestamp() * 1000)
    try:
        return parse_time(value)
    except DecodeError as error:
        raise ValueError(error.reason) from None
