"""How the year went: what is shown at the end, and whether the loop closed."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from driftline.cli.demo.comparing import show_comparison
from driftline.cli.demo.comparison import Comparison
from driftline.cli.demo.monthly import Figures, Month
from driftline.cli.demo.stage import MODEL, Scene
from driftline.contracts.findings import ModelVersion
from driftline.contracts.times import format_time, parse_duration
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane
from driftline.store import episodes, outcomes, panes, references, reports, triggers, versions
from driftline.store.episodes import Episode
from driftline.store.triggers import TriggerRow

#: How long the last reports may take once the year is over: importing Evidently alone takes seconds.
_REPORT_PATIENCE_S = 90.0


class Result(msgspec.Struct, kw_only=True):
    """Everything the demo found. ``open`` names what keeps the loop from being closed; empty when it is."""

    days: int
    events: int
    labels: int
    lost: int
    seconds: float
    events_per_second: float
    watched_events: int
    joined_labels: int
    months: list[Month]
    episodes: list[Episode]
    triggers: list[TriggerRow]
    turns: list[ModelVersion]
    reports: dict[str, str]
    comparison: Comparison | None = None
    open: list[str] = []


def collect(
    scene: Scene, *, days: int, events: int, labels: int, lost: int, seconds: float, months: list[Month], comparison: Comparison | None = None
) -> Result:
    """Return what the stores hold after the last day."""
    engine = scene.engine
    found = sorted(episodes.history(engine, MODEL, limit=10_000), key=lambda e: (e.opened_at, e.episode_id))
    result = Result(
        days=days,
        events=events,
        labels=labels,
        lost=lost,
        seconds=seconds,
        events_per_second=(events + labels) / seconds,
        watched_events=_watched(engine, parse_duration(scene.settings.model(MODEL).window)),
        joined_labels=_joined(engine, int(scene.flights.event_ms[scene.flights.in_months(3, 12)].min())),
        months=months,
        comparison=comparison,
        episodes=found,
        triggers=sorted(triggers.history(engine, MODEL, limit=10_000), key=lambda row: row.trigger.at),
        turns=versions.history(engine, MODEL),
        reports=_reports(engine, found, scene.settings.reports.enabled),
    )
    result.open = _left_open(result)
    return result


def show(result: Result, console: Console) -> None:
    """Print the result."""
    console.print(_month_table(result.months))
    console.print(_episode_table(result))
    console.print(_trial_table(result))
    if result.comparison is not None:
        show_comparison(result.comparison, console)
    console.print(
        f"{result.events:,} events and {result.labels:,} labels in {result.seconds:.0f} s, {result.events_per_second:,.0f} a second "
        f"(the clock's waits included); {result.watched_events:,} events watched, {result.joined_labels:,} labels joined, {result.lost} lost.",
        highlight=False,
    )
    for problem in result.open:
        console.print(f"The loop did not close: {problem}", style="red", highlight=False)


def _left_open(result: Result) -> list[str]:
    problems = []
    if result.watched_events != result.events:
        problems.append(f"{result.events:,} events were published and {result.watched_events:,} were watched")
    if result.joined_labels != result.labels:
        problems.append(f"{result.labels:,} labels were published and {result.joined_labels:,} were joined")
    if result.lost:
        problems.append(f"{result.lost} events never reached Kafka")
    if not result.episodes:
        problems.append("no episode was opened")
    if not result.triggers:
        problems.append("nothing called for a challenger")
    if result.triggers and not any(turn.trial is not None for turn in result.turns):
        problems.append("no challenger was tried")
    problems += [f"trigger {row.trigger.trigger_id} is {row.status}" for row in result.triggers if row.status in ("open", "failed")]
    return problems


def _watched(engine: Engine, window: int) -> int:
    """Return how many events the windows (ms) hold, late ones included; panes fold into them."""
    held = {r.reference_id: r for r in references.for_model(engine, MODEL)}
    rows = [row for row in panes.panes(engine, MODEL, kind="features", width=window) if row.reference_id in held]
    return sum(Pane.decode(row.payload, layout_of(held[row.reference_id], "features")).n for row in rows)


def _joined(engine: Engine, since: int) -> int:
    """Return how many labels of the watched months are joined; those of the training months were there before."""
    return outcomes.count_ripe(engine, MODEL, since=since, until=panes.FOREVER, known_by=panes.FOREVER)


def _reports(engine: Engine, found: list[Episode], enabled: bool) -> dict[str, str]:  # noqa: FBT001
    """Return the paths of the HTML reports by episode, waiting a while for those that are not made yet."""
    deadline = time.monotonic() + _REPORT_PATIENCE_S
    while enabled and time.monotonic() < deadline and any(reports.get(engine, e.episode_id) is None for e in found):
        time.sleep(0.5)
    made = {e.episode_id: reports.get(engine, e.episode_id) for e in found}
    return {name: report.html or f"failed: {report.reason}" for name, report in made.items() if report is not None}


def _month_table(months: list[Month]) -> Table:
    table = Table(title="AUC / log-loss / Brier: a model that never changes, one retrained every month regardless, and the live champion")
    for heading in ("2013", "flights", "static", "monthly", "live"):
        table.add_column(heading, justify="left" if heading == "2013" else "right")
    for month in months:
        best = min(month.static.log_loss, month.monthly.log_loss, month.live.log_loss)
        cells = (_cell(figures, best) for figures in (month.static, month.monthly, month.live))
        table.add_row(month.label, f"{month.live.n:,}", *cells, end_section=month.label == "Dec")
    return table


def _cell(figures: Figures, best: float) -> str:
    text = f"{figures.auc:.3f} / {figures.log_loss:.4f} / {figures.brier:.4f}"
    return f"[bold]{text}[/bold]" if figures.log_loss <= best else text


def _episode_table(result: Result) -> Table:
    table = Table(title="Episodes")
    for heading in ("opened", "since", "ended", "what", "report"):
        table.add_column(heading, overflow="fold")
    for e in result.episodes:
        ended = f"{format_time(e.resolved_at)[:10]} {e.status}" if e.resolved_at is not None else "open"
        columns = ", ".join(dict.fromkeys(cause.column for cause in e.causes))
        report = result.reports.get(e.episode_id, "")
        table.add_row(format_time(e.opened_at)[:10], format_time(e.onset)[:10], ended, columns, _shown(report))
    return table


def _shown(report: str) -> str:
    """Return a report's path below the folder of the run, which the last line tells."""
    return str(Path(*Path(report).parts[-3:])) if report.startswith("/") else report


def _trial_table(result: Result) -> Table:
    table = Table(title="Triggers and trials")
    for heading in ("at", "reason", "verdict", "why"):
        table.add_column(heading, overflow="fold")
    turns = {turn.trigger_id: turn for turn in result.turns if turn.trigger_id is not None}
    for row in result.triggers:
        turn = turns.get(row.trigger.trigger_id)
        table.add_row(format_time(row.trigger.at)[:10], row.trigger.reason, row.status, turn.sentence if turn is not None else "")
    return table
