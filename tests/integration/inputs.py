"""The known stream as a log: delivered twice, with clocks that jump, with a silent partition; in columns, in transactions, compressed, at a pace."""

from __future__ import annotations

import asyncio
import json
import math
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from tests.integration.faults import PLAIN, Input
from tests.integration.stream import CLICKS, PARTITIONS, START, Record

from driftline.contracts.columnar import FEATURE_PREFIX, encode_columns
from driftline.contracts.settings import Settings
from driftline.contracts.times import HOUR_MS, MINUTE_MS

#: Records of one batch: as many as a busy client gets together.
_BATCH: Final = 200
#: One transaction of so many is aborted, and its batch written again.
_ABORTED: Final = 4
#: Hours of the stream at which a clock jumps this far ahead: all after it are late until time has caught up.
_JUMPS: Final = ((70, 5), (120, 9))
#: What the columns of the models hold.
_KINDS: Final = ({"x": float, "y": float, "c": str}, {"area": float, "town": str})


def as_told(stream: Sequence[Record], how: Input, now: int) -> list[Record]:
    """Return the records of a log, in order. ``now`` (epoch ms) is what the clocks that jump are compared with."""
    told = list(stream)
    if how.jumps:
        told = _jumping(told, now)
    if how.twice:
        again = [r._replace(arrival=r.arrival + 5 * MINUTE_MS) for r in told if r.value and b"event_id" in r.value]
        told = sorted([*told, *again], key=lambda r: r.arrival)  # stable: the second delivery comes after the first
    if how.silent is not None:
        told = [r._replace(partition=(r.partition + 1) % PARTITIONS) if r.partition == how.silent else r for r in told]
    return _columnar(told) if how.columnar else told


def _columnar(stream: Sequence[Record]) -> list[Record]:
    """Put predictions that follow one another in a partition into one columnar record where they are of one model and version and none is odd: the
    same events in the same order.
    """
    told: list[Record] = []
    open_: dict[int, tuple[object, list[dict[str, Any]]]] = {}
    #: Runs by where they begin in ``told``.
    runs: dict[int, list[dict[str, Any]]] = {}
    for record in stream:
        event = _plain(record) if record.topic == "inference-events" else None
        kind = event and (event["model"], event["version"], record.timestamp)
        known, run = open_.get(record.partition, (None, []))
        if event is not None and kind == known:
            run.append(event)
            continue
        if event is not None:
            runs[len(told)] = [event]
            open_[record.partition] = kind, runs[len(told)]
        elif record.topic == "inference-events":
            open_.pop(record.partition, None)
        told.append(record)
    for at, run in runs.items():
        if len(run) > 1:
            told[at] = told[at]._replace(key=None, value=_columns(run))
    return told


def _plain(record: Record) -> dict[str, Any] | None:
    """Return the event of a record whose values are all of the kind that its columns have."""
    try:
        event: Any = json.loads(record.value or b"")
        kinds = {name: type(value) for name, value in event["features"].items()}
        numbers = [value for value in event["features"].values() if type(value) is float]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    if kinds not in _KINDS or not all(map(math.isfinite, numbers)) or type(event.get("event_time")) is not int:
        return None
    return event  # type: ignore[no-any-return]


def _columns(run: Sequence[dict[str, Any]]) -> bytes:
    columns = {name: [event[name] for event in run] for name in ("event_id", "event_time", "score", "prediction") if name in run[0]}
    features = {f"{FEATURE_PREFIX}{name}": [event["features"][name] for event in run] for name in run[0]["features"]}
    return encode_columns(pa.RecordBatch.from_pydict(columns | features), model=run[0]["model"], version=run[0]["version"])


