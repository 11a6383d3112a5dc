"""The comparison in words: its cells, what each way of watching is, and the table in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from driftline.cli.demo.comparison import Comparison, Said

TITLE = "Alarms, inside the reference (January, February) → March to December, on the same flights"
WAYS = {"adwin": "ADWIN", "evidently": "Evidently, days", "nannyml": "NannyML's rule, days", "driftline": "Driftline"}


def show_comparison(told: Comparison, console: Console) -> None:
    """Print who would have said how much of the same flights."""
    table = Table(title=TITLE)
    table.add_column("feature")
    for name in WAYS.values():
        table.add_column(name, justify="right")
    table.add_column("Driftline's, with causes", overflow="fold")
    rows = rows_of(told)
    for i, (feature, cells, said) in enumerate(rows):
        table.add_row(feature, *(cell.replace(" (", "\n(") for cell in cells), said, end_section=i == len(rows) - 2)
    console.print(table)
    for sentence in words_of(told):
        console.print(sentence, highlight=False)


def rows_of(told: Comparison) -> list[tuple[str, list[str], str]]:
    """Return for each feature, and for all of them, a cell for each way of watching, and when ours newly named it for what."""
    rows = []
    for feature, by_way in told.by_feature.items():
        ours = by_way["driftline"]
        said = "; ".join(f"{date[5:]} {cause}" for date, cause in zip(ours.dates, ours.causes, strict=True))
        rows.append((feature, [_cell(by_way.get(way)) for way in WAYS], said))
    return [*rows, ("all", [_cell(told.totals[way]) for way in WAYS], "")]


def words_of(told: Comparison) -> tuple[str, ...]:
    """Return what each way of watching is."""
    return (
        "In brackets the first and the last day with an alarm after the reference.",
        "ADWIN: River's default on standardised values, of numbers.",
        "Evidently: its default, day by day.",
        "NannyML's rule: mean + 3 sd of the reference's own days.",
        (
            "Driftline: alerts that newly named the feature, against January and February throughout, at a budget of one false episode in "
            f"{told.budget_hours / 24:.0f} days ({told.allowed:.0f} in the time) over all features, the traffic and {told.watched_pairs} pairs of "
            f"features together, and a tolerance of {told.tolerance:g} sd."
        ),
    )


def _cell(said: Said | None) -> str:
    if said is None:
        return ""
    days = list(dict.fromkeys((said.dates[0][5:], said.dates[-1][5:]))) if said.dates else []
    return f"{said.inside:,} → {said.after:,}" + (f" ({' to '.join(days)})" if days else "")
