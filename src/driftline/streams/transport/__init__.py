"""Faust's Kafka transport, changed where it lost records or was slow; docs/decisions/0003-batch-transport.md."""

from __future__ import annotations

from driftline.streams.transport.app import DriftApp
from driftline.streams.transport.batch import Batch
from driftline.streams.transport.consumer import BatchConsumer, Ends
from driftline.streams.transport.positions import LoadOffset, PositionBeyondEnd, StartPosition
from driftline.streams.transport.settings import TransportSettings

__all__ = [
    "Batch",
    "BatchConsumer",
    "DriftApp",
    "Ends",
    "LoadOffset",
    "PositionBeyondEnd",
    "StartPosition",
    "TransportSettings",
]
