"""What anyone would write with stock Faust: run as a process of its own, with the arguments of ``reader.py``, and writing down the same."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import faust


class Stock:
    """Reads ``topics`` record by record. ``ack`` "noack" is Faust's way of acknowledging by hand; ``codec`` its way of decoding."""

    def __init__(self, settings: dict[str, Any], log_path: Path) -> None:
        self.settings = settings
        self.log = log_path.open("a", buffering=1)
        self.app = faust.App(
            settings["group"],
            broker=f"kafka://{settings['bootstrap']}",
            store="memory://",
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            broker_heartbeat_interval=0.5,
            broker_request_timeout=12.0,
            broker_rebalance_timeout=8.0,
            **{"broker_session_timeout": 6.0, "broker_commit_interval": 0.2, **settings.get("options", {})},
        )

    def note(self, event: str, **fields: object) -> None:
        self.log.write(json.dumps({"at": time.monotonic(), "event": event, **fields}) + "\n")

    async def step(self, event: faust.EventT[Any]) -> None:
        offset = event.message.offset
        if offset == self.settings.get("hang_at"):
            await asyncio.sleep(600)
        if offset == self.settings.get("fail_at"):
            raise RuntimeError("this step fails")
        self.note("batch", tp=event.message.tp, offsets=[offset])

    async def agent(self, stream: Any) -> None:
        if self.settings.get("ack") != "noack":
            async for event in stream.events():
                await self.step(event)
            return
        async for event in stream.noack().events():
            await self.step(event)
            event.ack()

    async def on_assigned(self, _app: Any, *args: Any, **_: Any) -> None:
        self.note("assigned", tps=sorted(args[0]))

    def run(self) -> None:
        codec = self.settings.get("codec", "raw")
        for name in self.settings["topics"]:
            self.app.agent(self.app.topic(name, key_serializer="raw", value_serializer=codec), name=name)(self.agent)
        self.app.on_partitions_assigned.connect(self.on_assigned)  # type: ignore[arg-type]  # Faust's protocol has no names
        self.app.Worker(loglevel="WARN").execute_from_commandline()


if __name__ == "__main__":
    Stock(json.loads(sys.argv[1]), Path(sys.argv[2])).run()
