"""The steps as processes, as an operator runs them; killed, stopped and started again by pid."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import yaml
from tests.integration.boot import Forked

Fault = Literal["kill", "term", "freeze"]
STEPS = ("summarise", "join", "detect")
_ROOT = Path(__file__).parents[2]


@dataclass
class Process:
    """One step's process, under its turns."""

    step: str
    name: str
    handle: subprocess.Popen[bytes] | Forked
    frozen_until: float | None = None


@dataclass
class Steps:
    """``workers`` processes of each step; the context manager ends them all.

    They are ``driftline worker --step`` as an operator starts it or, ``forked``, the same at a hundredth of the cost; then ``flaw`` names one of
    ``boot.py`` to be built in.
    """

    tree: dict[str, Any]
    folder: Path
    workers: int = 2
    forked: bool = False
    flaw: str | None = None
    steps: tuple[str, ...] = STEPS
    running: list[Process] = field(default_factory=list)
    #: What became of processes that ended although nobody ended them.
    deaths: list[str] = field(default_factory=list)
    _starts: int = 0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "driftline.yaml").write_text(yaml.safe_dump(self.tree))
        self.running = [self._start(step) for _ in range(self.workers) for step in self.steps]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self.running:
            if process.handle.poll() is None:
                process.handle.send_signal(signal.SIGCONT)
                process.handle.terminate()
        deadline = time.monotonic() + 15
        for process in self.running:
            try:
                process.handle.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.handle.kill()
                process.handle.wait()

    def hit(self, fault: Fault, step: str, rng: random.Random, freeze_s: float) -> str:
        """Do a fault to one process of a step; one that ends is started again at once, as a supervisor would."""
        awake = [p for p in self.running if p.step == step and p.frozen_until is None and p.handle.poll() is None]
        if not awake:
            return f"no {step} to {fault}"
        chosen = rng.choice(awake)
        if fault == "freeze":
            chosen.handle.send_signal(signal.SIGSTOP)
            chosen.frozen_until = time.monotonic() + freeze_s
        elif fault == "kill":
            chosen.handle.kill()
            chosen.handle.wait()
            self._replace(chosen)
        else:
            chosen.handle.terminate()
            self.running.append(self._start(step))  # it drains beside its successor
        return f"{fault} {chosen.name}"

    def look_after(self) -> None:
        """Wake who has slept long enough, forget who left, start again who died."""
        for process in list(self.running):
            if process.frozen_until is not None and time.monotonic() >= process.frozen_until:
                process.handle.send_signal(signal.SIGCONT)
                process.frozen_until = None
            code = process.handle.poll()
            if code is None:
                continue
            self.running.remove(process)
            # Told to stop before it had learned to listen, it ends by the signal.
            if code not in (0, -signal.SIGTERM):
                self.deaths.append(f"{process.name} ended with {code}: {self.tail(process.name)}")
                self.running.append(self._start(process.step))

    def tail(self, name: str, size: int = 3000) -> str:
        """Return the end of a process's log."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-size:]

    def logs(self) -> str:
        """Return the ends of all logs."""
        return "\n".join(f"== {p.name}\n{self.tail(p.name)}" for p in self.running)

    def _replace(self, process: Process) -> None:
        self.running.remove(process)
        self.running.append(self._start(process.step))

    def _start(self, step: str) -> Process:
        self._starts += 1
        name = f"{step}-{self._starts}"
        config, log = self.folder / "driftline.yaml", self.folder / f"{name}.log"
        log.touch()
        if self.forked:
            return Process(step, name, Forked(config, step, log, self.flaw))
        command = [sys.executable, "-m", "driftline", "--config", str(config), "worker", "--step", step]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT / "src")}
        with log.open("ab") as out:
            handle = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment)
        return Process(step, name, handle)
