"""``python -m benchmarks.detection [--quick] [--jobs N]``: null and drifting streams, ours and the peers, into benchmarks/results/detection.json."""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.detection.measure import as_json, quiet, seen
from benchmarks.detection.streams import DRIFTING, NULL
from benchmarks.detection.watchers import WATCHERS

RESULTS = Path(__file__).parents[1] / "results" / "detection.json"
#: Seeds of the figures, and of the separate null data on which peers are tuned.
SEEDS, TUNING = range(100, 112), range(900, 902)
KINDS = ("iid", "AR .5", "AR .9")


STREAMS = {stream.name: stream for stream in (*NULL, *DRIFTING)}


def tuned(name: str, kind: str) -> float | None:
    """Return the most eager setting with which a peer keeps the budget on null data of the same kind; None where it has none."""
    watch, _, settings = WATCHERS[name]
    null = STREAMS[kind]
    for setting in settings:
        if sum(len(watch(null.make(seed), setting, None)) for seed in TUNING) <= null.expected * len(TUNING):
            return setting
    return None


def one_null(name: str, stream: str, runs: int) -> dict[str, object]:
    """Return a watcher's figures on a null stream."""
    watch, setting, _ = WATCHERS[name]
    return as_json(quiet(watch, setting, STREAMS[stream], SEEDS[:runs]))


def one_drift(name: str, stream: str, runs: int, settings: dict[str, float | None]) -> dict[str, object]:
    """Return a watcher's figures on a drifting stream, as published and tuned to the budget."""
    watch, setting, own = WATCHERS[name]
    told = as_json(seen(watch, setting, STREAMS[stream], SEEDS[:runs]))
    if own:
        fitted = settings[stream.split(",", maxsplit=1)[0]]
        told["tuned"] = None if fitted is None else {"setting": fitted, **as_json(seen(watch, fitted, STREAMS[stream], SEEDS[:runs]))}
    return told


def main() -> None:
    """Measure, and tell on the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two seeds, ours alone")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--runs", type=int, default=12, help="seeds of ours; peers get a third")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    names = ["driftline"] if asked.quick else list(WATCHERS)
    runs = {name: (2 if asked.quick else asked.runs) if name == "driftline" else max(2, asked.runs // 3) for name in names}
    begun = time.monotonic()
    result: dict[str, dict[str, object]] = {"null": {}, "drift": {}}
    with ProcessPoolExecutor(asked.jobs) as pool:
        fits = {(n, k): pool.submit(tuned, n, k) for n in names if WATCHERS[n][2] for k in KINDS}
        nulls = {(n, s.name): pool.submit(one_null, n, s.name, runs[n]) for s in NULL for n in names}
        for key, told in nulls.items():
            _tell(result["null"], key, told.result(), begun)
        settings = {n: {k: fits[n, k].result() for k in KINDS if (n, k) in fits} for n in names}
        drifts = {(n, s.name): pool.submit(one_drift, n, s.name, runs[n], settings[n]) for s in DRIFTING for n in names}
        for key, told in drifts.items():
            _tell(result["drift"], key, told.result(), begun)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written: {asked.out}")


def _tell(into: dict[str, object], key: tuple[str, str], figures: dict[str, object], begun: float) -> None:
    name, stream = key
    part = into.setdefault(stream, {})
    assert isinstance(part, dict)
    part[name] = figures
    print(f"{time.monotonic() - begun:6.0f} s  {stream:50} {name:12} {json.dumps(figures)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
