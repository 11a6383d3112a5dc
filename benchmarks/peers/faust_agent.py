"""A stock Faust agent: ``faust_agent.py json|msgspec|river bootstrap topic findings group probe``.

``json``: Faust's own codec, and nothing is done with the event. ``msgspec``: the raw codec, decoded in the agent. ``river``: decoded with msgspec and
an ADWIN for each feature, whose detections are sent. All on uvloop, which suits Faust better than asyncio's own loop.
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


def main() -> None:
    """Run until told to stop."""
    mode, bootstrap, topic, findings, group, path = sys.argv[1:]
    probe = Probe(Path(path))
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        store="memory://",
        web_enabled=False,
    )
    codec = "json" if mode == "json" else "raw"
    source = app.topic(topic, key_serializer="raw", value_serializer=codec)
    app.agent(source, name="bench")(_river(app.topic(findings, value_serializer="raw"), probe) if mode == "river" else _decoding(mode, probe))
    faust.Worker(app, quiet=True, redirect_stdouts=False, override_logging=False, loop=loop).execute_from_commandline()


def _decoding(mode: str, probe: Probe) -> Any:
    decode = msgspec.json.Decoder().decode

    async def agent(stream: Any) -> None:
        async for value in stream:
            probe.begin()
            if mode == "msgspec":
                decode(value)
            probe.took()

    return agent


def _river(findings: Any, probe: Probe) -> Any:
    from benchmarks.peers.adwins import Adwins

    adwins = Adwins()

    async def agent(stream: Any) -> None:
        async for value in stream:
            probe.begin()
            for finding in adwins.take(value):
                await findings.send(value=finding)
            probe.took()

    return agent


if __name__ == "__main__":
    main()
