"""``driftline models``: the champions, and the turns of a model's life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.arguments import unknown
from driftline.cli.output import AsJson, print_json, print_table
from driftline.cli.state import state_of
from driftline.contracts.times import format_time

if TYPE_CHECKING:
    from driftline.contracts.findings import TrialResult

models_app = typer.Typer(no_args_is_help=True, help="The registry: champions, and how they came to be.")


@models_app.command("list")
def list_models(ctx: typer.Context, *, as_json: AsJson = False) -> None:
    """List the models with the version that serves."""
    from driftline.cli.overview import overview
    from driftline.store import versions

    engine = state_of(ctx).engine
    serving = {c.model: c for c in versions.champions(engine)}
    rows = [(m, serving.get(m.model)) for m in overview(engine)]
    if as_json:
        print_json(
            [{"model": m.model, "state": m.state, "reference_id": m.reference_id, "origin": m.reference_origin, "champion": c} for m, c in rows]
        )
        return
    print_table(
        ("model", "champion", ">turn", "since", "state", "reference", "file"),
        (
            (
                m.model,
                c.version if c else "not registered",
                c.sequence if c else "",
                format_time(c.effective_from) if c else "",
                m.state,
                m.reference_origin or "none",
                (c.artifact or "") if c else "",
            )
            for m, c in rows
        ),
        none="No model yet.",
    )


@models_app.command()
def history(ctx: typer.Context, model: Annotated[str, typer.Argument(help="The model.")], *, as_json: AsJson = False) -> None:
    """Show every turn of a model's life: registered, promoted, refused, drift accepted."""
    from driftline.store import versions

    engine = state_of(ctx).engine
    turns = versions.history(engine, model)
    if not turns:
        raise unknown("registered model", model, [c.model for c in versions.champions(engine)])
    if as_json:
        print_json(turns)
        return
    print_table(
        (">turn", "status", "champion", "challenger", "holds from", "trial", "sentence"),
        ((t.sequence, t.status, t.version, t.challenger, format_time(t.effective_from), _trial(t.trial), t.sentence) for t in turns),
        none="",
    )


def _trial(trial: TrialResult | None) -> str:
    return "" if trial is None else f"{trial.metric} better by {trial.difference:+.4f} ({trial.low:+.4f} to {trial.high:+.4f}), n {trial.n:,}"
