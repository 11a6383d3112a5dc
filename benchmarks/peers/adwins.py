"""What the peers do with an event, the same for all: msgspec decodes it, each feature has a River ADWIN, a detection becomes a finding."""

from __future__ import annotations

import msgspec
from river.drift import ADWIN


class Event(msgspec.Struct):
    """What is in an event."""

    event_id: str
    model: str
    version: str
    event_time: int
    features: dict[str, float]
    score: float


class Adwins:
    """The state of one process."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(Event).decode
        self._of: dict[str, ADWIN] = {}
        self.count = 0

    def take(self, value: bytes) -> list[bytes]:
        """Return the findings that an event leads to, as JSON."""
        event = self._decode(value)
        self.count += 1
        found = []
        for name, number in event.features.items():
            adwin = self._of.get(name)
            if adwin is None:
                adwin = self._of[name] = ADWIN()
            adwin.update(number)
            if adwin.drift_detected:
                found.append(msgspec.json.encode({"model": event.model, "column": name, "at": event.event_time, "mean": adwin.estimation}))
        return found
