"""A step as a fork of a process that has everything imported: killed a dozen times a minute, a start must not cost seconds of a core."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.integration.flaws import FLAWS
from tests.integration.points import Order, arm

_PRELOADED = ["driftline.streams.app", "driftline.cli.step", "driftline.cli.logs", "driftline.cli.config", "tests.integration.boot"]


class Forked:
    """A process with what ``subprocess.Popen`` offers."""

    def __init__(self, config: Path, step: str, log: Path, flaw: str | None, orders: Sequence[Order] = ()) -> None:
        # The server of forks inherits this; several processes share the machine's cores.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._process: ForkServerProcess = context.Process(target=_run, args=(str(config), step, str(log), flaw, orders), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """Return its pid."""
        return self._process.pid or 0

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self._process.pid is not None and self.poll() is None:
            os.kill(self._process.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _run(config: str, step: str, log: str, flaw: str | None, orders: Sequence[Order]) -> None:
    with Path(log).open("ab") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    from driftline.cli.config import load_settings
    from driftline.cli.logs import configure
    from driftline.cli.step import run_step

    configure("info", step=step)
    if flaw is not None:
        FLAWS[flaw]()
    for order in orders:
        arm(order)
    sys.exit(run_step(load_settings(Path(config), {}), step))
