"""What the client costs a service: how long `publish` holds it up, CPU per event against plain kafka-python, and its import.

    .venv/bin/python -m benchmarks.publisher [--bootstrap 127.0.0.1:9092] [--quick] [--output benchmarks/results/publisher.json]

Each case runs in a process of its own. ``control`` is the same loop around a JSON encoding alone: what the machine itself adds to the tail.
Without ``--bootstrap`` it starts a broker of its own in a temporary folder. Topics: `inference-events`, made if missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

TOPIC = "inference-events"
FEATURES = 18
_ROWS = 500
#: Fresh interpreters for each import.
_INTERPRETERS = 9


def rows() -> list[dict[str, object]]:
    """Return rows of 20 features, about 830 bytes as an event."""
    chance = random.Random(7)
    return [{f"feature_{j:02d}": chance.gauss(0, 1) for j in range(FEATURES)} | {"carrier": "UA", "origin": "JFK"} for _ in range(_ROWS)]


def latency(where: str, address: str, events: int, rate: float) -> dict[str, object]:
    """Time each call of publish, at ``rate`` events a second (0: as fast as it goes), in microseconds."""
    import msgspec

    from driftline.producers import Publisher

    made = rows()
    publisher = None if where == "control" else Publisher(bootstrap_servers=address, model="bench", close_timeout=0)
    took = []
    began = time.perf_counter()
    for i in range(events):
        row = made[i % _ROWS]
        if rate:
            time.sleep(max(0.0, began + i / rate - time.perf_counter()))
        t = time.perf_counter_ns()
        if publisher is None:
            msgspec.json.encode({"event_id": uuid.uuid4().hex, "model": "m", "features": row, "prediction": 1, "score": 0.3})
        else:
            publisher.publish(row, prediction=1, score=0.3)
        took.append(time.perf_counter_ns() - t)
    seconds = time.perf_counter() - began
    took.sort()
    found: dict[str, object] = {f"p{q}_us": round(took[min(events - 1, int(events * q / 100))] / 1000, 1) for q in (50, 99, 99.9)}
    found |= {"max_us": round(took[-1] / 1000, 1), "events": events, "events_per_s": round(events / seconds)}
    found["over_1ms"] = sum(t > 1_000_000 for t in took)
    if publisher is not None:
        found["lost"] = publisher.lost
        publisher.close()
    return found


def cost(way: str, address: str, events: int, prefix: str = "") -> dict[str, object]:
    """Return CPU microseconds per event until all are acknowledged, and events per second."""
    made = rows()
    publish, flush = {"plain": _plain, "publisher": _publisher, "publish_batch": _batch}[way](address, prefix, made)
    publish(_ROWS)  # connect, learn the topic
    flush()
    cpu, began = time.process_time(), time.perf_counter()
    publish(events)
    flush()
    spent, seconds = time.process_time() - cpu, time.perf_counter() - began
    return {"cpu_us_per_event": round(spent / events * 1e6, 2), "events_per_s": round(events / seconds), "events": events}


Way = tuple[Callable[[int], None], Callable[[], object]]


def _plain(address: str, prefix: str, made: list[dict[str, object]]) -> Way:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=address, acks="all", enable_idempotence=True, linger_ms=5, batch_size=1 << 17)

    def publish(n: int) -> None:
        for i in range(n):
            name = uuid.uuid4().hex
            event = {"event_id": name, "model": "bench", "version": "1", "event_time": time.time_ns() // 1_000_000, "features": made[i % _ROWS]}
            producer.send(prefix + TOPIC, key=name.encode(), value=json.dumps({**event, "prediction": 1, "score": 0.3}).encode())

    return publish, producer.flush


def _publisher(address: str, prefix: str, made: list[dict[str, object]]) -> Way:
    from driftline.producers import Publisher

    publisher = Publisher(bootstrap_servers=address, topic_prefix=prefix, model="bench", max_events=1 << 20, max_bytes=1 << 30)

    def publish(n: int) -> None:
        for i in range(n):
            publisher.publish(made[i % _ROWS], prediction=1, score=0.3)

    return publish, publisher.flush


def _batch(address: str, prefix: str, made: list[dict[str, object]]) -> Way:
    import numpy as np

    from driftline.producers import Publisher

    publisher = Publisher(bootstrap_servers=address, topic_prefix=prefix, model="bench", max_events=1 << 20, max_bytes=1 << 30)

    def publish(n: int) -> None:
        features = {name: np.resize(np.array([row[name] for row in made]), n) for name in made[0]}
        publisher.publish_batch(features, predictions=np.ones(n), scores=np.full(n, 0.3))

    return publish, publisher.flush


def imports() -> dict[str, object]:
    """Return CPU and wall seconds, medians of fresh interpreters: of ``nothing`` (which is in all of them), kafka-python alone,
    `import driftline.producers`, and with a Publisher made (kafka-python loads with it).
    """
    found: dict[str, object] = {"interpreters": _INTERPRETERS}
    for name, program in (
        ("nothing", "pass"),
        ("kafka", "from kafka import KafkaProducer"),
        ("import", "import driftline.producers"),
        ("publisher", "from driftline.producers import Publisher; Publisher(bootstrap_servers='127.0.0.1:1', model='m', close_timeout=0)"),
    ):
        seconds = []
        for _ in range(_INTERPRETERS):
            before = os.times()
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            after = os.times()
            cpu = after.children_user + after.children_system - before.children_user - before.children_system
            seconds.append((cpu, time.perf_counter() - began))
        found[f"{name}_cpu_s"] = round(statistics.median(cpu for cpu, _ in seconds), 3)
        found[f"{name}_s"] = round(statistics.median(wall for _, wall in seconds), 3)
    return found


def measure(bootstrap: str, nowhere: str, *, quick: bool) -> dict[str, object]:
    """Run every case and return what was found."""
    repeats, events = (1, 5_000) if quick else (5, 30_000)
    report: dict[str, object] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpus": os.cpu_count(), "load": os.getloadavg(), "python": platform.python_version(), "system": platform.platform()},
        "command": " ".join(["python -m benchmarks.publisher", *sys.argv[1:]]),
        "import": imports(),
    }
    found: dict[str, object] = {}
    paced, flood = (2_000, 20_000) if quick else (20_000, 100_000)
    for where, address in (("control", nowhere), ("no_broker", nowhere), ("broker", bootstrap)):
        found[f"{where}_paced"] = _apart("latency", where, address, str(paced), "1000")
        found[f"{where}_flood"] = _apart("latency", where, address, str(flood), "0")
    report["publish"] = found
    runs: dict[str, list[dict[str, Any]]] = {"plain": [], "publisher": [], "publish_batch": []}
    for _ in range(repeats):
        for way, made in runs.items():
            made.append(_apart("cost", way, bootstrap, str(events * (10 if way == "publish_batch" else 1))))
    report["cost"] = {
        way: {
            "cpu_us_per_event": statistics.median(run["cpu_us_per_event"] for run in made),
            "spread_us": [min(run["cpu_us_per_event"] for run in made), max(run["cpu_us_per_event"] for run in made)],
            "events_per_s": statistics.median(run["events_per_s"] for run in made),
        }
        for way, made in runs.items()
    }
    for way in ("publisher", "publish_batch"):
        ratios = [one["cpu_us_per_event"] / plain["cpu_us_per_event"] for one, plain in zip(runs[way], runs["plain"], strict=True)]
        report[f"ratio_{way}_to_plain"] = round(statistics.median(ratios), 3)
    return report


def _apart(*case: str) -> dict[str, Any]:
    """Run a case in a process of its own."""
    print("...", *case[:2], file=sys.stderr)
    done = subprocess.run([sys.executable, "-m", "benchmarks.publisher", "--case", *case], check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _ready(stack: ExitStack, bootstrap: str | None) -> str:
    """Return the address of a broker that has the topic."""
    from kafka import KafkaAdminClient
    from kafka.admin import NewTopic
    from kafka.errors import TopicAlreadyExistsError

    if bootstrap is None:
        from driftline.cli.kafka_local import start_broker, stop_broker

        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(stop_broker, folder / "broker")
        bootstrap = start_broker(folder / "broker").bootstrap
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.create_topics([NewTopic(TOPIC, 4, 1)])
    except TopicAlreadyExistsError:
        pass
    finally:
        admin.close()
    return bootstrap


def main() -> None:
    """Measure, and print or write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", help="a broker that is there; without it, one of its own")
    parser.add_argument("--topic-prefix", default="", help="goes before the topic's name")
    parser.add_argument("--quick", action="store_true", help="small numbers, once: to see that it works")
    parser.add_argument("--output", help="write the report to this file, too")
    parser.add_argument("--case", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        kind, name, address, events, *rate = arguments.case
        found = latency(name, address, int(events), float(rate[0])) if kind == "latency" else cost(name, address, int(events), arguments.topic_prefix)
        print(json.dumps(found))
        return
    with ExitStack() as stack:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            nowhere = f"127.0.0.1:{probe.getsockname()[1]}"
        text = json.dumps(measure(_ready(stack, arguments.bootstrap), nowhere, quick=arguments.quick), indent=2)
    print(text)
    if arguments.output:
        Path(arguments.output).write_text(text + "\n")


if __name__ == "__main__":
    main()
