"""Fill a topic with the benchmark's events as columnar records, Arrow IPC streams of 4,000 rows each.

``python -m benchmarks.fill_columnar --bootstrap host:port --topic t --total 10000000 --start-ms 0``; the last line says what was written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import numpy as np
import pyarrow as pa
from kafka import KafkaProducer

from benchmarks.events import BEYOND_S, DRIFT_AT, DRIFTING, EVENTS_PER_SECOND, FEATURES, MODEL, PARTITIONS, SHIFT

ROWS = 4000
CONTENT_TYPE = [("content-type", b"application/vnd.apache.arrow.stream")]
_ID_CHARS = 32


def columnar(times: np.ndarray, rng: np.random.Generator, *, drifted: bool) -> bytes:
    """Return one columnar record: rows at ``times`` (epoch ms)."""
    n = len(times)
    ids = pa.StringArray.from_buffers(
        n, pa.py_buffer(np.arange(0, (n + 1) * _ID_CHARS, _ID_CHARS, dtype=np.int32)), pa.py_buffer(os.urandom(n * 16).hex().encode())
    )
    columns: dict[str, pa.Array] = {"event_id": ids, "event_time": pa.array(times), "score": pa.array(rng.beta(2, 3, n))}
    for name in FEATURES:
        columns[f"features.{name}"] = pa.array(rng.normal(SHIFT if drifted and name in DRIFTING else 0.0, 1.0, n))
    batch = pa.record_batch(columns).replace_schema_metadata({"driftline.schema_version": "1", "driftline.model": MODEL, "driftline.version": "1"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def main() -> None:
    """Fill as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--total", type=int, required=True)
    parser.add_argument("--start-ms", type=int, required=True)
    given = parser.parse_args()
    began = time.perf_counter()
    producer = KafkaProducer(bootstrap_servers=given.bootstrap, acks="all", max_request_size=4 << 20, batch_size=1 << 20, linger_ms=5)
    rng, sent, records, size = np.random.default_rng(7), [], 0, 0
    for first in range(0, given.total, ROWS):
        numbers = np.arange(first, min(first + ROWS, given.total), dtype=np.int64)
        value = columnar(given.start_ms + numbers * 1000 // EVENTS_PER_SECOND, rng, drifted=first >= given.total * DRIFT_AT)
        sent.append(producer.send(given.topic, value=value, headers=CONTENT_TYPE, partition=records % PARTITIONS))
        records, size = records + 1, size + len(value)
        if len(sent) == 40:
            for future in sent:
                future.get(60)
            sent = []
            print(f"\r{first + ROWS:,} events", end="", file=sys.stderr)
    end = given.start_ms + given.total * 1000 // EVENTS_PER_SECOND + BEYOND_S * 1000
    for partition in range(PARTITIONS):
        sent.append(
            producer.send(given.topic, value=columnar(np.array([end], np.int64), rng, drifted=True), headers=CONTENT_TYPE, partition=partition)
        )
    for future in sent:
        future.get(60)
    producer.close()
    print(json.dumps({"records": records + PARTITIONS, "bytes": size, "seconds": round(time.perf_counter() - began, 3)}))


if __name__ == "__main__":
    main()
