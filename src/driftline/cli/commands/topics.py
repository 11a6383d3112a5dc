"""``driftline topics``: the topics as they should be, and as they are."""

from __future__ import annotations

from typing import Annotated

import typer

from driftline.cli.output import AsJson, print_json, print_line, print_table, say
from driftline.cli.state import state_of

topics_app = typer.Typer(no_args_is_help=True, help="The topics on the broker: create what is missing, check the rest.")


@topics_app.command()
def create(
    ctx: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made, and make nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create the topics that are missing; exit 2 where one is there with the wrong shape."""
    from driftline.cli.topics import absent_topics, ensure_topics, wanted_topics

    settings = state_of(ctx).settings
    names = [t.name for t in absent_topics(settings)] if dry_run else ensure_topics(settings)
    made = [t for t in wanted_topics(settings.kafka) if t.name in names]
    if as_json:
        print_json({"dry_run": dry_run, "created": made})
        return
    rows = [
        (t.name, t.partitions, t.replication_factor, t.configs["cleanup.policy"], t.configs.get("retention.ms", ""), "to make" if dry_run else "made")
        for t in made
    ]
    print_table(("topic", ">partitions", ">copies", "cleanup", ">retention ms", ""), rows, none="All topics are there already.")


@topics_app.command()
def check(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """Compare the broker's topics with those the settings ask for; exit 2 where the difference gives wrong results."""
    from driftline.cli.topics import check_topics, wanted_topics

    settings = state_of(ctx).settings
    flaws = check_topics(settings)
    if as_json:
        print_json({"ok": True, "flaws": flaws})
        return
    for flaw in flaws:
        say(f"warning: {flaw.sentence}")
    print_line(f"All {len(wanted_topics(settings.kafka))} topics are there, with the right partitions.")
