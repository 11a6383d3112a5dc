"""``driftline db``: the database's schema."""

from __future__ import annotations

import typer

from driftline.cli.output import AsJson, print_json, print_line
from driftline.cli.state import state_of

db_app = typer.Typer(no_args_is_help=True, help="The database: bring its schema up to date, check it.")


@db_app.command()
def upgrade(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Bring the database to this program's revision; make it where there is none."""
    from driftline.cli.database import upgrade as bring_up_to_date
    from driftline.contracts.databases import redacted_url

    url = state_of(ctx).settings.database
    bring_up_to_date(url).dispose()
    _tell(redacted_url(url), as_json=as_json)


@db_app.command()
def check(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Say whether the database is at this program's revision; exit 2 if it is not."""
    from driftline.contracts.databases import redacted_url

    state = state_of(ctx)
    state.engine.dispose()
    _tell(redacted_url(state.settings.database), as_json=as_json)


def _tell(url: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, "database": url})
    else:
        print_line(f"The database {url} is up to date.")
