"""``driftline worker reports``: looks for episodes without a report, and makes one at a time.

A report depends on what is stored alone, so that whatever dies on the way, it is simply made again. An episode on which the process itself dies,
again and again, is given up: its attempts are counted beside the files.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from driftline.contracts.settings import Settings
from driftline.detectors.sample import bottom_k
from driftline.reports import files
from driftline.reports.report import Rendered, render, require_evidently
from driftline.reports.rows import table_of
from driftline.reports.sampling import MOST_ROWS, NothingToCompareError, current_rows
from driftline.store import references, reports
from driftline.store.database import check_revision, open_database
from driftline.store.episodes import Episode
from driftline.store.reports import Report

log = logging.getLogger("driftline.reports")

Beat = Callable[[str | None], None]

_POLL_S = 1.0
_RETRY_S = 5.0
_LET_GO_S = 60.0
#: Times that an episode may end the process before it is given up.
_ATTEMPTS = 3
#: The streams go first.
_NICE = 10


class _Stopped(BaseException):
    """A signal came while a report was being made."""


def run_reports(settings: Settings, *, stop: threading.Event | None = None, once: bool = False, beat: Beat = lambda _: None) -> int:
    """Make reports until told to stop (SIGTERM, SIGINT or ``stop``), or those that are wanted now (``once``); return the exit code.

    A signal ends the report under way too: the next worker makes it. ``beat`` is called each time round, with what the worker waits for if it can't
    work.

    Raises:
        SetupError, SchemaOutdated: Evidently is not installed, or the database is not as this program needs it.
    """
    if not settings.reports.enabled:
        log.info("Reports are switched off (reports.enabled is false): nothing to do.")
        return 0
    require_evidently()
    stop = stop or threading.Event()
    engine = open_database(settings.database)
    try:
        check_revision(engine)
        os.nice(_NICE)
        worker = _Worker(engine, settings)
        with _signals(stop, worker):
            worker.run(stop, beat, once=once)
    except _Stopped:
        log.info("Stopped in the middle of a report; the next worker makes it.")
    finally:
        engine.dispose()
    return 0


class _Worker:
    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._folder = Path(settings.reports.folder).resolve()
        #: Whether a signal may break in: only while a report is being computed.
        self.busy = False
        self._look_again = 0.0

    def run(self, stop: threading.Event, beat: Beat, *, once: bool) -> None:
        while not stop.is_set():
            try:
                episodes = reports.wanted(self._engine, limit=1)
                beat(None)
                if episodes:
                    self._report(episodes[0])
                    continue
                self._let_go()
            except OperationalError as error:
                if once:
                    raise
                log.warning("The database does not answer (%s): trying again.", error.orig)
                beat("the database does not answer")
                stop.wait(_RETRY_S)
                continue
            if once:
                return
            stop.wait(_POLL_S)

    def _report(self, episode: Episode) -> None:
        begun = time.monotonic()
        try:
            report = self._judged(episode)
            reports.put(self._engine, report)
        except (_Stopped, OperationalError):
            self._attempts(episode).unlink(missing_ok=True)  # no fault of the episode's
            raise
        self._attempts(episode).unlink(missing_ok=True)
        if report.status == "ready":
            fields = {"event": "reported", "model": episode.model, "episode_id": episode.episode_id}
            took = time.monotonic() - begun
            log.info("Report on episode %s of %s in %.1f s: %s", episode.episode_id, episode.model, took, report.html, extra={"fields": fields})

    def _let_go(self) -> None:
        """Delete what retention left behind: a report goes with its episode. Files elsewhere than in the folder as it is set now are left alone."""
        now = time.monotonic()
        if now < self._look_again:
            return
        over = reports.left_over(self._engine)
        for path in (Path(named) for report in over for named in (report.html, report.json) if named is not None):
            if path.is_relative_to(self._folder):
                path.unlink(missing_ok=True)
        if over:
            reports.forget(self._engine, over)
            log.info("%d reports let go of with their episodes (retention.alerts).", len(over), extra={"fields": {"event": "let-go", "n": len(over)}})
        else:
            self._look_again = now + _LET_GO_S

    def _judged(self, episode: Episode) -> Report:
        try:
            return self._made(episode)
        except OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - one report that can't be made must not keep the others waiting
            reason = str(error) if isinstance(error, NothingToCompareError) else f"{type(error).__name__}: {str(error)[:500]}"
            # What others' errors say may quote a row: the database, which holds rows, has it in full.
            told = reason if isinstance(error, NothingToCompareError) else type(error).__name__
            fields = {"event": "failed", "model": episode.model, "episode_id": episode.episode_id}
            log.warning("No report on episode %s of %s: %s", episode.episode_id, episode.model, told, extra={"fields": fields})
            return Report(episode_id=episode.episode_id, status="failed", made_at=_now(), reason=reason)

    def _made(self, episode: Episode) -> Report:
        page = self._path(episode, ".html")
        page.parent.mkdir(parents=True, exist_ok=True)
        self._attempt(episode)
        self.busy = True
        try:
            rendered = self._rendered(episode)
        finally:
            self.busy = False
        numbers = self._path(episode, ".json")
        files.write(page, rendered.html.encode("utf-8", "replace"))
        files.write(numbers, rendered.json)
        return Report(episode_id=episode.episode_id, status="ready", html=str(page), json=str(numbers), made_at=_now())

    def _rendered(self, episode: Episode) -> Rendered:
        reference = references.get(self._engine, episode.reference_id)
        if reference is None:
            raise NothingToCompareError(f"reference {episode.reference_id} is not in the store")
        before = bottom_k(references.sample_rows(self._engine, episode.reference_id), MOST_ROWS)
        now = current_rows(self._engine, self._settings, episode, reference)
        for rows, whose in ((before, "reference"), (now, "panes since the onset")):
            if not rows:
                raise NothingToCompareError(f"no rows of the {whose} were kept")
        table = table_of(reference, (cause.of or cause.column for cause in episode.causes), before, now)
        return render(episode, table, before=len(before), now=len(now))

    def _attempt(self, episode: Episode) -> None:
        path = self._attempts(episode)
        times = path.stat().st_size if path.exists() else 0
        if times >= _ATTEMPTS:
            raise NothingToCompareError(f"the process ended {times} times while it made this report")
        with path.open("ab") as file:
            file.write(b".")

    def _attempts(self, episode: Episode) -> Path:
        return self._path(episode, ".attempts")

    def _path(self, episode: Episode, suffix: str) -> Path:
        return self._folder / files.path_part(episode.model) / f"{files.path_part(episode.episode_id)}{suffix}"


@contextmanager
def _signals(stop: threading.Event, worker: _Worker) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        if worker.busy:
            worker.busy = False
            raise _Stopped

    former = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _now() -> int:
    return time.time_ns() // 1_000_000
