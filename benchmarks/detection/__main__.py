"""``python -m benchmarks.detection``: null and drifting streams, ours and the peers, into benchmarks/results/detection.json and docs/detection.md."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.detection.jobs import FIRST_SEED, STREAMS, TUNING_SEEDS, joined, run_ours, run_peers
from benchmarks.detection.report import page
from benchmarks.report import circumstances, write

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "detection.json", ROOT / "docs" / "detection.md"


def main() -> None:
    """Measure, tell on the way, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--runs", type=int, default=8, help="seeds of ours on drifting streams")
    parser.add_argument("--mark-runs", type=int, default=64, help="seeds of ours on the streams that have a mark")
    parser.add_argument("--null-runs", type=int, default=8, help="seeds of ours on null streams")
    parser.add_argument("--peer-runs", type=int, default=8, help="seeds of peers on drifting streams; one on null ones")
    parser.add_argument("--part", choices=("all", "ours", "peers", "page"), default="all", help="what to measure anew; the rest stays as it was")
    parser.add_argument("--streams", default="", help="only those whose names contain this; the others stay as they were")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    asked = parser.parse_args()
    streams = [stream for stream in STREAMS.values() if asked.streams in stream.name]
    anew = asked.part == "all" and not asked.streams
    known: dict[str, Any] = json.loads(asked.out.read_text()) if not anew and asked.out.exists() else {}
    told: dict[str, Any] = {part: known.get(part, {"streams": {}}) for part in ("ours", "peers")}
    if asked.part in ("all", "peers"):
        seeds = f"{asked.peer_runs} from {FIRST_SEED} on, 1 on null streams; tuned on {', '.join(map(str, TUNING_SEEDS))}"
        told["peers"] = {
            **_circumstances(seeds),
            "streams": {**told["peers"]["streams"], **run_peers(streams, runs=asked.peer_runs, jobs=asked.jobs)},
        }
    if asked.part in ("all", "ours"):
        told["ours"] = {
            **_circumstances(f"{asked.runs} from {FIRST_SEED} on, {asked.mark_runs} where there is a mark, {asked.null_runs} on null streams"),
            "streams": {
                **told["ours"]["streams"],
                **run_ours(streams, runs=asked.runs, mark_runs=asked.mark_runs, null_runs=asked.null_runs, jobs=asked.jobs),
            },
        }
    if asked.part != "page":
        write(asked.out, {"streams": joined(told["ours"]["streams"], told["peers"]["streams"]), **told})
        print(f"written: {asked.out}")
    if told["ours"]["streams"]:
        asked.page.write_text(page(json.loads(asked.out.read_text())))
        print(f"written: {asked.page}")


def _circumstances(seeds: str) -> dict[str, Any]:
    return {**circumstances(sys.argv[1:], of="benchmarks.detection"), "seeds": seeds}


if __name__ == "__main__":
    main()
