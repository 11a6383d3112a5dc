"""The vitals of a step: whether its event loop runs, whether its partitions move, how far it is behind.

A broker that is away makes a step unready, and never dead: starting it again would bring nothing back.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Final

from faust.types import TP

from driftline.health.samples import Samples
from driftline.streams.transport import DriftApp
from driftline.streams.watchdog import Progress, Watch, away, look, verdict

_EVERY_S: Final = 1.0
#: Nothing that a loop may rightly do at a stretch takes this long; a garbage collection or a large batch takes a second.
_LOOP_S: Final = 15.0
#: What was seen so long ago says nothing about now.
_STALE_S: Final = 10.0


class StepVitals(threading.Thread):
    """Looks at a running app once a second, from outside its loop."""

    def __init__(self, app: DriftApp, loop: asyncio.AbstractEventLoop, *, patience_s: float, ready_lag: int, topic_prefix: str) -> None:
        super().__init__(name="vitals", daemon=True)
        self._app = app
        self._loop = loop
        self._patience_s = patience_s
        self._ready_lag = ready_lag
        self._prefix = topic_prefix
        self._loop_s = min(_LOOP_S, patience_s)
        self._ended = threading.Event()
        self._seen: Mapping[TP, Progress] | None = None
        self._seen_at = 0.0
        self._watch = Watch(time.monotonic(), {})
        #: When the loop last did something for us.
        self._heard = time.monotonic()

    def run(self) -> None:
        """Look until :meth:`end`, or until the loop is closed."""
        asked: Future[Mapping[TP, Progress] | None] | None = None
        asking: set[asyncio.Task[None]] = set()  # a loop holds its tasks weakly
        knocking = False

        def heard() -> None:
            nonlocal knocking
            self._heard, knocking = time.monotonic(), False

        def ask(answer: Future[Mapping[TP, Progress] | None]) -> None:
            task = self._loop.create_task(self._tell(answer))
            asking.add(task)
            task.add_done_callback(asking.discard)

        while not (self._ended.is_set() or self._loop.is_closed()):
            try:
                if not knocking:
                    knocking = True
                    self._loop.call_soon_threadsafe(heard)
                if asked is None or asked.done():
                    # The coroutine is made in the loop: made here, a loop that stops before it runs leaves it never awaited.
                    asked = Future()
                    self._loop.call_soon_threadsafe(ask, asked)
            except RuntimeError:  # closed in between
                return
            try:
                self._note(asked.result(_EVERY_S))
            except FutureTimeoutError:
                self._note(None)
                continue
            except Exception:  # noqa: BLE001  # the broker does not answer, whatever the error
                self._note(None)
            self._ended.wait(_EVERY_S)

    def end(self) -> None:
        """Look no more; what was asked for last is not waited for longer than it would have been."""
        self._ended.set()

    def trouble(self) -> str | None:
        """Say what hangs by this process's own fault."""
        now = time.monotonic()
        if now - self._heard > self._loop_s:
            return f"the event loop has not run for {now - self._heard:.0f} s"
        return verdict(Watch(now, self._watch.stood), now, self._patience_s)

    def unready(self) -> str | None:
        """Say why the step is not ready; a spare without partitions is."""
        seen, age = self._seen, time.monotonic() - self._seen_at
        if seen is None or age > _STALE_S:
            return "no partitions are assigned yet, a rebalance is under way, or the broker does not answer"
        behind = sum(_behind(progress) for progress in seen.values())
        return f"it is behind by {behind} records" if behind > self._ready_lag else None

    def show(self, samples: Samples) -> None:
        """Put lag and assignment into the samples."""
        seen = self._seen
        if seen is None:
            return
        for tp, progress in seen.items():
            samples.add("driftline_lag_records", _behind(progress), tp.topic.removeprefix(self._prefix), str(tp.partition))
        for topic, n in Counter(tp.topic.removeprefix(self._prefix) for tp in seen).items():
            samples.add("driftline_assigned_partitions", n, topic)
        samples.add("driftline_seeks_total", self._app.consumer.epoch)

    async def _tell(self, answer: Future[Mapping[TP, Progress] | None]) -> None:
        try:
            answer.set_result(await self._app.consumer.progress())  # in the loop: Faust makes the consumer when it is first asked for
        except Exception as error:  # noqa: BLE001  # the broker does not answer, whatever the error
            answer.set_exception(error)

    def _note(self, seen: Mapping[TP, Progress] | None) -> None:
        now = time.monotonic()
        if seen is None:  # not the step's fault, unless its loop hangs: and that is seen by itself
            self._watch = away(self._watch, now)
            return
        self._watch = look(self._watch, now, seen)
        self._seen, self._seen_at = seen, now


def _behind(progress: Progress) -> int:
    return max(progress.end - progress.done, 0)
