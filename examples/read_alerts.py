"""Follow the alerts: each says in one sentence what drifts, how much, and since when.

python examples/read_alerts.py [bootstrap_servers] [topic_prefix] [seconds without an alert after which to stop]
"""

from __future__ import annotations

import sys

from driftline.contracts.findings import Alert
from driftline.producers import Subscriber

bootstrap = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092"
prefix = sys.argv[2] if len(sys.argv) > 2 else ""
patience = float(sys.argv[3]) if len(sys.argv) > 3 else None

with Subscriber(Alert, bootstrap_servers=bootstrap, topic_prefix=prefix, start="earliest", latest=True, idle_timeout=patience) as alerts:
    for alert, _, partition, offset in alerts:
        print(f"{alert.severity:8} {alert.status:10} {alert.model}: {alert.sentence}  [{partition}/{offset}]")
