"""Publish predictions and a label with a Kafka client alone: the contract is JSON on two topics, in any language.

python examples/publish_plain_kafka.py [bootstrap_servers] [topic_prefix]
"""

from __future__ import annotations

import json
import sys
import time
import uuid

from kafka import KafkaProducer

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092"
prefix = sys.argv[2] if len(sys.argv) > 2 else ""

producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
event_id = uuid.uuid4().hex
event = {
    "event_id": event_id,  # unique; the label comes back under it
    "model": "flights",
    "version": "1",
    "event_time": time.time_ns() // 1_000_000,  # epoch milliseconds, or RFC 3339 text
    "features": {"distance": 1400, "carrier": "UA", "dep_delay": None},
    "prediction": 1,
    "score": 0.83,  # the probability of the positive class
}
producer.send(prefix + "inference-events", key=event_id.encode(), value=json.dumps(event).encode())

# Later, when it is known what happened:
label = {"event_id": event_id, "model": "flights", "event_time": time.time_ns() // 1_000_000, "label": 0}
producer.send(prefix + "label-events", key=event_id.encode(), value=json.dumps(label).encode())
producer.flush()
producer.close()
print(f"published {event_id} and its label")
