"""Score a DataFrame and publish all its rows at once, as columns: for batch jobs, and for services that predict many rows at a time.

python examples/publish_batch.py [bootstrap_servers] [topic_prefix]          needs pip install 'driftline[columnar]' pandas
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from driftline.producers import Publisher

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092"
prefix = sys.argv[2] if len(sys.argv) > 2 else ""
chance = np.random.default_rng(7)

flights = pd.DataFrame(
    {
        "distance": chance.integers(100, 2500, 10_000),
        "carrier": chance.choice(["UA", "B6", "DL"], 10_000),
        "dep_delay": chance.exponential(12, 10_000),
        "tailnum": [f"N{i % 700:05d}" for i in range(10_000)],
    }
)
flights["score"] = 1 / (1 + np.exp(2 - flights.dep_delay / 10))  # a model would say it

with Publisher(bootstrap_servers=bootstrap, topic_prefix=prefix, model="flights", version="1", pii={"tailnum": "drop"}) as publisher:
    flights["event_id"] = publisher.publish_batch(
        flights[["distance", "carrier", "dep_delay", "tailnum"]],
        predictions=flights.score > 0.5,
        scores=flights.score,
        slices={"carrier": flights.carrier},
        timeout=30,  # a batch job can wait for room in the buffer; a service leaves this out and never waits
    )
    publisher.flush(30)
    stats = publisher.stats
    print(f"delivered {stats.delivered}, lost {sum(stats.lost.values())}")
