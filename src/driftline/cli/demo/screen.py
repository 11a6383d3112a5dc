"""What is said while the year goes by: one line for each thing that happens, as the topics tell it."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from driftline.cli.demo.stage import MODEL
from driftline.contracts.findings import Alert, Finding, ModelVersion, RetrainTrigger, State
from driftline.contracts.settings import Settings
from driftline.contracts.times import format_time
from driftline.producers.subscriber import Subscriber

Heard = Finding | Alert | RetrainTrigger | ModelVersion

_MARKS = {"opened": "red", "updated": "yellow", "resolved": "green", "accepted": "cyan", "superseded": "cyan"}


class Screen:
    """Follows alerts, triggers and versions, and shows at the end of each day what was heard of them."""

    def __init__(self, settings: Settings, days: int, console: Console) -> None:
        self.console = console
        self._told_until = 0
        self._findings = 0
        self._state: State | None = None
        self._month = ""
        self._heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        for kind in (Finding, Alert, RetrainTrigger, ModelVersion):
            threading.Thread(target=self._follow, args=(kind, settings), daemon=True, name=f"screen-{kind.__name__}").start()
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("days"), TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task("2013", total=days, rate="")

    def day(self, date: str, published: int, seconds: float) -> None:
        """Show that a day is over, and what it brought."""
        while True:
            try:
                self._show(self._heard.get_nowait())
            except queue.Empty:
                break
        self._progress.update(
            self._task, advance=1, description=date, rate=f"{published:,} events, {published / max(seconds, 1e-9):,.0f}/s, {self._findings} findings"
        )

    def note(self, text: str) -> None:
        """Show a line that comes from no topic."""
        self.console.print(f"  {text}", markup=False, highlight=False)

    def __enter__(self) -> Self:
        """Start the progress bar."""
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove the progress bar."""
        self._progress.stop()

    def _follow(self, kind: type[Any], settings: Settings) -> None:
        kafka = settings.kafka
        subscriber = Subscriber(
            kind, bootstrap_servers=kafka.bootstrap_servers, topic_prefix=kafka.topic_prefix, start="earliest", model=MODEL, latest=True
        )
        for message, *_ in subscriber:
            self._heard.put(message)

    def _show(self, message: Heard) -> None:
        if isinstance(message, Finding):
            self._find(message)
        elif isinstance(message, Alert):
            self._line(message.at, message.status, message.sentence, _MARKS[message.status])
        elif isinstance(message, RetrainTrigger):
            self._line(message.at, "retrain", message.sentence, "magenta")
        else:
            # A refusal leaves the reference, and with it its effective_from, as it was: it is told at the day on which it is heard.
            at = max(message.effective_from, self._told_until)
            self._line(at, message.status, message.sentence, "bold green" if message.status == "champion" else "blue")

    def _find(self, finding: Finding) -> None:
        """Show a window's finding where the state changes, and the first realised performance of each month; two a day would bury the rest."""
        self._findings += 1
        month = format_time(finding.window_start)[:7]
        if finding.performance is not None and month != self._month:
            self._month = month
        elif finding.revision > 1 or finding.state == self._state:
            return
        self._state = finding.state
        self._line(finding.window_end, "finding", finding.sentence, "dim")

    def _line(self, at: int, what: str, sentence: str, style: str) -> None:
        self._told_until = max(self._told_until, at)
        self.console.print(f"{format_time(at)[:16]}  {what:<14}{sentence}", style=style, highlight=False, markup=False, soft_wrap=True)
