"""A Faust app that writes down what it reads: run as a process of its own, with one JSON argument."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any, Final

from aiokafka.errors import KafkaError
from faust.types import TP

from driftline.streams.failstop import or_die
from driftline.streams.transport import Batch, DriftApp, TransportSettings

_OPTIONS: Final = {
    "broker_heartbeat_interval": 0.5,
    "broker_session_timeout": 6.0,
    "broker_request_timeout": 12.0,
    "broker_rebalance_timeout": 8.0,
    "broker_commit_interval": 0.2,
}


class Reader:
    """Reads ``topics`` with one agent each and appends a JSON line for all that happens to ``log_path``."""

    def __init__(self, settings: dict[str, Any], log_path: Path) -> None:
        self.settings = settings
        self.log = log_path.open("a", buffering=1)
        self.app = DriftApp(
            settings["group"],
            broker=f"kafka://{settings['bootstrap']}",
            positions=dict.fromkeys(settings["topics"], self.held) if "held" in settings else {},
            transport_settings=TransportSettings(**settings.get("transport", {})),
            broker_max_poll_records=settings.get("max_poll_records", 500),
            **{**_OPTIONS, **settings.get("options", {})},
        )
        self.consumer = self.app.consumer
        self.done: dict[TP, int] = {}
        self.rewound: set[TP] = set()

    def note(self, event: str, **fields: object) -> None:
        self.log.write(json.dumps({"at": time.monotonic(), "event": event, **fields}) + "\n")

    async def held(self, tp: TP) -> int | None:
        held: int | None = self.settings["held"].get(str(tp.partition))
        return held

    async def step(self, batch: Batch) -> None:
        tp, settings = batch.tp, self.settings
        if batch.epoch != self.consumer.epoch:
            self.note("stale", tp=tp, epoch=batch.epoch)
            return
        if batch.follows is None:
            at = self.consumer.start_of(tp)
            self.note("start", tp=tp, epoch=batch.epoch, offset=at.offset, metadata=at.metadata, lost=at.lost)
        await asyncio.sleep(600 if batch.first <= settings.get("hang_at", -1) < batch.next else settings.get("work_s", 0.0))
        time.sleep(settings.get("block_s", 0.0))  # noqa: ASYNC251  # a step that hangs the loop
        if batch.next > settings.get("fail_at", batch.next):
            raise RuntimeError("this step fails")
        if batch.next > settings.get("rewind_at", batch.next) and tp not in self.rewound:
            self.rewound.add(tp)
            self.consumer.rewind("the test wants it")
            return
        offsets, nulls = [r.offset for r in batch.records], sum(r.value is None for r in batch.records)
        in_hand = sum(place.delivered - place.acked for place in (self.consumer._tracker._places or {}).values() if place.delivered is not None)
        self.note("batch", tp=tp, epoch=batch.epoch, follows=batch.follows, offsets=offsets, nulls=nulls, in_hand=in_hand)
        if "echo" in settings:
            await (await self.app.producer.send(settings["echo"], b"k", b"%d" % batch.next, None, None, None))
        self.done[tp] = batch.next
        self.commit(batch)

    def commit(self, batch: Batch) -> None:
        offset = batch.next
        if self.settings["commit"] == "never":
            return
        if self.settings["commit"] == "blocks":
            offset = max(offset // 100 * 100, self.consumer.start_of(batch.tp).offset)
        self.consumer.commit_to(batch.tp, offset, batch.epoch, f"é{offset}")

    async def name_again(self) -> None:
        """Have something to commit whenever a commit is written, as a step does whose timer runs until the very end."""
        for tp, offset in self.done.items():
            self.consumer.commit_to(tp, offset, self.consumer.epoch, f"at {time.monotonic()}")

    async def agent(self, stream: Any) -> None:
        async for event in stream.noack().events():
            await or_die(self.step(event.message), "step")
            event.ack()

    async def look(self) -> None:
        try:
            found = await self.consumer.end_offsets(*self.done)
        except (KafkaError, TimeoutError) as error:
            self.note("no answer", error=repr(error))
            return
        for tp, end in found.offsets.items():
            try:
                after = self.consumer.position_after(tp, self.done[tp])
            except KeyError:
                continue  # between epochs
            self.note("idle", tp=tp, end=end, next=self.done[tp], after=after)

    async def on_assigned(self, _app: Any, *args: Any, **_: Any) -> None:
        self.note("assigned", tps=sorted(args[0]))

    def run(self) -> None:
        for name in self.settings["topics"]:
            topic = self.app.topic(name, key_serializer="raw", value_serializer="raw")
            self.app.agent(topic, name=name)(self.agent)
        self.app.on_partitions_assigned.connect(self.on_assigned)  # type: ignore[arg-type]  # Faust's protocol has no names
        self.app.timer(0.2)(self.look)
        if self.settings.get("names_late"):
            self.app.timer(0.01)(self.name_again)
        logging.getLogger("faust").setLevel(logging.WARNING)
        self.app.Worker(loglevel="INFO").execute_from_commandline()


if __name__ == "__main__":
    Reader(json.loads(sys.argv[1]), Path(sys.argv[2])).run()
