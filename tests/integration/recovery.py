"""How long a partition is silent when a step is killed or told to stop: seen from outside, on a stream that goes on meanwhile.

``python -m tests.integration.recovery --help``. Two ``driftline worker`` run the steps with the defaults of ``driftline.yaml`` for the group; every
few seconds one step of one of them is killed (its supervisor starts it again), or a whole worker is told to stop while another takes its place. The
silence of a partition is the longest time between two words of it: for summarise and the join on the summaries topic, for detect its cursor in SQL.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from tests.integration.chaos import leave_on_sigterm, own_parts
from tests.integration.faults import STEPS, Input
from tests.integration.inputs import publish
from tests.integration.log import read_back
from tests.integration.processes import Process, Steps
from tests.integration.scene import Scene, set_scene
from tests.integration.stream import Plan, records, references

from driftline.contracts.summaries import Progress, decode_summary
from driftline.store import detection

_PACE: Final = 500.0
#: From one fault to the next: long enough for the slowest recovery, a session and a start under load.
_EVERY_S: Final = 15.0
_SOURCES: Final = {"summarise": "summarise", "join": "join/inference-events"}

#: When (epoch ms) each partition said something.
Words = dict[tuple[str, int], list[int]]


class Silence(msgspec.Struct, frozen=True):
    """The longest silences (s) after a fault of one kind: of how many faults, their median and their greatest."""

    fault: str
    step: str
    n: int
    p50_s: float
    max_s: float


def measure(scene: Scene, rounds: int, every_s: float = _EVERY_S) -> list[Silence]:
    """Kill each step and stop each worker in turn, ``rounds`` times, and return how long partitions were silent."""
    turns = [("kill -9", step) for step in STEPS] + [("SIGTERM", "all")]
    # A worker that has just been started is waited for before it is hit.
    seconds = 1.5 * every_s * (2 + rounds * len(turns))
    plan = Plan(days=int(seconds * _PACE / 31 / 24), clicks_per_hour=10, prices_per_hour=6)
    cursors = _Cursors(scene)
    done: list[tuple[str, str, int, int]] = []
    with Steps(scene.tree, scene.folder, workers=2, supervised=True) as steps:
        publisher = threading.Thread(target=publish, args=(scene.settings, records(plan), Input(pace=_PACE)), daemon=True)
        _until_at_work(scene, steps)
        publisher.start()
        cursors.start()
        quiet = _now()
        time.sleep(every_s)
        done.append(("none", "all", quiet, _now()))
        for i in range(rounds * len(turns)):
            fault, step = turns[i % len(turns)]
            began = _now()
            if fault == "kill -9":
                child, began = _child(steps, steps.running[i % 2], step), _now()
                os.kill(child, signal.SIGKILL)
            else:
                steps.relieve(steps.running[i % 2])
            _pause(steps, every_s)
            done.append((fault, step, began, _now()))
        cursors.stop()
        if not publisher.is_alive():
            raise RuntimeError("the stream ended before the faults did")
    return _silences(done, {**_words(scene), **cursors.words})


def _silences(done: Sequence[tuple[str, str, int, int]], words: Words) -> list[Silence]:
    found: dict[tuple[str, str], list[float]] = {}
    for fault, step, began, ended in done:
        for watched in STEPS if step == "all" else (step,):
            gaps = [_longest(times, began, ended) for (of, _), times in words.items() if of == watched]
            found.setdefault((fault, watched), []).append(max(gaps) / 1000)
    return [Silence(f, s, len(of), round(median(of), 2), round(max(of), 2)) for (f, s), of in found.items()]


def _longest(times: Sequence[int], began: int, ended: int) -> int:
    return max((b - a for a, b in pairwise(times) if b > began and a < ended), default=ended - began)


def _words(scene: Scene) -> Words:
    words: Words = {}
    steps = {source: step for step, source in _SOURCES.items()}
    for record in read_back(scene.settings, "summaries"):
        if record.partition == 0 and record.key == b"":
            told = decode_summary(record.value)
            if isinstance(told, Progress) and told.source in steps:
                words.setdefault((steps[told.source], told.partition), []).append(record.timestamp)
    return {key: sorted(times) for key, times in words.items()}


class _Cursors(threading.Thread):
    """When detect's cursors move."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(daemon=True)
        self._scene = scene
        self._over = threading.Event()
        self._at: dict[int, int] = {}
        self.words: Words = {}

    def run(self) -> None:
        """Look forty times a second."""
        while not self._over.wait(0.025):
            for p in detection.positions(self._scene.engine):
                if self._at.get(p.q) != p.next_offset:
                    self._at[p.q] = p.next_offset
                    self.words.setdefault(("detect", p.q), []).append(_now())

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


def _child(steps: Steps, worker: Process, step: str) -> int:
    """Return the pid of a worker's step, as its log has it once it runs."""
    while True:
        lines = [json.loads(line) for line in (steps.folder / f"{worker.name}.log").read_text().splitlines() if '"started"' in line]
        pids = [int(line["pid"]) for line in lines if line.get("child") == step]
        if pids:
            return pids[-1]
        time.sleep(0.1)


def _pause(steps: Steps, for_s: float) -> None:
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        steps.look_after()
        time.sleep(0.05)


def _until_at_work(scene: Scene, steps: Steps, within_s: float = 240) -> None:
    deadline = time.monotonic() + within_s
    while len(detection.positions(scene.engine)) < scene.settings.kafka.partitions:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the steps do nothing:\n{steps.logs()}")
        time.sleep(0.1)


def _now() -> int:
    return time.time_ns() // 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure how long partitions are silent after kill -9 and SIGTERM, and print it."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.recovery", description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="faults of each kind")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite", help="where state is kept (default: sqlite)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting under worker:, such as session_timeout=3s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    asked = parser.parse_args(arguments)
    leave_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="driftline-recovery-") as name, own_parts(Path(name), database=asked.database) as (bootstrap, server, _):
        folder = Path(name) / "run"
        url = f"sqlite:///{folder / 'driftline.db'}" if server is None else server
        with set_scene(bootstrap, url, folder, references()) as scene:
            worker = scene.tree["worker"]
            for setting in ("session_timeout", "flush_interval", "commit_interval", "block_size"):
                worker.pop(setting)
            # Where detect has nothing to say its cursor moves with its checkpoints only: what is looked at has to move more often than that.
            worker["checkpoint_interval"] = "250ms"
            worker.update(one.split("=", 1) for one in asked.set)
            found = measure(scene, asked.rounds)
    for s in found:
        sys.stdout.write(f"{s.fault:<8} {s.step:<10} {s.n:>3} faults   silence p50 {s.p50_s:>5.2f} s   max {s.max_s:>5.2f} s\n")
    if asked.json is not None:
        asked.json.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
