"""The driver that makes our consumer and producer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faust.transport.drivers.aiokafka import Transport

from driftline.streams.transport.consumer import BatchConsumer
from driftline.streams.transport.positions import LoadOffset
from driftline.streams.transport.producer import IdempotentProducer
from driftline.streams.transport.settings import TransportSettings


class BatchTransport(Transport):
    """Faust's aiokafka driver with our consumer and producer, and what they need to know."""

    Consumer = BatchConsumer
    Producer = IdempotentProducer

    def __init__(self, url: Any, app: Any, *, settings: TransportSettings, positions: Mapping[str, LoadOffset]) -> None:
        self.settings = settings
        self.positions = positions
        super().__init__(url, app)
