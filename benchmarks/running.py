"""Processes under test: started, followed by what their probes say, ended. And what a run of them cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

ROOT = Path(__file__).parents[1]
VENV = ROOT / ".venv" / "bin" / "python"
PEERS_VENV = ROOT / ".bench" / "venv" / "bin" / "python"
_LOOK_S = 0.1


class BenchError(Exception):
    """A part of the benchmark that can't be measured, and why."""


class Sample(NamedTuple):
    """One line of a probe."""

    wall: float
    cpu: float
    taken: int
    rss_kb: int


@dataclass(frozen=True)
class Run:
    """One system reading one log: ``wall_s`` from the first record to the last, ``cpu_s`` of all its processes meanwhile."""

    events: int
    wall_s: float
    cpu_s: float
    rss_mb: float
    cpu_by_process: dict[str, float]

    @property
    def events_per_s(self) -> float:
        """By the clock."""
        return self.events / self.wall_s

    @property
    def events_per_s_per_core(self) -> float:
        """Events for each second of processor time that all processes of the system took together."""
        return self.events / self.cpu_s

    def told(self) -> str:
        """Say it in a line."""
        each = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.cpu_by_process.items())
        return f"{self.events_per_s:,.0f} events/s, {self.events_per_s_per_core:,.0f} a core; processor time {each}"


class Process:
    """A process with a probe."""

    def __init__(self, name: str, python: Path, module: str, arguments: Sequence[str], folder: Path) -> None:
        self.name = name
        self.probe, self.log = folder / f"{name}.probe", folder / f"{name}.log"
        self.probe.unlink(missing_ok=True)
        # A PYTHONPATH from outside may name another version of the source, to measure that one.
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path}
        with self.log.open("wb") as out:
            self.handle = subprocess.Popen(
                [str(python), "-m", module, *arguments, str(self.probe)],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def samples(self) -> list[Sample]:
        """Return what the probe has said so far."""
        if not self.probe.is_file():
            return []
        lines = self.probe.read_text().split("\n")[:-1]
        return [Sample(*json.loads(line)) for line in lines]

    def last(self) -> Sample | None:
        """Return the last that it has said."""
        if not self.probe.is_file():
            return None
        with self.probe.open("rb") as file:
            file.seek(max(0, self.probe.stat().st_size - 300))
            lines = file.read().split(b"\n")[:-1]
        return Sample(*json.loads(lines[-1])) if lines and lines[-1].startswith(b"[") else None

    def check(self) -> None:
        """Raise BenchError if it has ended."""
        if self.handle.poll() is not None:
            said = self.log.read_text(errors="replace")[-2000:]
            raise BenchError(f"{self.name} ended with {self.handle.returncode}: {said}")

    def stop(self, patience_s: float = 15.0) -> None:
        """Ask it to end, and see that it does."""
        if self.handle.poll() is None:
            self.handle.send_signal(signal.SIGTERM)
            try:
                self.handle.wait(patience_s)
            except subprocess.TimeoutExpired:
                self.handle.kill()
                self.handle.wait()


class System:
    """Processes that do one job together; the context manager ends them."""

    def __init__(self, start: Callable[[], list[Process]]) -> None:
        self._start = start
        self.processes: list[Process] = []

    def __enter__(self) -> Self:
        self.processes = self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self.processes:
            if process.handle.poll() is None:
                process.handle.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.stop()

    def wait(self, done: Callable[[], bool], timeout_s: float, progress: Callable[[str], None] = lambda _: None) -> None:
        """Wait until ``done``. BenchError when a process ends, or after ``timeout_s`` without any count changing."""
        counts, since = None, time.monotonic()
        while not done():
            for process in self.processes:
                process.check()
            last = {p.name: s.taken for p in self.processes if (s := p.last()) is not None}
            if last != counts:
                counts, since = last, time.monotonic()
                progress(" ".join(f"{name} {count:,}" for name, count in last.items()))
            elif time.monotonic() - since > timeout_s:
                raise BenchError(f"nothing has moved for {timeout_s:g} s: {last}; {self.processes[0].log.read_text(errors='replace')[-1000:]}")
            time.sleep(_LOOK_S)

    def count(self, prefix: str = "") -> int:
        """Return how many records the processes, or those whose name begins so, have had."""
        return sum(s.taken for p in self.processes if p.name.startswith(prefix) and (s := p.last()) is not None)

    def measured(self, events: int | None = None, end: float | None = None) -> Run:
        """Return what the run cost: from the first record that any process had, to ``end`` or to the last change of any count.

        Without ``events``, they are what the processes have counted.
        """
        time.sleep(0.2)  # the probes' last lines
        series = {p.name: s for p in self.processes if (s := p.samples())}
        began = min(s[0].wall for s in series.values() if s[-1].taken)
        if end is None:
            end = max(next(x.wall for x in s if x.taken == s[-1].taken) for s in series.values())
        if events is None:
            events = sum(s[-1].taken for s in series.values())
        cpu = {name: cpu_at(s, end) - cpu_at(s, began) for name, s in series.items()}
        rss = sum(s[-1].rss_kb for s in series.values()) / 1024
        return Run(events, end - began, sum(cpu.values()), rss, {name: round(value, 3) for name, value in cpu.items()})


def cpu_at(samples: Sequence[Sample], wall: float) -> float:
    """Return the processor time at a moment, in a straight line between the samples around it."""
    before = samples[0]
    if wall <= before.wall:
        return before.cpu
    for sample in samples:
        if sample.wall >= wall:
            share = (wall - before.wall) / (sample.wall - before.wall) if sample.wall > before.wall else 1.0
            return before.cpu + share * (sample.cpu - before.cpu)
        before = sample
    return before.cpu
