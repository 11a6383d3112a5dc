"""Ends a worker that has stopped getting anywhere by its own fault, so that its supervisor starts it again and others take its work.

Clients and event loops do hang, and the group's heartbeats go on in their own thread: nobody else would notice. A broker that is away is
not the worker's fault, and starting again would not bring it back: that time does not count. docs/decisions/0008-liveness.md.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, TypeVar

from faust.types import TP

from driftline.streams.failstop import die

T = TypeVar("T")
Ask = Callable[[], Coroutine[Any, Any, "Mapping[TP, Progress] | None"]]
Probe = Callable[[float], bool]


class Stalled(RuntimeError):
    """The worker has been getting nowhere for longer than it may."""


@dataclass(frozen=True)
class Progress:
    """How far a partition's agent is, and where the partition ends."""

    done: int
    end: int


@dataclass(frozen=True)
class Watch:
    """What the watchdog remembers: since when (s) nothing was heard, and where each partition stands, for how long (s) so far."""

    heard: float
    stood: Mapping[TP, tuple[int, float]]


def look(watch: Watch, now: float, seen: Mapping[TP, Progress] | None) -> Watch:
    """Remember what was seen at ``now``: a partition stands still while it has something to read and gets no further.

    ``seen`` is None when there was no answer although the broker is there: the event loop, the consumer or a rebalance hangs.
    """
    if seen is None:
        return watch
    stood = {}
    for tp, progress in seen.items():
        at, so_far = watch.stood.get(tp, (-1, 0.0))
        still = at == progress.done < progress.end
        stood[tp] = (progress.done, so_far + now - watch.heard if still else 0.0)
    return Watch(now, stood)


def away(watch: Watch, now: float) -> Watch:
    """Remember that up to ``now`` the broker was away: that time counts neither as silence nor as standing still."""
    return Watch(now, watch.stood)


def verdict(watch: Watch, now: float, patience_s: float) -> str | None:
    """Say in a sentence what has been stuck for longer than ``patience_s``; None if nothing has.

    >>> verdict(Watch(heard=100.0, stood={}), now=161.0, patience_s=60.0)
    'no word from the event loop or the consumer group for 61 s, although the broker answers'
    """
    if now - watch.heard > patience_s:
        return f"no word from the event loop or the consumer group for {now - watch.heard:.0f} s, although the broker answers"
    for tp, (at, for_s) in sorted(watch.stood.items()):
        if for_s > patience_s:
            return f"{tp.topic}[{tp.partition}] has stood at offset {at} for {for_s:.0f} s with more to read"
    return None


class Watchdog(threading.Thread):
    """Asks ``loop`` several times within its patience; a thread, for a loop that hangs can't watch itself.

    ``probe`` says, from this thread and within so many seconds, whether the broker answers anybody.
    """

    def __init__(self, ask: Ask, probe: Probe, loop: asyncio.AbstractEventLoop, patience_s: float) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._question = ask
        self._probe = probe
        self._loop = loop
        self._patience_s = patience_s

    def run(self) -> None:
        """Watch until the process ends, or its loop."""
        interval_s = self._patience_s / 8
        watch = Watch(time.monotonic(), {})
        while not self._loop.is_closed():
            time.sleep(interval_s)
            watch = self._look(watch, interval_s)
            stuck = verdict(watch, time.monotonic(), self._patience_s)
            if stuck is not None:
                die("watchdog", Stalled(stuck))

    def _look(self, watch: Watch, timeout_s: float) -> Watch:
        seen = self._ask(self._question, timeout_s)
        if seen is None and self._ask(_runs, timeout_s) and not self._probe(timeout_s):
            return away(watch, time.monotonic())
        return look(watch, time.monotonic(), seen)

    def _ask(self, question: Callable[[], Coroutine[Any, Any, T]], timeout_s: float) -> T | None:
        asked = asyncio.run_coroutine_threadsafe(question(), self._loop)
        try:
            return asked.result(timeout_s)
        except FutureTimeoutError:
            asked.cancel()
        except Exception:  # noqa: BLE001, S110  # no answer, whatever the reason
            pass
        return None


async def _runs() -> bool:
    return True
