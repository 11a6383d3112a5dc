"""Summarise alone, against decoding alone on the same transport, and against a stock Faust agent that only decodes. One process each, one log."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from benchmarks.profiling import profile
from benchmarks.report import ratio, summary
from benchmarks.running import PEERS_VENV, VENV, Process, Run, System
from benchmarks.scene import FINDINGS, Course, Log, Progress, Scene
from benchmarks.sizes import Sizes
from driftline.contracts.reference import Reference

_PATIENCE_S = 60.0


def measure_summarise(scene: Scene, reference: Reference, sizes: Sizes, progress: Progress) -> dict[str, Any]:
    """Return the content of summarise.json, without the circumstances."""
    log = scene.fill(sizes.json, progress)
    course = Course(scene, log, reference, progress)
    stock = ("stock_faust_json", "stock_faust_msgspec")[0 if sizes.thorough else 1 :]
    runs: dict[str, list[Run]] = {name: [] for name in ("summarise", "decode_alone", *stock)}
    for repeat in range(sizes.repeats):
        for name, results in runs.items():
            results.append(_run(course, name, sizes))
            progress(f"{name} {repeat + 1}/{sizes.repeats}: {results[-1].events_per_s:,.0f} events/s")
    if sizes.thorough:
        for name in ("summarise", "stock_faust_msgspec"):
            _run(course, name, sizes, profiled=True)
    found = {name: summary(results) for name, results in runs.items()}
    better = max(stock, key=lambda name: found[name]["events_per_s"])
    return {
        "events_per_s": found["summarise"]["events_per_s"],
        "decode_alone_events_per_s": found["decode_alone"]["events_per_s"],
        "ratio_stock_faust": ratio(found["summarise"], found[better], "events_per_s"),
        "ratio_stock_faust_per_core": ratio(found["summarise"], found[better], "events_per_s_per_core"),
        "ratio_decode_alone": ratio(found["summarise"], found["decode_alone"], "events_per_s"),
        "stock_faust_events_per_s": found[better]["events_per_s"],
        "stock_faust_is": f"{better}: the faster of the two codecs; its agent does nothing with what it decodes",
        "rule": "events by the clock, from the first record taken to the last one done (for summarise: its summaries acknowledged); one process each",
        "log": {"events": log.events, "bytes_per_event": round(log.bytes / log.records), "partitions": 4, "compression": "none",
                "filled_per_s": round(log.records / log.fill_s)},
        "systems": found,
    }  # fmt: skip


def _run(course: Course, name: str, sizes: Sizes, *, profiled: bool = False) -> Run:
    course.scene.renew([course.reference])
    wanted = sizes.one_at_a_time if name.startswith("stock") else course.log.records
    with System(_start(course.scene, course.log, name)) as system:
        if profiled:
            profile(system, name, course.progress)
        system.wait(lambda: system.count() >= wanted, _PATIENCE_S)
        return system.measured()


def _start(scene: Scene, log: Log, name: str) -> Callable[[], list[Process]]:
    if name == "summarise":
        return scene.steps(("summarise",))
    group = f"{scene.prefix}{name}-{uuid.uuid4().hex[:8]}"
    if name == "decode_alone":
        return lambda: [Process(name, VENV, "benchmarks.apps.driftline_decode", [scene.bootstrap, log.topic, group], scene.folder)]
    python = PEERS_VENV if PEERS_VENV.exists() else VENV
    arguments = [name.rpartition("_")[2], scene.bootstrap, log.topic, scene.prefix + FINDINGS, group]
    return lambda: [Process(name, python, "benchmarks.peers.faust_agent", arguments, scene.folder)]
