"""From an event to what is said of it, live: events dated by the clock at a modest rate, panes of 5 s, windows of 10 s, nothing allowed to be late.

Lateness that is allowed is waited for, so ``allowed_lateness`` (10 s by default) comes on top of every figure here.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from benchmarks.events import PANE_S
from benchmarks.findings import Listener
from benchmarks.measure_pipeline import STEPS
from benchmarks.running import PEERS_VENV, ROOT, VENV, BenchError, System
from benchmarks.scene import Progress, Scene
from driftline.contracts.reference import Reference, seal

_WINDOW_S = 10
#: The first panes of a process and a model meet deciders that are still to be made: they are told apart.
_WARM_S = 10
#: A window that ends so shortly before the last events may lack the event that closes it in one of the partitions.
_MARGIN_MS = 200


@dataclass(frozen=True)
class Pace:
    """How much is published."""

    per_second: int = 1000
    models: int = 10
    seconds: float = 90.0


def measure_latency(scene: Scene, reference: Reference, pace: Pace, progress: Progress) -> dict[str, Any]:
    """Return how long events waited for the decision about their pane, and for the finding of their window."""
    known = [seal(msgspec.structs.replace(reference, model=f"bench-{i}", reference_id="")) for i in range(pace.models)]
    scene.renew(known, pane=f"{PANE_S}s", window=f"{_WINDOW_S}s", allowed_lateness="0s", outcome_sample=0.01)
    scene.make_source()
    file = scene.folder / "times.json"
    python = PEERS_VENV if PEERS_VENV.exists() else VENV
    command = [
        str(python), "-m", "benchmarks.pace", "--bootstrap", scene.bootstrap, "--topic", scene.source, "--per-second", str(pace.per_second),
        "--seconds", str(pace.seconds), "--models", str(pace.models), "--times", str(file),
    ]  # fmt: skip
    topics = ("drift-findings", "pane-closings", "alerts")
    with Listener(scene.bootstrap, scene.prefix, topics) as listener, System(scene.steps(STEPS)) as system:
        # No event has to wait for a worker to start.
        system.wait(lambda: all('"assigned"' in process.log.read_text(errors="replace") for process in system.processes), 120)
        progress(f"latency: {pace.per_second:,} events/s of {pace.models} models for {pace.seconds:g} s")
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=pace.seconds + 60)
        if done.returncode:
            raise BenchError(f"the events could not be published: {done.stderr[-1500:]}")
        times = {model: np.array(at, np.int64) for model, at in json.loads(file.read_text()).items()}
        # What is due has to come, however late: figures of what came in time would flatter.
        last = min(int(at.max()) for at in times.values()) - _MARGIN_MS
        due = sum(len(_stretches(at, width, last)) for at in times.values() for width in (PANE_S, _WINDOW_S))
        system.wait(lambda: len(_panes(listener, last)) + len(_windows(listener, last)) >= due, 60)
        panes, windows = _panes(listener, last), _windows(listener, last)
        run = system.measured()
    warm = min(int(at.min()) for at in times.values()) + _WARM_S * 1000
    cold, panes, windows = [said for said in panes if said[2] < warm], [p for p in panes if p[2] >= warm], [w for w in windows if w[2] >= warm]
    if not panes or not windows:
        raise BenchError(f"{len(panes)} panes were closed and {len(windows)} windows: too few to say anything")
    of_panes, of_windows = _waits(panes, times), _waits(windows, times)
    return {
        "p99_event_to_finding_s": of_windows["last_event_s"]["p99"],
        "p99_is": "from the last event that a finding speaks of to the finding in a consumer's hands",
        "events_per_s": pace.per_second, "models": pace.models, "pane_s": PANE_S, "window_s": _WINDOW_S, "allowed_lateness_s": 0,
        "decision_on_pane": of_panes, "finding_of_window": of_windows, "warm_up_s": _WARM_S,
        "cores_by_process": {name: round(seconds / run.wall_s, 3) for name, seconds in run.cpu_by_process.items()},
        "decision_on_pane_while_warming": _waits(cold, times),
    }  # fmt: skip


_Stretch = tuple[float, str, int, int]


def _panes(listener: Listener, last: int) -> list[_Stretch]:
    """Return when (epoch s) the decision about each pane came, its model, start and end, of panes that ended by ``last``."""
    told = [said for said in listener.of("pane-closings") if said.content["kind"] == "features" and said.content["end"] <= last]
    return [(said.at, said.content["model"], said.content["start"], said.content["end"]) for said in told]


def _windows(listener: Listener, last: int) -> list[_Stretch]:
    told = [said for said in listener.of("drift-findings") if said.content["revision"] == 1 and said.content["window_end"] <= last]
    return [(said.at, said.content["model"], said.content["window_start"], said.content["window_end"]) for said in told]


def _stretches(at: np.ndarray, seconds: int, last: int) -> set[int]:
    """Return the ends of the panes or windows of so many seconds that events at these times lie in, and that ended by ``last``."""
    width = seconds * 1000
    return {int(end) for end in np.unique(at // width * width + width) if end <= last}


def _waits(said: Sequence[_Stretch], times: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return quantiles of the waits (s): from the end of each stretch, from its last event, and of every event in it."""
    if not said:
        return {"n": 0}
    ends, lasts, every = [], [], []
    for at, model, start, end in said:
        inside = times[model][(times[model] >= start) & (times[model] < end)]
        if len(inside):
            ends.append(at - end / 1000)
            lasts.append(at - inside.max() / 1000)
            every.append(at - inside / 1000)
    return {"n": len(ends), "end_s": _quantiles(ends), "last_event_s": _quantiles(lasts), "every_event_s": _quantiles(np.concatenate(every))}


def _quantiles(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    return {
        "p50": round(float(np.quantile(values, 0.5)), 3),
        "p99": round(float(np.quantile(values, 0.99)), 3),
        "max": round(float(np.max(values)), 3),
    }
