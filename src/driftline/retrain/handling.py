"""One trigger, from claim to settled run, a step at a time: none of the steps waits, so that the worker keeps polling
its broker.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping

import msgspec
from sqlalchemy import Engine

from driftline.contracts.errors import StaleState
from driftline.contracts.findings import ModelVersion, RetrainTrigger
from driftline.contracts.settings import Settings
from driftline.contracts.times import format_duration, parse_duration
from driftline.retrain.job import EXIT_LOST, Job
from driftline.retrain.promotion import Turn, settle
from driftline.store import detection, join, runs, versions
from driftline.store.transactions import writing

log = logging.getLogger("driftline.retrain")

_RETRY_MS = 1_000
_GRACE_SECONDS = 5.0
#: A training that takes its worker along each time (for want of memory, say) would else hold up all later triggers for good. A run that is given
#: back by a worker who was told to stop is an attempt too, so there are many.
_MOST_ATTEMPTS = 20

Ends = Mapping[tuple[str, int], int]


class Handling:
    """What the worker does about one trigger. Call ``step`` until it returns True: the run is settled, by us or by
    another worker.
    """

    def __init__(self, engine: Engine, settings: Settings, trigger: RetrainTrigger, *, owner: str, event_ends: Callable[[], Ends]) -> None:
        self.trigger = trigger
        self._engine = engine
        self._settings = settings
        self._owner = owner
        self._event_ends = event_ends
        self._lease_ms = parse_duration(settings.retrain.lease)
        self._run: runs.Run | None = None
        self._ends: Ends = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._since = 0
        self._wait_until = 0
        self._beat_at = 0
        self._waits = False  # for another worker
        self._settled = False

    def step(self, now: int) -> bool:
        """Do what can be done at ``now`` (epoch ms) without waiting."""
        self._settled = self._settled or (now >= self._wait_until and self._go_on(now))
        return self._settled

    def abandon(self, now: int) -> None:
        """End the training and give the run back at once: the trigger's offset is not committed, so its next reader
        takes it over.
        """
        self._end_child()
        if self._run is not None:
            with contextlib.suppress(StaleState):
                runs.heartbeat(self._engine, self._run, lease_ms=0, now=now)
            self._run = None

    def _go_on(self, now: int) -> bool:
        if self._run is None:
            return self._claim(now)
        if now >= self._beat_at:
            try:
                self._run = runs.heartbeat(self._engine, self._run, lease_ms=self._lease_ms, now=now)
            except StaleState:
                return self._lost(self._run, now)
            self._beat_at = now + self._lease_ms // 3
        if self._child is None:
            self._start_when_joined(self._run, now)
            return False
        return self._look_after(self._run, self._child, now)

    def _claim(self, now: int) -> bool:
        trigger = self.trigger
        with writing(self._engine) as conn:
            known = runs.get(conn, trigger.trigger_id)
            if known is not None and known.status != "running":
                log.info("Trigger %s for %s is settled already (%s).", trigger.trigger_id, trigger.model, known.status)
                return True
            busy = [r for r in runs.history(conn, trigger.model) if r.status == "running" and r.lease_until > now]
            run = None if busy else runs.claim(conn, trigger, owner=self._owner, lease_ms=self._lease_ms, now=now)
        if run is None:
            if not self._waits:
                log.info("A run for %s is under way elsewhere: trigger %s waits.", trigger.model, trigger.trigger_id)
            self._waits = True
            self._wait_until = now + _RETRY_MS
            return False
        again = "" if run.attempt == 1 else f" (attempt {run.attempt}: the last one was not finished)"
        log.info("%s Training a challenger for %s%s.", trigger.sentence, trigger.model, again, extra=_fields(trigger, "claimed"))
        self._run, self._ends, self._since = run, self._event_ends(), now
        self._beat_at = now + self._lease_ms // 3
        if run.attempt > _MOST_ATTEMPTS:
            return self._failed(run, now, f"{_MOST_ATTEMPTS} workers ended before they had done it, as they do where memory is short")
        return False

    def _start_when_joined(self, run: runs.Run, now: int) -> None:
        """Start once the join has read what was published before the claim: which outcomes a run sees must not depend
        on who was quicker.
        """
        behind = _behind(self._engine, self._ends)
        if behind and now - self._since < parse_duration(self._settings.retrain.join_wait):
            self._wait_until = min(now + _RETRY_MS // 5, self._beat_at)
            return
        if behind:
            log.warning("The join has not read %s to where it ended at the claim: training on the outcomes there are.", behind)
        self._since = now
        job = Job(settings=self._settings, trigger=self.trigger, run=run)
        # A session of its own: Ctrl-C is the worker's to handle.
        command = [sys.executable, "-m", "driftline.retrain.job"]
        # OpenMP's threads spin while they wait for one another: beside other busy processes a fit of 2 s took 7 to 12.
        environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr.fileno(), env=environment, start_new_session=True)
        self._child = child
        assert child.stdin is not None  # noqa: S101 - tells mypy what PIPE means
        with contextlib.suppress(BrokenPipeError):  # it ended at once: its exit code says why
            child.stdin.write(msgspec.json.encode(job) + b"\n")
            child.stdin.flush()  # kept open: its end tells the child that we are gone

    def _look_after(self, run: runs.Run, child: subprocess.Popen[bytes], now: int) -> bool:
        code = child.poll()
        if code is None:
            deadline = parse_duration(self._settings.retrain.deadline)
            if now - self._since < deadline:
                return False
            return self._failed(run, now, f"the training took longer than {format_duration(deadline)}")
        if code == 0:
            self._end_child()
            self._tell()
            return True
        if code == EXIT_LOST:
            return self._lost(run, now)
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return self._failed(run, now, f"the training process {how}")

    def _failed(self, run: runs.Run, now: int, reason: str) -> bool:
        self._end_child()
        champion = versions.current(self._engine, self.trigger.model)
        try:
            if champion is None:
                runs.finish(self._engine, run, status="failed", now=now, detail=reason.encode())
            else:
                settle(
                    self._engine,
                    run,
                    champion,
                    Turn("failed", f"The run failed and the champion stays: {reason}."),
                    now=now,
                )
        except StaleState:
            return self._lost(run, now)
        self._tell()
        return True

    def _lost(self, run: runs.Run, now: int) -> bool:
        """The run is not ours to do: our own training has just settled it, or another worker has taken it over."""
        self._end_child()
        known = runs.get(self._engine, run.trigger_id)
        if known is not None and known.attempt == run.attempt and known.status != "running":
            self._tell()
            return True
        log.warning("The run for trigger %s was taken over by another worker.", run.trigger_id, extra=_fields(self.trigger, "lost"))
        self._run, self._wait_until = None, now
        return False

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()

    def _tell(self) -> None:
        run = runs.get(self._engine, self.trigger.trigger_id)
        if run is None:
            return
        try:
            sentence = msgspec.json.decode(run.detail, type=ModelVersion).sentence
        except msgspec.MsgspecError:
            sentence = run.detail.decode(errors="replace")
        log.info("%s, run %s: %s. %s", run.model, run.trigger_id, run.status, sentence, extra=_fields(self.trigger, run.status))


def _behind(engine: Engine, ends: Ends) -> list[tuple[str, int]]:
    """Return the partitions that the join has not read to their end. Its cursor stands after the last record, for good
    where a transaction's marker ends the log, or retention took what was there: that it is at the end it tells detect,
    once it has been for long enough.
    """
    behind = [key for key, end in ends.items() if (join.cursor(engine, *key) or 0) < end]
    if not behind:
        return []
    reached: dict[tuple[str, int], int] = {}
    for told in detection.all_sources(engine):
        key = (told.source, told.partition)
        reached[key] = max(told.position, reached.get(key, 0))
    return [(topic, partition) for topic, partition in behind if reached.get((f"join/{topic}", partition), 0) < ends[topic, partition]]


def _fields(trigger: RetrainTrigger, event: str) -> dict[str, dict[str, str]]:
    return {"fields": {"event": event, "model": trigger.model, "trigger_id": trigger.trigger_id}}
