"""``driftline detectors``: the sequential detectors, and what each would have cost in false alarms on a model's own reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from driftline.cli.arguments import check_model
from driftline.cli.commands.explain import reference_of
from driftline.cli.output import AsJson, print_json, print_line, print_table
from driftline.cli.state import state_of
from driftline.contracts.times import parse_duration

if TYPE_CHECKING:
    from driftline.detectors.sequential.cost import Cost


def detectors(ctx: typer.Context, model: Annotated[str, typer.Argument(help="The model.")], *, as_json: AsJson = False) -> None:
    """Show what each sequential detector would have cost in false alarms on the model's own reference, beside the budget."""
    from driftline.contracts.settings import budget_hours
    from driftline.detectors.sequential.cost import ALL, cost_of
    from driftline.detectors.sequential.watches import asked_for, watches_of
    from driftline.store import references

    state = state_of(ctx)
    check_model(state.engine, model)
    reference = reference_of(state, model)
    own = state.settings.model(model)
    rows = references.sample_rows(state.engine, reference.reference_id)
    watches = watches_of(reference, (*asked_for(own.detectors, own.deciders), *ALL))
    pane, hours = parse_duration(own.pane), budget_hours(own)
    found = [cost_of(w, reference, rows, pane_ms=pane, per_pane=own.sample_rows_per_pane, hours=hours) for w in watches]
    costs = [cost for cost in found if cost is not None]
    asked = {watch.key for watch in watches_of(reference, asked_for(own.detectors, own.deciders))}
    told = [_row(cost, configured=cost.watch.key in asked) for cost in costs]
    if as_json:
        print_json({"model": model, "reference_id": reference.reference_id, "alarm_budget": own.alarm_budget, "hours": hours, "detectors": told})
        return
    print_table(
        ("detector", "role", "series", "column", ">values", ">rows each", ">flags", ">false alarms in the budget's time", "95 %"),
        (
            (
                t["detector"], t["role"], t["series"], t["column"], f"{t['n']:,}", f"{t['rows_each']:.1f}", str(t["flags"]),
                f"{t['expected']:,.1f}", f"{t['low']:,.1f} to {t['high']:,.1f}",
            )
            for t in told
        ),
        none="The reference has kept no rows that a detector could read.",
    )  # fmt: skip
    print_line()
    print_line(
        f"Flags over the reference's own sample of {len(rows):,} rows, in order of time; nothing was wrong there, so each is a false alarm. "
        f"Extrapolated by values to the {hours:,.0f} hours in which the decider's budget ({own.alarm_budget}) allows one, at the reference's own "
        "rate. Errors are drawn in a random order at the reference's own share."
    )


def _row(cost: Cost, *, configured: bool) -> dict[str, Any]:
    watch = cost.watch
    return {
        "detector": watch.settings.name,
        "role": watch.settings.role if configured else "not used",
        "series": watch.series,
        "column": watch.column,
        "parameters": dict(watch.settings.parameters),
        "n": cost.n,
        "rows_each": cost.rows,
        "flags": cost.flags,
        "live_values": cost.live,
        "expected": cost.expected,
        "low": cost.low,
        "high": cost.high,
    }
