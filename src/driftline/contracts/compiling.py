"""When there is compiled code: it is made, or found on disk, beside the work, once somebody could use it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from threading import Lock, Thread

_log = logging.getLogger(__name__)


class Compiling:
    """Compiled code of this process: not asked for, on its way, there, or not to be had. ``trial`` uses all of it once."""

    def __init__(self, name: str, trial: Callable[[], None]) -> None:
        self._name = name
        self._trial = trial
        self._thread: Thread | None = None
        self._asking = Lock()
        self._made = False
        self._wanted = find_spec("numba") is not None

    def ready(self) -> bool:
        """Say whether there is compiled code; the first who asks has it made."""
        with self._asking:
            if self._wanted and self._thread is None:
                # No daemon: a process must not end in the middle of a compiler's work.
                self._thread = Thread(target=self._make, name=f"compile-{self._name}")
                try:
                    self._thread.start()
                except RuntimeError:  # no thread is to be had
                    self._fail()
        return self._made

    def wait(self) -> bool:
        """Have it made, and wait for it."""
        if not self.ready() and self._thread is not None and self._thread.is_alive():
            self._thread.join()
        return self._made

    def _make(self) -> None:
        try:
            self._trial()
            self._made = True
        except Exception:  # noqa: BLE001  # a compiler's, or a disk's: there are other ways to do what it does
            self._fail()

    def _fail(self) -> None:
        self._wanted = False
        _log.exception("no compiled code for %s: they are read as without Numba", self._name)
