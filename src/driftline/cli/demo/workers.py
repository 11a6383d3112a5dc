"""The workers, run as an operator would run them: long-lived processes of their own, logs in files, ended by SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

#: How long the processes may take to leave before they are killed.
_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Worker:
    """One process: the command, its log, the handle."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Workers:
    """Starts two workers and the retrain worker; a context manager that ends them."""

    def __init__(self, config: Path, logs: Path, workers: int = 2) -> None:
        self.logs = logs
        logs.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "driftline", "--config", str(config)]
        self.running = [self._start(f"worker-{i + 1}", [*command, "worker", *(() if i == 0 else _STREAMS)]) for i in range(workers)]
        self.running.append(self._start("retrain", [*command, "retrain"]))

    def dead(self) -> list[Worker]:
        """Return the processes that have ended although nobody ended them."""
        return [worker for worker in self.running if worker.process.poll() is not None]

    def stop(self) -> None:
        """End them all, gently first."""
        for worker in self.running:
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE_S
        for worker in self.running:
            try:
                worker.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()

    def __enter__(self) -> Self:
        """Return the running workers."""
        return self

    def __exit__(self, *_: object) -> None:
        """End them."""
        self.stop()

    def _start(self, name: str, command: list[str]) -> Worker:
        path = self.logs / f"{name}.log"
        log: IO[bytes]
        with path.open("ab") as log:
            kept = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE__")}  # the demo has settings of its own
            environment = {**kept, "OPENBLAS_NUM_THREADS": "1", **_threads(name)}
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment)
        return Worker(name, process, path)


def _threads(name: str) -> dict[str, str]:
    """One thread each, for several processes share the machine's cores; while a challenger is trained, all others wait for it."""
    if name == "retrain":
        return {"OMP_NUM_THREADS": str(os.cpu_count() or 1)}
    return {"OMP_NUM_THREADS": "1"}


#: The second worker runs the streams only; one process makes the reports.
_STREAMS = ("summarise", "join", "detect")
