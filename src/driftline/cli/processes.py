"""Processes that outlive us, told apart by their command lines: a pid alone may be another program's by now."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from driftline.contracts.errors import SetupError

_PROC: Final = Path("/proc/self")


def is_process(pid: int, argument: str) -> bool:
    """Whether ``pid`` lives and has ``argument`` on its command line: the pid alone may be another program's by now."""
    with suppress(ChildProcessError):  # not our child: nothing to reap
        os.waitpid(pid, os.WNOHANG)
    if _PROC.is_dir():
        return argument.encode() in _command_line(pid)
    listed = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return argument in listed.stdout


def stop_process(pid: int, argument: str, *, timeout_s: float = 30.0) -> None:
    """End ``pid`` if ``argument`` is on its command line: SIGTERM, and SIGKILL after ``timeout_s`` seconds."""
    for sign, patience in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 10.0)):
        if not is_process(pid, argument):
            return
        with suppress(ProcessLookupError):
            os.kill(pid, sign)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not is_process(pid, argument):
                return
            time.sleep(0.02)
    msg = f"The process {pid} survived SIGKILL for 10 s; look at it with `ps -p {pid}`."
    raise SetupError(msg)


def _command_line(pid: int) -> list[bytes]:
    for _ in range(200):
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
            zombie = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in b"ZX"
        except (FileNotFoundError, ProcessLookupError):
            return []
        if arguments or zombie:
            return arguments.split(b"\0")
        time.sleep(0.005)  # between fork and exec a process has no command line yet
    return []
