"""What has threads and connections begins anew in a child process: a pre-fork server may publish before it forks, and its workers after."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - see `steady`
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

#: A fork waits no longer than this for a connection that is being made.
_LONGEST_WAIT_S = 5.0


class Restartable(Protocol):
    """Something whose threads, locks and connections a child process can't use."""

    def begin_anew(self) -> None:
        """Let go of what is the parent's."""


_living: weakref.WeakSet[Restartable] = weakref.WeakSet()


def begin_anew_after_fork(restartable: Restartable) -> None:
    """See to it that a child process begins anew, as long as there is such a thing."""
    _living.add(restartable)


_steady = threading.Lock()
_held = False


@contextmanager
def steady() -> Iterator[None]:
    """Hold forks up: a thread that is just importing (the first look-up of a host loads a codec) would leave a module's lock shut in every child."""
    with _steady:
        yield


def _before_fork() -> None:
    global _held  # noqa: PLW0603
    _held = _steady.acquire(timeout=_LONGEST_WAIT_S)


def _after_fork_in_parent() -> None:
    global _held  # noqa: PLW0603
    if _held:
        _held = False
        _steady.release()


def _after_fork() -> None:
    global _steady  # noqa: PLW0603 - whoever held it is not here
    _steady = threading.Lock()
    for restartable in list(_living):
        restartable.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
