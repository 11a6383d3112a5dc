"""The benchmark: ``make bench``, or ``python -m benchmarks.bench [--quick] [part ...]``.

Each part stands alone: one that fails is reported as such in the results, and the others go on. What is measured, and by which rules, is in
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import benchmarks.measure_pipeline as pipeline
from benchmarks.measure_latency import Pace, measure_latency
from benchmarks.measure_memory import measure_memory
from benchmarks.measure_summarise import measure_summarise
from benchmarks.peers_env import ensure
from benchmarks.profiling import profile_into
from benchmarks.report import circumstances, ratio, table, write
from benchmarks.running import ROOT
from benchmarks.scene import Course, Scene, make_reference
from benchmarks.sizes import FULL, QUICK, TINY, Sizes
from driftline.cli.kafka_local import start_broker, stop_broker
from driftline.contracts.reference import Reference

PARTS = ("summarise", "pipeline", "columnar", "peers", "latency", "memory")
_BEGAN = time.monotonic()
_MOST_SAID = 2000


def progress(sentence: str) -> None:
    """Say what goes on."""
    print(f"[{time.monotonic() - _BEGAN:6.1f} s] {sentence}", file=sys.stderr, flush=True)


@dataclass
class Bench:
    """One run of the benchmark: a broker, and what was found so far."""

    bootstrap: str
    folder: Path
    results: Path
    sizes: Sizes
    reference: Reference = field(default_factory=make_reference)
    found: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[Scene]:
        """Give a part a place of its own, whose topics and files go at its end: the next wants the disk. What goes wrong ends only the part."""
        folder = self.folder / f"{name}-{uuid.uuid4().hex[:4]}"
        folder.mkdir()
        scene = Scene(self.bootstrap, f"b{uuid.uuid4().hex[:8]}-", folder)
        with self.tried(name):
            yield scene
        scene.drop()
        shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def tried(self, name: str) -> Iterator[None]:
        """Note a failure, and go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # most of an hour's other figures must not go with it
            said = f"{type(error).__name__}: {error}".replace(str(ROOT), ".").replace(str(self.folder), "")
            self.failed[name] = said[:_MOST_SAID]
            progress(f"{name} FAILED: {self.failed[name]}")

    def summarise(self) -> None:
        """(a) summarise alone."""
        with self.part("summarise") as scene:
            self.found["summarise"] = measure_summarise(scene, self.reference, self.sizes, progress)

    def whole_pipeline(self, parts: set[str]) -> None:
        """(b) the whole pipeline on JSON, and the peers on the same log in the same run."""
        with self.part("pipeline") as scene:
            course = Course(scene, scene.fill(self.sizes.json, progress), self.reference, progress)
            if "pipeline" in parts:
                self._ours(course, pipeline.JSON, self.sizes.repeats)
                for variant in (pipeline.JSON_NO_JOIN, pipeline.JSON_TWO) if self.sizes.thorough else ():
                    self._ours(course, variant, 1)
                self._profile("pipeline", lambda: pipeline.run_ours(course, pipeline.JSON, profiled=True))
            if "peers" in parts:
                self._peers(course)

    def every_outcome(self) -> None:
        """(b) the same where the join keeps every prediction."""
        with self.part("every outcome") as scene:
            self._ours(Course(scene, scene.fill(self.sizes.every_outcome, progress), self.reference, progress), pipeline.JSON_EVERY_OUTCOME, 1)

    def columnar(self) -> None:
        """(b) the whole pipeline on columnar records."""
        with self.part("columnar") as scene:
            course = Course(scene, scene.fill_columnar(self.sizes.columnar, progress), self.reference, progress)
            self._ours(course, pipeline.COLUMNAR, self.sizes.repeats)
            if self.sizes.thorough:
                self._ours(course, pipeline.COLUMNAR_NO_JOIN, 1)
            self._profile("columnar", lambda: pipeline.run_ours(course, pipeline.COLUMNAR, profiled=True))

    def latency(self) -> None:
        """(b) from an event to what is said of it."""
        pace = Pace(self.sizes.latency_per_second, self.sizes.latency_models, self.sizes.latency_s)
        with self.part("latency") as scene:
            self.found["latency"] = measure_latency(scene, self.reference, pace, progress)

    def memory(self) -> None:
        """(b) memory over many events."""
        with self.part("memory") as scene:
            self.found["memory"] = measure_memory(scene, self.reference, self.sizes.memory, progress)

    def _ours(self, course: Course, variant: pipeline.Variant, repeats: int) -> None:
        with self.tried(variant.name):
            self.found[variant.name] = pipeline.measure_ours(course, variant, repeats)

    def _peers(self, course: Course) -> None:
        course.scene.renew([self.reference])
        for peer, events in self.sizes.peers.items():
            for workers, repeats in ((1, self.sizes.repeats), (2, 1)):
                name = f"{peer}_river" if workers == 1 else f"{peer}_river_2_workers"
                with self.tried(name):
                    self.found[name] = pipeline.measure_peer(course, peer, events, repeats, workers=workers)
            self._profile(peer, partial(pipeline.run_peer, course, peer, events, profiled=True))

    def _profile(self, name: str, run: Callable[[], Any]) -> None:
        with self.tried(f"profile of {name}"):
            if self.sizes.thorough:
                run()

    def write(self, command: list[str]) -> None:
        """Write what was found so far."""
        about = circumstances(command)
        if "summarise" in self.found:
            write(self.results / "summarise.json", {**self.found["summarise"], **about})
        if any(name != "summarise" for name in self.found):
            write(self.results / "pipeline.json", {**headlines(self.found), "failed": self.failed, **about})


