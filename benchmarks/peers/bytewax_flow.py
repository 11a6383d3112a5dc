"""Bytewax with a River ADWIN for each feature: ``bytewax_flow.py bootstrap topic findings addresses number probe``.

Bytewax has no consumer group: its processes know each other's ``addresses`` (with commas between; none for one process), and share the partitions
out. Batches go through the flow whole, which costs it least.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bytewax.operators as op
from benchmarks.peers.adwins import Adwins
from benchmarks.probe import Probe
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main


def main() -> None:
    """Run until told to stop."""
    bootstrap, topic, findings, addresses, number, path = sys.argv[1:]
    probe, adwins = Probe(Path(path)), Adwins()

    def take(messages: list[KafkaSourceMessage[bytes, bytes]]) -> list[KafkaSinkMessage[bytes, bytes]]:
        if messages:
            probe.begin()
        found = [finding for message in messages for finding in adwins.take(message.value)]
        probe.took(len(messages))
        return [KafkaSinkMessage(key=b"bench", value=finding) for finding in found]

    flow = Dataflow("bench")
    messages = op.input("in", flow, KafkaSource([bootstrap], [topic]))
    kop.output("out", op.flat_map_batch("take", messages, take), brokers=[bootstrap], topic=findings)
    cluster_main(flow, addresses.split(",") if addresses else [], int(number))


if __name__ == "__main__":
    main()
