"""``python -m benchmarks.detection``: null and drifting streams, ours and the peers, into benchmarks/results/detection.json and docs/detection.md."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.detection.jobs import FIRST_SEED, STREAMS, TUNING_SEEDS, run
from benchmarks.detection.report import page
from benchmarks.report import circumstances, write

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "detection.json", ROOT / "docs" / "detection.md"


def main() -> None:
    """Measure, tell on the way, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--runs", type=int, default=8, help="seeds of ours")
    parser.add_argument("--peer-runs", type=int, default=3, help="seeds of peers; 0: ours alone")
    parser.add_argument("--streams", default="", help="only those whose names contain this")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--only-page", action="store_true", help="make the page of the results that are there")
    asked = parser.parse_args()
    if not asked.only_page:
        streams = [stream for stream in STREAMS.values() if asked.streams in stream.name]
        told = {
            **circumstances(sys.argv[1:], of="benchmarks.detection"),
            "seeds": f"{asked.runs} from {FIRST_SEED} on, of peers {asked.peer_runs}; tuning on {', '.join(map(str, TUNING_SEEDS))}",
        }
        found = run(streams, runs=asked.runs, peer_runs=asked.peer_runs, jobs=asked.jobs)
        write(asked.out, {"circumstances": told, "streams": found})
        print(f"written: {asked.out}")
    asked.page.write_text(page(json.loads(asked.out.read_text())))
    print(f"written: {asked.page}")


if __name__ == "__main__":
    main()
