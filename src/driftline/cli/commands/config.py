"""``driftline config``: is it right, and what is in force."""

from __future__ import annotations

from typing import Annotated

import typer

from driftline.cli.output import AsJson, print_json, print_line
from driftline.cli.state import state_of

config_app = typer.Typer(no_args_is_help=True, help="The settings: check them, show what is in force.")


@config_app.command()
def check(
    ctx: typer.Context,
    *,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of driftline.yaml instead, for editors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Read the settings as every command would, and load the trainers that they name; exit 2 and say what is wrong if anything is."""
    if schema:
        from driftline.contracts.schemas import settings_schema

        print_json(settings_schema())
        return
    from driftline.retrain.checking import check_trainers

    settings = state_of(ctx).settings
    check_trainers(settings)
    if as_json:
        print_json({"ok": True, "models": sorted(settings.models)})
        return
    named = ", ".join(sorted(settings.models)) or "none (models that publish are watched with the defaults)"
    print_line(f"The settings are fine. Models: {named}.")


@config_app.command()
def show(
    ctx: typer.Context,
    *,
    redacted: Annotated[bool, typer.Option("--redacted/--with-secrets", help="Whether passwords are left out.")] = True,
    as_json: AsJson = False,
) -> None:
    """Show the settings in force: file, environment and defaults together."""
    import msgspec

    from driftline.contracts.databases import redacted_url

    settings = state_of(ctx).settings
    shown = msgspec.to_builtins(settings)
    if redacted:  # the broker's password is in a file of its own
        shown["database"] = redacted_url(settings.database)
    if as_json:
        print_json(shown)
        return
    import yaml

    print_line(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).rstrip())
