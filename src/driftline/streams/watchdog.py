"""Ends a worker that has stopped getting anywhere, so that its supervisor starts it again and others take its work.

Clients and event loops do hang, and the group's heartbeats go on in their own thread: nobody else would notice.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from driftline.streams.failstop import die

Ask = Callable[[], Coroutine[Any, Any, "Mapping[TP, Progress] | None"]]


class Stalled(RuntimeError):
    """The worker has been getting nowhere for longer than it may."""


@dataclass(frozen=True)
class Progress:
    """How far a partition's agent is, and where the partition ends."""

    done: int
    end: int


@dataclass(frozen=True)
class Watch:
    """What the watchdog remembers: since when (s) nothing was heard, and where each partition has stood since when."""

    heard: float
    stood: Mapping[TP, tuple[int, float]]


def look(watch: Watch, now: float, seen: Mapping[TP, Progress] | None) -> Watch:
    """Remember what was seen at ``now``: a partition stands still while it has something to read and gets no further.

    ``seen`` is None when there was no answer: the event loop, a rebalance or the broker hangs.
    """
    if seen is None:
        return watch
    stood = {}
    for tp, progress in seen.items():
        at, since = watch.stood.get(tp, (progress.done, now))
        stood[tp] = (at, since) if at == progress.done and progress.done < progress.end else (progress.done, now)
    return Watch(now, stood)


def verdict(watch: Watch, now: float, patience_s: float) -> str | None:
    """Say in a sentence what has been stuck for longer than ``patience_s``; None if nothing has.

    >>> verdict(Watch(heard=100.0, stood={}), now=161.0, patience_s=60.0)
    'no word from the event loop, the consumer group or the broker for 61 s'
    """
    if now - watch.heard > patience_s:
        return f"no word from the event loop, the consumer group or the broker for {now - watch.heard:.0f} s"
    for tp, (at, since) in sorted(watch.stood.items()):
        if now - since > patience_s:
            return f"{tp.topic}[{tp.partition}] has stood at offset {at} for {now - since:.0f} s with more to read"
    return None


class Watchdog(threading.Thread):
    """Asks ``loop`` several times within its patience; a thread, for a loop that hangs can't watch itself."""

    def __init__(self, ask: Ask, loop: asyncio.AbstractEventLoop, patience_s: float) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._question = ask
        self._loop = loop
        self._patience_s = patience_s

    def run(self) -> None:
        """Watch until the process ends."""
        interval_s = self._patience_s / 8
        watch = Watch(time.monotonic(), {})
        while True:
            time.sleep(interval_s)
            watch = look(watch, time.monotonic(), self._ask(interval_s))
            stuck = verdict(watch, time.monotonic(), self._patience_s)
            if stuck is not None:
                die("watchdog", Stalled(stuck))

    def _ask(self, timeout_s: float) -> Mapping[TP, Progress] | None:
        asked = asyncio.run_coroutine_threadsafe(self._question(), self._loop)
        try:
            return asked.result(timeout_s)
        except FutureTimeoutError:
            asked.cancel()
        except Exception:  # noqa: BLE001, S110  # no answer, whatever the reason
            pass
        return None
