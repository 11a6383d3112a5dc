"""The comparison in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from driftline.cli.demo.comparison import Comparison, Said

_WAYS = {"adwin": "ADWIN", "evidently": "Evidently, days", "nannyml": "NannyML's rule, days", "driftline": "Driftline"}


def show_comparison(told: Comparison, console: Console) -> None:
    """Print who would have said how much of the same flights."""
    table = Table(title="Alarms, inside the reference (January, February) → March to December, on the same flights")
    table.add_column("feature")
    for name in _WAYS.values():
        table.add_column(name, justify="right")
    table.add_column("Driftline's, with causes", overflow="fold")
    for feature, by_way in told.by_feature.items():
        ours = by_way["driftline"]
        said = "; ".join(f"{date[5:]} {cause}" for date, cause in zip(ours.dates, ours.causes, strict=True))
        table.add_row(feature, *(_cell(by_way.get(way)) for way in _WAYS), said, end_section=feature == list(told.by_feature)[-1])
    table.add_row("all", *(_cell(told.totals[way]) for way in _WAYS), "")
    console.print(table)
    console.print(
        "ADWIN: River's default on standardised values, of numbers. Evidently: its default, day by day. NannyML's rule: mean + 3 sd of the "
        f"reference's own days. Driftline: alerts that newly named the feature, at a budget of one false episode in {told.budget_hours / 24:.0f} "
        f"days ({told.allowed:.0f} in the time) and a tolerance of {told.tolerance:g} sd, against January and February throughout.",
        highlight=False,
    )


def _cell(said: Said | None) -> str:
    return "" if said is None else f"{said.inside:,} → {said.after:,}"
