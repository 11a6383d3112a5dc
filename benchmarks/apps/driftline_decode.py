"""Driftline's transport with an agent that decodes and does nothing else: ``driftline_decode.py bootstrap topic group probe``.

Each event with msgspec, into a struct with its features as a dictionary of numbers. It is the bound that summarise is held against.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import faust
import msgspec
import uvloop
from benchmarks.probe import Probe

from driftline.streams.transport import DriftApp


class Event(msgspec.Struct):
    """What is in an event."""

    event_id: str
    model: str
    version: str
    event_time: int
    features: dict[str, float]
    score: float


def main() -> None:
    """Run until told to stop."""
    bootstrap, topic, group, path = sys.argv[1:]
    probe, decode = Probe(Path(path)), msgspec.json.Decoder(Event).decode
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    app = DriftApp(
        group,
        broker=f"kafka://{bootstrap}",
        consumer_auto_offset_reset="earliest",
        broker_max_poll_records=8000,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.0,
        table_standby_replicas=1,
    )

    async def agent(stream: Any) -> None:
        async for event in stream.noack().events():
            batch = event.message
            probe.begin()
            for record in batch.records.bare:
                decode(record.value)
            probe.took(len(batch.records))
            app.consumer.commit_to(batch.tp, batch.next, batch.epoch)
            event.ack()

    app.agent(app.topic(topic, key_serializer="raw", value_serializer="raw"), name="bench.decode")(agent)
    faust.Worker(app, quiet=True, redirect_stdouts=False, override_logging=False, loop=loop).execute_from_commandline()


if __name__ == "__main__":
    main()
