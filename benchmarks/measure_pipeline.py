"""Event in to finding out: summarise, join and detect as three processes, on JSON and on columnar records; the peers on the same JSON log."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.events import last_window_end
from benchmarks.findings import Listener
from benchmarks.profiling import profile
from benchmarks.report import summary
from benchmarks.running import PEERS_VENV, BenchError, Process, Run, System
from benchmarks.scene import FINDINGS, Course, Log, Scene

_PATIENCE_S = 90.0
STEPS = ("summarise", "join", "detect")
PEERS = ("faust", "quix", "bytewax")


@dataclass(frozen=True)
class Variant:
    """One way to run the pipeline. ``outcome_sample``: the share of predictions that the join keeps in SQL, to meet their labels."""

    name: str
    steps: tuple[str, ...] = STEPS
    workers: int = 1
    outcome_sample: float = 0.01


JSON = Variant("json")
JSON_TWO = Variant("json_2_workers", workers=2)
JSON_EVERY_OUTCOME = Variant("json_every_outcome_kept", outcome_sample=1.0)
JSON_NO_JOIN = Variant("json_without_join", steps=("summarise", "detect"))
COLUMNAR = Variant("columnar")
COLUMNAR_NO_JOIN = Variant("columnar_without_join", steps=("summarise", "detect"))


def run_ours(course: Course, variant: Variant, *, profiled: bool = False) -> tuple[Run, dict[str, Any]]:
    """Return what a run cost, and whether what came out is right."""
    scene, log = course.scene, course.log
    scene.renew([course.reference], outcome_sample=variant.outcome_sample)
    end = last_window_end(log.events, log.start_ms)
    counting = [step for step in variant.steps if step != "detect"]
    with Listener(scene.bootstrap, scene.prefix) as listener, System(scene.steps(variant.steps, variant.workers)) as system:
        if profiled:
            profile(system, f"pipeline-{variant.name}", course.progress)
        system.wait(lambda: listener.has_window(end) and all(system.count(step) >= log.records for step in counting), _PATIENCE_S)
        run = system.measured(log.events, time.time())
        time.sleep(0.5)
        said = {
            "events_in_findings": listener.counted(end),
            "findings": len(listener.of("drift-findings")),
            "alerts_opened": sum(said.content["status"] == "opened" for said in listener.of("alerts")),
        }
    if said["events_in_findings"] != log.events:
        raise BenchError(f"{variant.name} is wrong: its findings speak of {said['events_in_findings']:,} of {log.events:,} events")
    return run, said


def measure_ours(course: Course, variant: Variant, repeats: int) -> dict[str, Any]:
    """Return the summary of some runs of one variant."""
    runs: list[Run] = []
    said: dict[str, Any] = {}
    for repeat in range(repeats):
        run, said = run_ours(course, variant)
        course.progress(f"{variant.name} {repeat + 1}/{repeats}: {run.told()}")
        runs.append(run)
    return {**summary(runs), "workers": variant.workers, "steps": list(variant.steps), "outcome_sample": variant.outcome_sample, **said}


def run_peer(course: Course, peer: str, events: int, *, workers: int = 1, profiled: bool = False) -> Run:
    """Return what a peer's run over the first ``events`` of the log cost."""
    if not PEERS_VENV.exists():
        raise BenchError("the peers' environment, .bench/venv, is not there: make bench makes it")
    with System(_start(course.scene, course.log, peer, workers)) as system:
        if profiled:
            profile(system, f"peer-{peer}", course.progress)
        system.wait(lambda: system.count() >= min(events, course.log.records), _PATIENCE_S)
        return system.measured()


def measure_peer(course: Course, peer: str, events: int, repeats: int, *, workers: int = 1) -> dict[str, Any]:
    """Return the summary of some runs of one peer."""
    runs = []
    for repeat in range(repeats):
        run = run_peer(course, peer, events, workers=workers)
        course.progress(f"{peer} with River, {workers} workers, {repeat + 1}/{repeats}: {run.told()}")
        runs.append(run)
    return {**summary(runs), "workers": workers}


def _start(scene: Scene, log: Log, peer: str, workers: int) -> Callable[[], list[Process]]:
    group = f"{scene.prefix}{peer}-{uuid.uuid4().hex[:8]}"
    findings = scene.prefix + FINDINGS
    # Bytewax's processes find each other by address; the others are a consumer group.
    addresses = ",".join(f"127.0.0.1:{_free_port()}" for _ in range(workers)) if workers > 1 else ""
    module, arguments = {
        "faust": ("faust_agent", ["river", scene.bootstrap, log.topic, findings, group]),
        "quix": ("quix_app", [scene.bootstrap, log.topic, findings, group]),
        "bytewax": ("bytewax_flow", [scene.bootstrap, log.topic, findings, addresses]),
    }[peer]

    def start() -> list[Process]:
        numbered = peer == "bytewax"
        return [
            Process(f"{peer}-{i}", PEERS_VENV, f"benchmarks.peers.{module}", [*arguments, *([str(i)] if numbered else [])], scene.folder)
            for i in range(workers)
        ]

    return start


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
