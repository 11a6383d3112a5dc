"""``driftline decisions``: what the retraining policy said, yes or no, and why."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import typer

from driftline.cli.arguments import Limit, Since, check_model, moment
from driftline.cli.output import AsJson, print_json, print_table
from driftline.cli.state import state_of
from driftline.contracts.times import format_time


def decisions(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    *,
    since: Since = None,
    limit: Limit = 50,
    changes: Annotated[bool, typer.Option("--changes", help="Only where the deciding rule is another than at the window before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show each answer of the retraining policy with its reason, and what became of each yes; the newest first."""
    import msgspec

    from driftline.store import decisions as stored
    from driftline.store import triggers

    engine = state_of(ctx).engine
    check_model(engine, model)
    became = {t.trigger.trigger_id: t.status for t in triggers.history(engine, model, limit=100_000)}
    found = stored.history(engine, model, since=moment(since), limit=100_000 if changes else limit)
    if changes:
        found = [now for now, before in pairwise([*found, None]) if now is not None and (before is None or now.rule != before.rule)][:limit]
    rows = [(d, became.get(d.trigger_id or "")) for d in found]
    if as_json:
        print_json([{**msgspec.to_builtins(d), "outcome": outcome} for d, outcome in rows])
        return
    print_table(
        ("at", "version", "retrain", "rule", "reason", "became"),
        ((format_time(d.at), d.version, "yes" if d.retrain else "no", d.rule, d.sentence, outcome) for d, outcome in rows),
        none=f"The policy has not decided anything about {model} yet: it does at the end of each window that is ripe.",
    )
