"""What has threads and connections begins anew in a child process: a pre-fork server may publish before it forks, and its workers after."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Restartable(Protocol):
    """Something whose threads, locks and connections a child process can't use."""

    def begin_anew(self) -> None:
        """Let go of what is the parent's."""


_living: weakref.WeakSet[Restartable] = weakref.WeakSet()


def begin_anew_after_fork(restartable: Restartable) -> None:
    """See to it that a child process begins anew, as long as there is such a thing."""
    _living.add(restartable)


def _after_fork() -> None:
    for restartable in list(_living):
        restartable.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
