"""The steps as processes, as an operator runs them; killed, stopped and started again by pid."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from tests.integration.boot import Forked
from tests.integration.faults import STEPS, Fault
from tests.integration.points import Order

_ROOT = Path(__file__).parents[2]


@dataclass
class Process:
    """One step's process, under its turns."""

    step: str
    name: str
    handle: subprocess.Popen[bytes] | Forked
    frozen_until: float | None = None
    ordered: set[str] = field(default_factory=set)


@dataclass
class Steps:
    """``workers`` processes of each step; the context manager ends them all.

    They are ``driftline worker --step`` as an operator starts it or, ``forked``, the same at a hundredth of the cost; then ``flaw`` names one of
    ``flaws.py`` to be built in, and ``faults`` may name points of ``points.py``. ``supervised`` runs whole ``driftline worker`` processes, which
    start their steps again themselves.
    """

    tree: dict[str, Any]
    folder: Path
    workers: int = 2
    forked: bool = False
    flaw: str | None = None
    supervised: bool = False
    faults: Sequence[Fault] = ()
    steps: tuple[str, ...] = STEPS
    running: list[Process] = field(default_factory=list)
    #: What became of processes that ended although nobody ended them.
    deaths: list[str] = field(default_factory=list)
    #: What was done to whom.
    told: list[str] = field(default_factory=list)
    _orders: list[tuple[Fault, Order]] = field(default_factory=list)
    _leaving: list[Process] = field(default_factory=list)
    _starts: int = 0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "driftline.yaml").write_text(yaml.safe_dump(self.tree))
        signs = {"die_at": signal.SIGKILL, "freeze_at": signal.SIGSTOP}
        self._orders = [(f, Order(f.on, signs[f.what], f.n, self.folder / f"order-{i}")) for i, f in enumerate(self.faults) if f.what in signs]
        self.running = [self._start(step) for _ in range(self.workers) for step in (("worker",) if self.supervised else self.steps)]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in self.running:
            if process.handle.poll() is None:
                process.handle.send_signal(signal.SIGCONT)
                process.handle.terminate()
        deadline = time.monotonic() + 15
        for process in [*self.running, *self._leaving]:
            try:
                process.handle.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.handle.kill()
                process.handle.wait()

    def hit(self, fault: Fault, rng: random.Random) -> None:
        """Do a fault to one process of a step; one that ends is started again at once, as a supervisor would."""
        awake = [p for p in self.running if p.step == fault.on and p.frozen_until is None and p.handle.poll() is None]
        if not awake:
            self.told.append(f"no {fault.on} to {fault.what}")
            return
        chosen = rng.choice(awake)
        if fault.what == "freeze":
            chosen.handle.send_signal(signal.SIGSTOP)
            chosen.frozen_until = time.monotonic() + fault.for_s
        elif fault.what == "kill":
            chosen.handle.kill()
            chosen.handle.wait()
            self._replace(chosen)
        else:
            chosen.handle.terminate()
            self.running.append(self._start(fault.on))  # it drains beside its successor
        self.told.append(f"{fault.what} {chosen.name}")

    def relieve(self, process: Process) -> None:
        """Tell one to stop while another takes its place."""
        process.handle.terminate()
        self.running.remove(process)
        self._leaving.append(process)
        self.running.append(self._start(process.step))

    def scale(self, workers: int) -> None:
        """Run so many processes of each step from now on."""
        for step in self.steps:
            mine = [p for p in self.running if p.step == step and p.handle.poll() is None]
            for _ in range(workers - len(mine)):
                self.running.append(self._start(step))
            for process in mine[workers:]:
                process.handle.terminate()
        self.told.append(f"{workers} of each step")

    def look_after(self) -> None:
        """Wake who has slept long enough, forget who left, start again who died."""
        ordered = self._carried_out()
        for process in list(self.running):
            if process.frozen_until is not None and time.monotonic() >= process.frozen_until:
                process.handle.send_signal(signal.SIGCONT)
                process.frozen_until = None
            code = process.handle.poll()
            if code is None:
                continue
            self.running.remove(process)
            if code == -signal.SIGKILL and process.handle.pid in ordered:
                self.running.append(self._start(process.step))
            # Told to stop before it had learned to listen, it ends by the signal.
            elif code not in (0, -signal.SIGTERM):
                self.deaths.append(f"{process.name} ended with {code}: {self.tail(process.name)}")
                self.running.append(self._start(process.step))

    def last_words(self) -> list[str]:
        """Return why steps ended that a supervisor started again."""
        logs = [p.name for p in self.running if p.step == "worker"]
        lines = [line for name in logs for line in (self.folder / f"{name}.log").read_text(errors="replace").splitlines()]
        return [line[:1000] for line in lines if '"fail-stop"' in line or '"event": "failed"' in line]

    def untold(self) -> list[str]:
        """Return the orders that nobody has carried out: the point was not reached often enough."""
        return [order.point for _, order in self._orders if not order.mark.exists()]

    def _carried_out(self) -> set[int]:
        """Return the pids of those that have carried out an order; one that stopped itself will be woken."""
        pids = set()
        for fault, order in self._orders:
            pid = order.mark.read_text() if order.mark.exists() else ""
            if not pid:
                continue
            pids.add(int(pid))
            process = next((p for p in self.running if p.handle.pid == int(pid)), None)
            if process is not None and order.point not in process.ordered:
                process.ordered.add(order.point)
                self.told.append(f"{fault.what} {process.name}: {order.point}")
                if fault.what == "freeze_at":
                    process.frozen_until = time.monotonic() + fault.for_s
        return pids

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
        if self.forked and not self.supervised:
            orders = [o for _, o in self._orders if o.point.startswith(step) and not o.mark.exists()]
            return Process(step, name, Forked(config, step, log, self.flaw, orders))
        command = [sys.executable, "-m", "driftline", "--config", str(config), "worker", *(self.steps if self.supervised else ("--step", step))]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(_ROOT / "src")}
        with log.open("ab") as out:
            handle = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment)
        return Process(step, name, handle)
