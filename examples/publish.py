"""Publish predictions and their labels with Driftline's own Publisher, which never holds up the service.

python examples/publish.py [bootstrap_servers] [topic_prefix]
"""

from __future__ import annotations

import random
import sys

from driftline.producers import Publisher

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092"
prefix = sys.argv[2] if len(sys.argv) > 2 else ""
chance = random.Random(7)  # noqa: S311 - made-up flights

with Publisher(bootstrap_servers=bootstrap, topic_prefix=prefix, model="flights", version="1", compression="gzip") as publisher:
    predicted = []
    for _ in range(1000):
        features = {"distance": chance.randint(100, 2500), "carrier": chance.choice(["UA", "B6", "DL"])}
        score = chance.random()
        predicted.append((publisher.publish(features, prediction=int(score > 0.5), score=score), score))

    # Later, when it is known what happened:
    for event_id, score in predicted:
        publisher.publish_label(event_id, int(chance.random() < score))

    there = publisher.flush(30)
    print(f"delivered {publisher.delivered}, lost {publisher.lost} {publisher.lost_by_reason or ''}")
    if not there:
        sys.exit(f"Kafka has not taken {publisher.stats.waiting} events within 30 s: is a broker at {bootstrap}?")
