"""For services: publish predictions and labels, follow findings and alerts. Needs kafka-python and msgspec only."""

from __future__ import annotations

from driftline.producers.publisher import Publisher
from driftline.producers.subscriber import Received, Subscriber

__all__ = ["Publisher", "Received", "Subscriber"]
