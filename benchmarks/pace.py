"""Publish events as they happen, at a steady rate: their time is the clock's. ``python -m benchmarks.pace --help``.

At the end it writes, for each model, the times of all events (epoch ms), so that whoever listens can tell how long each had to wait.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from benchmarks.events import PARTITIONS, event_id, rows

_TICK_S = 0.005


def main() -> None:
    """Publish as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--per-second", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--models", type=int, required=True)
    parser.add_argument("--times", type=Path, required=True)
    given = parser.parse_args()
    rests = [f',"features":{json.dumps(features)},"score":{score}}}' for features, score in rows(2000, drifted=False, seed=7)]
    produce, close = _producer(given.bootstrap, given.topic)
    times: dict[str, list[int]] = defaultdict(list)
    began, sent = time.time(), 0
    while (now := time.time()) < began + given.seconds:
        for i in range(sent, int((now - began) * given.per_second)):
            # Every model has events in every partition.
            model, at = f"bench-{i // PARTITIONS % given.models}", int(time.time() * 1000)
            value = f'{{"event_id":"{event_id(i)}","model":"{model}","version":"1","event_time":{at}{rests[i % len(rests)]}'
            produce(value.encode(), i % PARTITIONS)
            times[model].append(at)
            sent = i + 1
        time.sleep(_TICK_S)
    close()
    given.times.write_text(json.dumps(times))
    print(json.dumps({"records": sent}))


def _producer(bootstrap: str, topic: str) -> tuple[Callable[[bytes, int], None], Callable[[], None]]:
    try:
        from confluent_kafka import Producer
    except ImportError:
        from kafka import KafkaProducer

        plain = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=2)

        def send(value: bytes, partition: int) -> None:
            plain.send(topic, value=value, partition=partition)

        return send, plain.close
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 2})

    def produce(value: bytes, partition: int) -> None:
        producer.produce(topic, value, partition=partition)
        producer.poll(0)

    def close() -> None:
        producer.flush(30)

    return produce, close


if __name__ == "__main__":
    main()
