"""docs/metrics.md, made from the catalogue: `python -m driftline.health.pages > docs/metrics.md`."""

from __future__ import annotations

import sys

from driftline.health.catalogue import CATALOGUE, PROCESSES

_HEAD = """\
# Metrics

Made from `driftline/health/catalogue.py` by `python -m driftline.health.pages > docs/metrics.md`; a test compares them.

Set `http.port` and each process answers at a port of its own: summarise at that one, then join, detect, reports and retrain at the next four.
`/metrics` is Prometheus's text. `/livez` says 503 when the process itself hangs, never because a broker or a database is away. `/readyz` does when
nothing is assigned to it, or it is behind by more than `http.ready_lag` records. `driftline health [--ready] summarise join detect` asks them and
exits 0 or 1.

- Counters count what this process did since it started: what is read again after a restart counts again. What has to be exact is in SQL and on the
  topics. Events per second are `rate(driftline_events_total[1m])`.
- `model` and `column` are names, never values. The configured ones come first, then those that come first, up to `http.model_labels` and
  `http.column_labels`; all others share `__other__`, as their sum, or where that means nothing as the greatest of them.
- A metric of the database is told by every process of its step alike: use `max by (...)`.
- Besides these there are prometheus_client's own of the process (`process_resident_memory_bytes`, `process_cpu_seconds_total`, ...).
"""


def page() -> str:
    """Return the text of docs/metrics.md."""
    rows = [
        f"| `{m.name}` | {m.kind} | {', '.join(f'`{name}`' for name in m.labels)} | {'all' if m.of == PROCESSES else ', '.join(m.of)} | {m.help} |"
        for m in CATALOGUE
    ]
    return "\n".join([_HEAD, "| metric | kind | labels | told by | what it says |", "|---|---|---|---|---|", *rows, ""])


if __name__ == "__main__":
    sys.stdout.write(page())
