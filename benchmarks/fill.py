"""Fill a topic with the benchmark's events: ``python -m benchmarks.fill --bootstrap host:port --topic t --events 1000000``.

With confluent-kafka where it is installed (the benchmark's own environment), with kafka-python where it is not (a tenth as fast).
The last line says how many records, how many bytes and how long.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterable

from benchmarks.events import Record, closing_records, records


def main() -> None:
    """Fill as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--end", type=int, required=True, help="the number of the event after the last one to be written now")
    parser.add_argument("--total", type=int, required=True, help="events of the whole stream: drift sets in after 60 %% of them")
    parser.add_argument("--start-ms", type=int, required=True)
    parser.add_argument("--closing", action="store_true", help="write the records that close every pane as well")
    given = parser.parse_args()
    stream: Iterable[Record] = records(given.first, given.end, given.total, given.start_ms)
    if given.closing:
        stream = itertools.chain(stream, closing_records(given.total, given.start_ms))
    began = time.perf_counter()
    try:
        import confluent_kafka  # noqa: F401
    except ImportError:
        n, size = _with_kafka_python(given.bootstrap, given.topic, stream)
    else:
        n, size = _with_confluent(given.bootstrap, given.topic, stream)
    print(json.dumps({"records": n, "bytes": size, "seconds": round(time.perf_counter() - began, 3)}))


def _with_confluent(bootstrap: str, topic: str, stream: Iterable[Record]) -> tuple[int, int]:
    from confluent_kafka import KafkaException, Producer

    failed: list[str] = []

    def told(error: object, _: object) -> None:
        if error is not None:
            failed.append(str(error))

    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 400_000,
            "queue.buffering.max.kbytes": 400_000,
            "delivery.report.only.error": True,
            "on_delivery": told,
        }
    )
    n = size = 0
    for n, (partition, key, value) in enumerate(stream, 1):
        size += len(value)
        while True:
            try:
                producer.produce(topic, value, key, partition)
            except BufferError:
                producer.poll(0.05)
            else:
                break
        if n % 10_000 == 0:
            producer.poll(0)
            print(f"\r{n:,} records", end="", file=sys.stderr)
    if producer.flush(60) or failed:
        raise KafkaException(f"not all was written: {failed[:1]}")
    return n, size


def _with_kafka_python(bootstrap: str, topic: str, stream: Iterable[Record]) -> tuple[int, int]:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20, batch_size=1 << 19)
    n = size = 0
    sent = []
    for n, (partition, key, value) in enumerate(stream, 1):
        size += len(value)
        sent.append(producer.send(topic, value=value, key=key, partition=partition))
        if n % 10_000 == 0:
            for future in sent:
                future.get(60)
            sent = []
    for future in sent:
        future.get(60)
    producer.close()
    return n, size


if __name__ == "__main__":
    main()