def headlines(found: dict[str, Any]) -> dict[str, Any]:
    """Return the content of pipeline.json: the figures that are asked for, the rules they follow, and all that stands behind them."""
    json, columnar = found.get("json"), found.get("columnar")
    peers = {peer: found.get(f"{peer}_river") for peer in pipeline.PEERS}
    core = "events_per_s_per_core"
    return {
        "json_events_per_s_per_core": json and json[core],
        "columnar_events_per_s_per_core": columnar and columnar[core],
        **{f"ratio_{peer}": ratio(json, theirs, core) for peer, theirs in peers.items()},
        "p99_event_to_finding_s": found.get("latency", {}).get("p99_event_to_finding_s"),
        "rss_growth_mb": found.get("memory", {}).get("rss_growth_mb"),
        "json_events_per_s_per_core_without_join": found.get("json_without_join", {}).get(core),
        "json_events_per_s_per_core_every_outcome_kept": found.get("json_every_outcome_kept", {}).get(core),
        "columnar_events_per_s_per_core_without_join": found.get("columnar_without_join", {}).get(core),
        **{f"ratio_{peer}_without_join": ratio(found.get("json_without_join"), theirs, core) for peer, theirs in peers.items()},
        **{f"ratio_{peer}_by_the_clock": ratio(json, theirs, "events_per_s") for peer, theirs in peers.items()},
        "rule": "per core: events for each second of processor time (user and system, all threads) of all processes of the system together, from the "
        "first record taken to the last done (ours: to the finding of the last window in a consumer's hands); the same for the peers",
        "ours": "summarise, join and detect, a process each; the join reads every event and keeps 1 % of them in SQLite (outcome_sample 0.01); "
        "default checks; panes of 5 s, windows of 20 s, 10,000 events for each second of event time",
        "peers": "msgspec decodes, one River ADWIN a feature, detections are sent; no windows, no state that outlives the process, no labels",
        "systems": {name: content for name, content in found.items() if name != "summarise"},
    }  # fmt: skip


def main() -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"what to measure (all): {', '.join(PARTS)}")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--quick", action="store_true", help="minutes in place of the better part of an hour: to look at, not to publish")
    form.add_argument("--tiny", action="store_true", help="seconds: whether it runs at all")
    parser.add_argument("--no-peers", action="store_true", help="leave Faust, Quix Streams and Bytewax with River out")
    parser.add_argument("--bootstrap", help="a broker to use (default: one of its own, for this run only)")
    parser.add_argument("--results", type=Path, help="where to write (default: benchmarks/results if all is measured in full, else .bench/results)")
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"part {min(unknown)!r} is not known; there are: {', '.join(PARTS)}")
    parts = set(given.parts or PARTS) - ({"peers"} if given.no_peers or given.tiny else set())
    whole = parts == set(PARTS) and not given.quick
    results = (given.results or ROOT / ("benchmarks/results" if whole else ".bench/results")).resolve()
    profile_into(results)
    # Told to stop, it ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    folder = Path(tempfile.mkdtemp(prefix="driftline-bench-"))
    refused = {} if given.no_peers or given.tiny else ensure(progress)
    broker = given.bootstrap or start_broker(folder / "broker", progress=progress).bootstrap
    try:
        bench = Bench(broker, folder, results, QUICK if given.quick else TINY if given.tiny else FULL)
        bench.failed.update({f"installing {name}": said for name, said in refused.items()})
        measures = {
            "summarise": (bench.summarise, {"summarise"}),
            "pipeline": (lambda: bench.whole_pipeline(parts), {"pipeline", "peers"}),
            "every outcome": (bench.every_outcome, {"pipeline"} if bench.sizes.thorough else set()),
            "columnar": (bench.columnar, {"columnar"}),
            "latency": (bench.latency, {"latency"}),
            "memory": (bench.memory, {"memory"}),
        }
        for measure, asked_by in measures.values():
            if parts & asked_by:
                measure()
                bench.write(sys.argv[1:])
        print(table(bench.found))
        progress(f"written to {results}" + (f"; FAILED: {', '.join(bench.failed)}" if bench.failed else ""))
        return 1 if bench.failed else 0
    finally:
        stop_broker(folder / "broker")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
