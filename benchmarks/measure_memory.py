"""Whether memory grows with what is read: resident memory of the three steps while they read many events."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.events import last_window_end
from benchmarks.findings import Listener
from benchmarks.measure_pipeline import STEPS
from benchmarks.running import Sample, System
from benchmarks.scene import Log, Progress, Scene
from driftline.contracts.reference import Reference

_PIECE = 2_000_000
_BYTES_PER_EVENT = 800
#: Memory is compared between this share of the records and the end: before, caches fill and modules load.
_WARM = 0.1


def measure_memory(scene: Scene, reference: Reference, events: int, progress: Progress) -> dict[str, Any]:
    """Return how much the steps' resident memory has grown from a tenth of the events to the last."""
    fits = int(shutil.disk_usage(scene.folder.parent).free * 0.5 / _BYTES_PER_EVENT)
    asked, events = events, min(events, fits)
    start = (int(time.time() * 1000) - 4 * 3_600_000) // 60_000 * 60_000
    log: Log | None = None
    for first in range(0, events, _PIECE):
        log = scene.fill(events, progress, start_ms=start, first=first, end=min(first + _PIECE, events))
    assert log is not None
    scene.renew([reference], outcome_sample=0.01)
    end = last_window_end(events, start)
    told = [0.0]

    def say(counts: str) -> None:
        if time.monotonic() - told[0] > 10:
            told[0] = time.monotonic()
            progress(f"memory: {counts}")

    with Listener(scene.bootstrap, scene.prefix) as listener, System(scene.steps(STEPS)) as system:
        # Its last piece brought the closing records.
        system.wait(lambda: listener.has_window(end) and system.count("summarise") > events and system.count("join") > events, 120, say)
        run = system.measured(events, time.time())
        counted = listener.counted(end)
        grown = {p.name: _growth(p.samples(), run_began(system), time.time()) for p in system.processes}
    return {
        "rss_growth_mb": round(sum(g["growth_mb"] for g in grown.values()), 1),
        "rss_growth_is": f"resident memory of the three steps after the last event, less that after {_WARM:.0%} of the time (medians over 5 %)",
        "events": events, "events_asked": asked, "events_in_findings": counted, "outcome_sample": 0.01,
        "events_per_s": round(run.events_per_s), "events_per_s_per_core": round(run.events_per_s_per_core), "by_process": grown,
    }  # fmt: skip


def run_began(system: System) -> float:
    """Return when the first record was taken (epoch s)."""
    return min(s[0].wall for p in system.processes if (s := p.samples()) and s[-1].taken)


def _growth(samples: Sequence[Sample], began: float, ended: float) -> dict[str, float]:
    span = ended - began
    early = _median(samples, began + _WARM * span, began + (_WARM + 0.05) * span)
    late = _median(samples, ended - 0.05 * span, ended)
    return {"early_mb": early, "late_mb": late, "growth_mb": round(late - early, 1), "most_mb": round(max(s.rss_kb for s in samples) / 1024, 1)}


def _median(samples: Sequence[Sample], first: float, last: float) -> float:
    # A process that changes nothing says so once a second: then its nearest word.
    inside = [s.rss_kb for s in samples if first <= s.wall <= last] or [min(samples, key=lambda s: abs(s.wall - first)).rss_kb]
    return round(statistics.median(inside) / 1024, 1)
