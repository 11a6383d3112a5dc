"""A Publisher whose records are kept instead of sent."""

from __future__ import annotations

from typing import Any

from driftline.producers import Publisher
from driftline.producers.buffer import Outgoing


class Captured:
    """What a publisher handed over. Nothing listens at its address, and nothing is ever tried there."""

    def __init__(self, **options: Any) -> None:
        self.records: list[Outgoing] = []
        self.publisher = Publisher(bootstrap_servers="127.0.0.1:1", model="m", **options)
        self.publisher._sender.offer = self._offer  # type: ignore[method-assign]

    def _offer(self, record: Outgoing, *, timeout: float = 0.0) -> bool:
        self.records.append(record)
        return True
