"""Keeps processes running: one that ends is started again, slower and slower if it keeps ending; told to stop, all are drained.

A step ends itself when anything goes wrong (``streams.failstop``), and goes on from the state in SQL when it is started again. The children hold the
other end of a pipe from here: should this process be killed, they see it close and leave too.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final

log = logging.getLogger("driftline.worker")

#: Tells a child that its standard input is the pipe, and whose child it is: a name that no other supervisor has.
SUPERVISED: Final = "DRIFTLINE_SUPERVISED"
_TICK_S: Final = 0.05


@dataclass(frozen=True)
class Backoff:
    """How long to wait before the next start: ``first_s``, doubled with each end in a row, at most ``longest_s``.

    A process that has run for ``healthy_s`` begins anew.

    >>> [Backoff().delay(failures) for failures in (1, 2, 3, 20)]
    [0.5, 1.0, 2.0, 10.0]
    """

    first_s: float = 0.5
    longest_s: float = 10.0
    healthy_s: float = 60.0

    def delay(self, failures: int) -> float:
        """Return the wait (s) after so many ends in a row."""
        return min(self.first_s * 2.0 ** min(failures - 1, 30), self.longest_s)


@dataclass
class _Child:
    name: str
    command: Sequence[str]
    due: float = 0.0
    started: float = 0.0
    failures: int = 0
    process: subprocess.Popen[bytes] | None = None


class Supervisor:
    """Runs one process for each command until it is told to stop. For the main thread: it takes the signals."""

    def __init__(self, commands: Mapping[str, Sequence[str]], *, drain_s: float = 15.0, backoff: Backoff = Backoff()) -> None:
        self._children = [_Child(name, command) for name, command in commands.items()]
        self._drain_s = drain_s
        self._backoff = backoff
        self._signals: list[int] = []
        self._name = uuid.uuid4().hex[:12]

    def run(self) -> int:
        """Return the exit code: 0 after a clean stop, 1 where a child had to be killed, 128 + signal when told twice."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            while not self._signals:
                for child in self._children:
                    self._look_after(child)
                time.sleep(_TICK_S)
            return self._drain()
        finally:
            for child in self._running():
                self._kill(child)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _look_after(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.due and not self._signals:
                self._start(child, now)
            return
        code = child.process.poll()
        if code is None:
            return
        self._forget(child)
        child.failures = 1 if now - child.started >= self._backoff.healthy_s else child.failures + 1
        wait = self._backoff.delay(child.failures)
        child.due = now + wait
        log.warning(
            "%s ended with code %d; it starts again in %.1f s",
            child.name,
            code,
            wait,
            extra={"fields": {"event": "ended", "child": child.name, "code": code}},
        )

    def _start(self, child: _Child, now: float) -> None:
        child.process = subprocess.Popen(
            child.command,
            stdin=subprocess.PIPE,
            env={**os.environ, SUPERVISED: self._name},
            process_group=0,  # Ctrl-C in a terminal goes to this process alone, which passes it on as SIGTERM
        )
        child.started = now
        log.info("%s runs", child.name, extra={"fields": {"event": "started", "child": child.name, "pid": child.process.pid}})

    def _drain(self) -> int:
        log.info("Stopping: the steps finish what they have in hand", extra={"fields": {"event": "draining"}})
        for child in self._running():
            if child.process is not None:
                child.process.terminate()
        deadline = time.monotonic() + self._drain_s
        while self._running() and time.monotonic() < deadline and len(self._signals) == 1:
            time.sleep(_TICK_S)
        left = self._running()
        for child in left:
            log.error("%s did not leave in time and is killed", child.name, extra={"fields": {"event": "killed", "child": child.name}})
            self._kill(child)
        if len(self._signals) > 1:
            return 128 + self._signals[-1]
        log.info("Stopped", extra={"fields": {"event": "stopped"}})
        return 1 if left else 0

    def _running(self) -> list[_Child]:
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._forget(child)
        return [child for child in self._children if child.process is not None]

    def _kill(self, child: _Child) -> None:
        if child.process is not None:
            child.process.kill()
            child.process.wait()
            self._forget(child)

    @staticmethod
    def _forget(child: _Child) -> None:
        if child.process is not None and child.process.stdin is not None:
            child.process.stdin.close()
        child.process = None
