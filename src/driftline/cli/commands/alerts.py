"""``driftline alerts``: the episodes, and all that was said of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.arguments import Limit, Model, Since, check_model, moment
from driftline.cli.output import AsJson, print_json, print_line, print_table
from driftline.cli.state import state_of
from driftline.contracts.errors import DriftlineError
from driftline.contracts.times import format_time

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from driftline.store.episodes import Episode

alerts_app = typer.Typer(no_args_is_help=True, help="Episodes of drift: list them, show one.")

_ALL = 100_000


@alerts_app.command("list")
def list_episodes(
    ctx: typer.Context,
    *,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that go on.")] = False,
    model: Model = None,
    since: Since = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List episodes, the newest change first."""
    from driftline.store import episodes

    engine = state_of(ctx).engine
    if model is not None:
        check_model(engine, model)
    found = episodes.history(engine, model, open_only=open_only, since=moment(since), limit=limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("episode", "model", "version", "status", "severity", "since", "changed", "columns", "sentence"),
        (
            (e.episode_id[:12], e.model, e.version, e.status, e.severity, format_time(e.onset), format_time(e.updated_at), _columns(e), e.sentence)
            for e in found
        ),
        none="No episode is open." if open_only else "No episode yet.",
    )


@alerts_app.command()
def show(ctx: typer.Context, episode: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")], *, as_json: AsJson = False) -> None:
    """Show one episode: every alert, its causes, its report."""
    from driftline.cli.beside import beside, last_finding, previous_text
    from driftline.store import episodes, reports

    engine = state_of(ctx).engine
    found = _the_one(engine, episode)
    said = list(reversed(episodes.alerts(engine, episode_id=found.episode_id, limit=1_000)))
    report = reports.get(engine, found.episode_id)
    finding = last_finding(engine, found.model, found.reference_id, found.updated_at + 1)
    window = {c.column: beside(finding, c.column) for c in found.causes} if finding is not None else {}
    if as_json:
        print_json({"episode": found, "alerts": said, "report": report, "window": {name: one for name, one in window.items() if one is not None}})
        return
    print_line(f"Episode {found.episode_id} of {found.model} {found.version}: {found.status}, {found.severity}")
    print_line(f"Evidence {found.evidence:,.3g} h against a budget of {found.budget:,.0f} h; {found.n:,} events; reference {found.reference_id}")
    print_line()
    print_table(
        ("at", "status", ">revision", "sentence"), ((format_time(a.at), a.status, a.revision, a.sentence) for a in said), none="No alert is stored."
    )
    print_line()
    print_table(
        (
            "column",
            "term",
            "direction",
            ">effect",
            "interval of its size",
            ">from",
            ">to",
            ">tolerance",
            ">share",
            ">importance",
            "since",
            "PSI to window before",
        ),
        (
            (
                c.column,
                c.term,
                c.direction,
                f"{c.effect:+.3f}",
                f"{c.low:.3f} to {c.high:.3f}",
                "" if c.share_then is None else f"{c.share_then:.2%}",
                "" if c.share_now is None else f"{c.share_now:.2%}",
                f"{c.tolerance:.3f}",
                f"{c.share:.0%}",
                f"{c.importance:.0%}",
                format_time(c.onset),
                previous_text(one.since_previous) if (one := window.get(c.column)) is not None else "",
            )
            for c in found.causes
        ),
        none="No single column stands out: many small changes together.",
    )
    print_line()
    if report is None:
        print_line("No report yet.")
    else:
        print_line(f"Report: {report.html}" if report.status == "ready" else f"The report failed: {report.reason}")


def _columns(episode: Episode) -> str:
    return ", ".join(dict.fromkeys(cause.column for cause in episode.causes))


def _the_one(engine: Engine, start: str) -> Episode:
    from driftline.store import episodes

    exact = episodes.get(engine, start)
    if exact is not None:
        return exact
    found = [e for e in episodes.history(engine, limit=_ALL) if start and e.episode_id.startswith(start)]
    if len(found) != 1:
        raise DriftlineError(f"{len(found) or 'no'} episodes begin with {start!r}; `driftline alerts list` has them")
    return found[0]