def _jumping(stream: list[Record], now: int) -> list[Record]:
    """Let event times jump by hours both ways, and the times at which records were made by hours back and half an hour ahead."""
    told = []
    for i, record in enumerate(stream):
        if record.topic == "label-events" and _unlabelled(record):
            # Its prediction may be late while the label is in time: what an outcome's pane held when it closed would then be chance.
            continue
        # A broker takes no record from more than an hour ahead.
        told.append(record._replace(timestamp=now - (i // 500 % 7) * HOUR_MS + (30 * MINUTE_MS if i // 500 % 7 == 0 else 0)))
    for n, (hour, ahead) in enumerate(_JUMPS):
        at = START + hour * HOUR_MS
        told += [_event(f"ahead-{n}", at, at + ahead * HOUR_MS, n), _event(f"behind-{n}", at + 1, at - ahead * HOUR_MS, n)]
    told.append(_event("tomorrow", START + 100 * HOUR_MS, now + 12 * HOUR_MS, 1))  # counted where it says; it makes nobody late
    return sorted(told, key=lambda r: r.arrival)


def _unlabelled(record: Record) -> bool:
    _, _, hour = (record.key or b"").decode().partition("-")
    number = hour.partition("-")[0]
    return number.isdecimal() and any(at - 2 <= int(number) <= at + ahead + 1 for at, ahead in _JUMPS)


def _event(event_id: str, arrival: int, event_time: int, partition: int) -> Record:
    event = {"event_id": event_id, "model": CLICKS, "version": "1", "event_time": event_time, "features": {"x": 0, "y": 0, "c": "a"}, "score": 0.5}
    return Record(arrival, "inference-events", partition, event_id.encode(), json.dumps(event).encode())


def publish(settings: Settings, stream: Sequence[Record], how: Input = PLAIN) -> float:
    """Publish the records in order, each batch in the next of the codecs; return the records a second."""
    return asyncio.run(_publish(settings, stream, how))


async def _publish(settings: Settings, stream: Sequence[Record], how: Input) -> float:
    producers: dict[str | None, Any] = {}
    for codec in dict.fromkeys(how.codecs):
        # One request at a time keeps the order within a partition.
        producers[codec] = AIOKafkaProducer(
            bootstrap_servers=settings.kafka.bootstrap_servers, compression_type=codec, linger_ms=0, max_batch_size=1 << 20,
            transactional_id=f"{settings.kafka.topic_prefix}{uuid.uuid4().hex}" if how.transactions else None,
        )  # fmt: skip
        await producers[codec].start()
    began, sent = time.monotonic(), 0
    try:
        for i, (topic, partition, batch) in enumerate(_batches(stream)):
            producer, name = producers[how.codecs[i % len(how.codecs)]], settings.kafka.topic_prefix + topic
            if how.transactions:
                if i % _ABORTED == 0:
                    await producer.begin_transaction()
                    await _send(producer, name, partition, batch)
                    await producer.abort_transaction()
                async with producer.transaction():
                    await _send(producer, name, partition, batch)
            else:
                await _send(producer, name, partition, batch)
            sent += len(batch)
            if how.pace is not None:
                await asyncio.sleep(max(0.0, sent / how.pace - (time.monotonic() - began)))
    finally:
        for producer in producers.values():
            await producer.stop()
    return len(stream) / (time.monotonic() - began)


async def _send(producer: Any, topic: str, partition: int, batch: Sequence[Record]) -> None:
    builder = producer.create_batch()
    for record in batch:
        if builder.append(key=record.key, value=record.value, timestamp=record.timestamp) is None:
            raise ValueError("a batch is too large")
    acknowledged = await producer.send_batch(builder, topic, partition=partition)
    try:
        await acknowledged
    except KafkaError as error:
        raise RuntimeError(f"the stream could not be published: {error!r}") from error


def _batches(stream: Sequence[Record]) -> Iterator[tuple[str, int, list[Record]]]:
    """Yield runs of each partition, so that all partitions advance together."""
    open_: dict[tuple[str, int], list[Record]] = {}
    for record in stream:
        batch = open_.setdefault((record.topic, record.partition), [])
        batch.append(record)
        if len(batch) == _BATCH:
            yield record.topic, record.partition, open_.pop((record.topic, record.partition))
    for (topic, partition), batch in open_.items():
        yield topic, partition, batch
