"""`Subscriber`: findings, alerts, versions and triggers as typed messages, from where one says."""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self

from driftline.contracts.errors import DecodeError, SettingsError, TopicError
from driftline.contracts.findings import Alert, Finding, ModelVersion, PaneClosing, Published, RetrainTrigger, decode_json
from driftline.contracts.knock import check_welcome
from driftline.contracts.security import open_security
from driftline.contracts.settings import KafkaSettings, SecuritySettings
from driftline.contracts.times import EARLIEST_MS, parse_time
from driftline.contracts.topics import ALERTS, DRIFT_FINDINGS, MODEL_VERSIONS, PANE_CLOSINGS, RETRAIN_TRIGGERS, Topic, topic_name
from driftline.producers.security import security_options

log = logging.getLogger(__name__)

_TOPICS: dict[type, Topic] = {
    Finding: DRIFT_FINDINGS,
    Alert: ALERTS,
    ModelVersion: MODEL_VERSIONS,
    RetrainTrigger: RETRAIN_TRIGGERS,
    PaneClosing: PANE_CLOSINGS,
}
#: What is the same message said again, and what orders its revisions.
_IDENTITY: dict[type, Callable[[Any], tuple[str, int]]] = {
    Finding: lambda m: (m.finding_id, m.revision),
    Alert: lambda m: (m.alert_id, m.revision),
    ModelVersion: lambda m: (m.model, m.sequence),
    RetrainTrigger: lambda m: (m.trigger_id, 0),
    PaneClosing: lambda m: (m.closing_id, 0),
}
#: Ids remembered to tell repeats; the longest unheard go first.
_REMEMBERED = 100_000
_POLL_MS = 200


class Received(NamedTuple, Generic[Published]):
    """A message, and where it stands in the log."""

    message: Published
    topic: str
    partition: int
    offset: int


class Subscriber(Generic[Published]):
    """Follows all partitions of the topic of one kind of message.

    ``start`` is ``"now"`` (what comes after this call), ``"earliest"``, a time (RFC 3339 text, a datetime, or epoch milliseconds, by when a message
    was appended), a whole number below 31536000000 (an offset, in every partition), or a mapping from partition to offset. It commits nothing: a
    consumer that has to resume keeps the offsets of what it has dealt with.

    Messages are delivered at least once: a repeat has the id of the first. ``latest=True`` leaves out repeats and revisions older than one already
    seen. What can't be decoded is counted in ``skipped`` and logged. ``idle_timeout`` (seconds) ends the iteration when nothing has come for so long.

    Raises TopicError where the topic does not exist, SetupError where the broker refuses the security settings.
    """

    def __init__(
        self,
        kind: type[Published],
        *,
        bootstrap_servers: str,
        topic_prefix: str = "",
        security: SecuritySettings | None = None,
        start: str | int | datetime | Mapping[int, int] = "now",
        latest: bool = False,
        model: str | None = None,
        idle_timeout: float | None = None,
    ) -> None:
        if kind not in _TOPICS:
            raise SettingsError("kind", kind, ", ".join(k.__name__ for k in _TOPICS))
        self._kind: type[Published] = kind
        self._model = model
        self._idle_timeout = idle_timeout
        self._seen: OrderedDict[str, int] | None = OrderedDict() if latest else None
        self.skipped = 0
        self.topic = topic_name(_TOPICS[kind], KafkaSettings(topic_prefix=topic_prefix))
        from kafka import KafkaConsumer  # 0.1 s, for those alone who have one

        servers = [server.strip() for server in bootstrap_servers.split(",")]
        check_welcome(servers, open_security(security or SecuritySettings(), os.environ))
        self._consumer = KafkaConsumer(
            bootstrap_servers=servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            **security_options(security),
        )
        try:
            self._seek(start)
        except BaseException:
            self._consumer.close()
            raise

    def __iter__(self) -> Iterator[Received[Published]]:
        """Yield messages as they come, without end unless there is an ``idle_timeout``."""
        heard = time.monotonic()
        while self._idle_timeout is None or time.monotonic() - heard < self._idle_timeout:
            for tp, records in self._consumer.poll(timeout_ms=_POLL_MS).items():
                heard = time.monotonic()
                for record in records:
                    message = self._decoded(record)
                    if message is not None and self._wanted(message):
                        yield Received(message, tp.topic, tp.partition, record.offset)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _seek(self, start: str | int | datetime | Mapping[int, int]) -> None:
        from kafka import TopicPartition

        known = self._consumer.partitions_for_topic(self.topic)
        if not known:
            raise TopicError(f"the topic {self.topic} does not exist: run `driftline topics create`")
        partitions = [TopicPartition(self.topic, p) for p in sorted(known)]
        self._consumer.assign(partitions)
        first = self._consumer.beginning_offsets(partitions)
        end = self._consumer.end_offsets(partitions)
        offsets = self._offsets(start, partitions, first, end)
        for tp in partitions:
            self._consumer.seek(tp, min(max(offsets[tp], first[tp]), end[tp]))

    def _offsets(self, start: object, partitions: list[Any], first: dict[Any, int], end: dict[Any, int]) -> dict[Any, int]:
        if start == "now":
            return end
        if start == "earliest":
            return first
        if isinstance(start, Mapping):
            return {tp: start.get(tp.partition, first[tp]) for tp in partitions}
        if isinstance(start, int) and not isinstance(start, bool) and 0 <= start < EARLIEST_MS:
            return dict.fromkeys(partitions, start)
        if isinstance(start, datetime):
            start = start.isoformat()
        try:
            millis = parse_time(start)
        except DecodeError:
            raise SettingsError("start", start, "now, earliest, an offset, a time with its zone, or a mapping from partition to offset") from None
        found = self._consumer.offsets_for_times(dict.fromkeys(partitions, millis))
        return {tp: found[tp].offset if found.get(tp) else end[tp] for tp in partitions}

    def _decoded(self, record: Any) -> Published | None:
        if record.value is None:  # a compacted topic's way to take a key back
            return None
        try:
            message: Published = decode_json(record.value, self._kind)
        except DecodeError as error:
            self.skipped += 1
            log.warning("skipped %s/%d at offset %d: %s", record.topic, record.partition, record.offset, error.reason)
            return None
        return message

    def _wanted(self, message: Published) -> bool:
        if self._model is not None and message.model != self._model:
            return False
        if self._seen is None:
            return True
        name, revision = _IDENTITY[self._kind](message)
        before = self._seen.get(name)
        if before is not None and revision <= before:
            return False
        self._seen[name] = revision
        self._seen.move_to_end(name)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return True
