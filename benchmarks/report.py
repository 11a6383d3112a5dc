"""What is written down: medians of repeats with their spread, the machine, the versions, the commands."""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.running import PEERS_VENV, ROOT, Run

_OURS = ("driftline", "faust-streaming", "aiokafka", "msgspec", "numpy", "pyarrow", "river", "sqlalchemy", "uvloop")


def summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the medians of some repeats, and the least and the greatest of each."""
    per_s, per_core = [r.events_per_s for r in runs], [r.events_per_s_per_core for r in runs]
    return {
        "events": runs[0].events,
        "repeats": len(runs),
        "events_per_s": round(statistics.median(per_s)),
        "events_per_s_least": round(min(per_s)),
        "events_per_s_most": round(max(per_s)),
        "events_per_s_per_core": round(statistics.median(per_core)),
        "events_per_s_per_core_least": round(min(per_core)),
        "events_per_s_per_core_most": round(max(per_core)),
        "cpu_us_per_event": round(1e6 / statistics.median(per_core), 2),
        "cpu_us_per_event_by_process": {
            name: round(statistics.median(r.cpu_by_process.get(name, 0.0) / r.events for r in runs) * 1e6, 2) for name in runs[0].cpu_by_process
        },
        "wall_s": round(statistics.median(r.wall_s for r in runs), 2),
        "rss_mb": round(statistics.median(r.rss_mb for r in runs), 1),
    }


def circumstances(command: Sequence[str], of: str = "benchmarks.bench") -> dict[str, Any]:
    """Return where, when and with what the figures came about."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m {of} {shlex.join(command)}".rstrip(),
        "commit": _COMMIT,
        "machine": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            "system": f"{platform.system()} {platform.release()}",
            "load_average": [round(x, 2) for x in os.getloadavg()],
        },
        "versions": {"python": sys.version.split()[0], **{name: metadata.version(name) for name in _OURS}},
        "versions_of_peers": _peers(),
    }


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a result, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".partial")
    fresh.write_text(json.dumps(content, indent=1) + "\n")
    fresh.rename(path)


def table(found: Mapping[str, Any]) -> str:
    """Return what was found as a table in Markdown: a line for each system.

    >>> print(table({"x": {"events": 10, "repeats": 1, "events_per_s": 5000, "events_per_s_per_core": 9000, "rss_mb": 80.0}}))
    | system | events | repeats | events/s | a core | memory, MB |
    |---|---|---|---|---|---|
    | x | 10 | 1 | 5,000 | 9,000 | 80 |
    """
    systems = {**found, **found.get("summarise", {}).get("systems", {})}
    lines = ["| system | events | repeats | events/s | a core | memory, MB |", "|---|---|---|---|---|---|"]
    for name, said in systems.items():
        if "repeats" in said:
            figures = (f"{said[key]:,.0f}" for key in ("events", "repeats", "events_per_s", "events_per_s_per_core", "rss_mb"))
            lines.append(f"| {name} | {' | '.join(figures)} |")
    return "\n".join(lines)


def ratio(ours: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None, key: str) -> float | None:
    """Return how many times ours is theirs, None where either is missing."""
    if not ours or not theirs or not theirs.get(key) or not ours.get(key):
        return None
    return round(float(ours[key]) / float(theirs[key]), 2)


def _commit() -> str:
    done = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


#: As it was before anything was written into the tree.
_COMMIT = _commit()


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def _peers() -> dict[str, str]:
    if not PEERS_VENV.exists():
        return {}
    code = "from importlib.metadata import distributions as d; import json; print(json.dumps({x.name.lower(): x.version for x in d()}))"
    held = json.loads(subprocess.run([str(PEERS_VENV), "-c", code], capture_output=True, text=True, check=True).stdout)
    names = ("faust-streaming", "quixstreams", "bytewax", "river", "confluent-kafka", "aiokafka", "msgspec", "uvloop")
    return {name: held[name] for name in names if name in held}
