"""What comes out: a thread that reads Driftline's findings, alerts and closings as any consumer would, and notes when it had them."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self

from kafka import KafkaConsumer, TopicPartition

from benchmarks.events import PARTITIONS


class Said(NamedTuple):
    """A message and when (epoch s) a consumer had it."""

    at: float
    topic: str
    content: dict[str, Any]


@dataclass
class Listener:
    """Reads topics from their beginnings; the context manager ends it."""

    bootstrap: str
    prefix: str
    topics: tuple[str, ...] = ("drift-findings", "alerts")
    said: list[Said] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listener", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(10)

    def of(self, topic: str) -> list[Said]:
        """Return what a topic has said so far."""
        return [said for said in list(self.said) if said.topic == topic]

    def has_window(self, end_ms: int) -> bool:
        """Say whether the finding of the window with this end is out."""
        return any(said.content["window_end"] == end_ms for said in self.of("drift-findings"))

    def counted(self, until_ms: int) -> int:
        """Return how many events the findings of windows up to ``until_ms`` speak of, each window by its last revision."""
        last: dict[str, tuple[int, int]] = {}
        for said in self.of("drift-findings"):
            finding = said.content
            if finding["window_end"] <= until_ms:
                last[finding["finding_id"]] = max(last.get(finding["finding_id"], (0, 0)), (finding["revision"], finding["n"]))
        return sum(n for _, n in last.values())

    def _listen(self) -> None:
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=None, enable_auto_commit=False, fetch_max_wait_ms=50)
        places = [TopicPartition(self.prefix + topic, p) for topic in self.topics for p in range(PARTITIONS)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        while not self._stop.is_set():
            for place, records in consumer.poll(timeout_ms=100).items():
                at = time.time()
                self.said += [Said(at, place.topic.removeprefix(self.prefix), json.loads(r.value)) for r in records if r.value]
        consumer.close()
