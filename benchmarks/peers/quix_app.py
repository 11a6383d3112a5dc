"""Quix Streams with a River ADWIN for each feature: ``quix_app.py bootstrap topic findings group probe``."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.peers.adwins import Adwins
from benchmarks.probe import Probe
from quixstreams import Application


def main() -> None:
    """Run until told to stop."""
    bootstrap, topic, findings, group, path = sys.argv[1:]
    probe, adwins = Probe(Path(path)), Adwins()
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        auto_create_topics=False,
        topic_create_timeout=10,
        loglevel="WARNING",
    )
    source = app.topic(topic, value_deserializer="bytes", key_deserializer="bytes")
    sink = app.topic(findings, value_serializer="bytes", key_serializer="bytes")

    def take(value: bytes) -> list[bytes]:
        probe.begin()
        found = adwins.take(value)
        probe.took()
        return found

    app.dataframe(source).apply(take, expand=True).to_topic(sink, key=lambda _: b"bench")
    app.run()


if __name__ == "__main__":
    main()
