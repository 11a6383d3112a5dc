"""``driftline calibrate``: what a budget means before it goes live."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.arguments import check_model
from driftline.cli.commands.reference import TaskName
from driftline.cli.output import AsJson, print_json, print_line, print_table
from driftline.cli.state import State, state_of
from driftline.contracts.errors import DriftlineError
from driftline.contracts.times import DAY_MS

if TYPE_CHECKING:
    from driftline.cli.calibrating import Calibration
    from driftline.cli.columns import ReferenceRows
    from driftline.contracts.reference import Reference
    from driftline.contracts.summaries import PaneKind, SampleRow

_LATELY = 7 * DAY_MS


def calibrate(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="The model, with --file one that nobody has run yet.")],
    *,
    file: Annotated[Path | None, typer.Option("--file", help="A CSV or Parquet file of rows of a time when all was well, for a reference.")] = None,
    time_column: Annotated[str, typer.Option("--time-column", help="Of the file: event time, ISO 8601 or epoch milliseconds.")] = "event_time",
    task: Annotated[TaskName | None, typer.Option("--task", help="What the model does; without it, as the settings say.")] = None,
    label_column: Annotated[str | None, typer.Option("--label-column", help="Of the file: what really happened.")] = None,
    score_column: Annotated[str | None, typer.Option("--score-column", help="Of the file: the model's score.")] = None,
    prediction_column: Annotated[str | None, typer.Option("--prediction-column", help="Of the file: the model's prediction.")] = None,
    rate: Annotated[
        str | None, typer.Option("--rate", help="Events to expect, such as 500/h; without it, the live rate, or the reference's own.")
    ] = None,
    budget: Annotated[str | None, typer.Option("--budget", help="Try another alarm_budget, such as '1 per 7d'.")] = None,
    tolerance: Annotated[float | None, typer.Option("--tolerance", min=0.0, help="Try another tolerance, in sd.")] = None,
    budgets: Annotated[float, typer.Option("--budgets", min=0.0, help="Null data to replay, in multiples of the budget; 0: none.")] = 20.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draws.")] = 0,
    terms: Annotated[bool, typer.Option("--terms", help="Show every term; without it, the main one of each column.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what an alarm budget means: thresholds, the smallest shift visible in an hour, a day, a week, what is blind and why, and false episodes
    on null data drawn from the reference itself.
    """
    import msgspec

    from driftline.cli.calibrating import calibration_of, plan_for
    from driftline.cli.drawing import from_file, from_reference
    from driftline.contracts.settings import budget_hours
    from driftline.contracts.settings_checks import parse_budget
    from driftline.detectors.decider import DeciderConfig
    from driftline.detectors.whole import Whole
    from driftline.store import references

    state = state_of(ctx)
    own = state.settings.model(model)
    alarm_budget = budget or own.alarm_budget
    hours = parse_budget(budget, "--budget") if budget is not None else budget_hours(own)
    config = replace(DeciderConfig.of(own), budget_hours=hours)
    if tolerance is not None:
        config = replace(config, tolerance=tolerance, tolerances={})
    if file is not None:
        columns = (time_column, label_column, score_column, prediction_column)
        reference, rows, sample = _of_file(state, model, file, columns, task.value if task is not None else own.task)
        whole = Whole.of(reference, config, sample)
        rates, rate_from = _rates(state, reference, rate, live=False)
        drawn = from_file(whole, own, rows, file.name)
    else:
        reference = _stored(state, model)
        sample = references.sample_rows(state.engine, reference.reference_id)
        whole = Whole.of(reference, config, sample)
        rates, rate_from = _rates(state, reference, rate, live=True)
        drawn = from_reference(whole, own, sample, rates["features"])
    told = calibration_of(
        whole, own, alarm_budget, sample=sample, rates=rates, rate_from=rate_from, plan=plan_for(reference, own, hours, budgets),
        drawn=drawn if budgets > 0 else None, seed=seed,
    )  # fmt: skip
    if as_json:
        print_json(msgspec.to_builtins(told))
    else:
        _print(told, every=terms)


def _stored(state: State, model: str) -> Reference:
    from driftline.cli.commands.explain import reference_of

    check_model(state.engine, model)
    return reference_of(state, model)


def _of_file(
    state: State, model: str, file: Path, columns: tuple[str, str | None, str | None, str | None], task: str | None
) -> tuple[Reference, ReferenceRows, list[SampleRow]]:
    """Return the reference of a file, the rows it was made of, and those of them that would be stored with it."""
    from driftline.cli.building import built, published, sample_of
    from driftline.cli.columns import ColumnNames, read_rows
    from driftline.streams.pii import pii_secret

    if task is None:
        if columns[1] is not None:
            raise DriftlineError(f"the settings do not say what {model} does: name it with --task")
        task = TaskName.REGRESSION.value  # without labels nothing depends on it but what a prediction is
    own = state.settings.model(model)
    secret = pii_secret(state.settings)
    rows, _ = published(read_rows(file, ColumnNames(*columns), own.features), own, secret, ())
    reference = built(rows, own, model=model, version="*", task=task, holds_from=max(rows.times) + 1)
    return reference, rows, sample_of(rows, own, secret, reference)


def _rates(state: State, reference: Reference, asked: str | None, *, live: bool) -> tuple[dict[PaneKind, float], str]:
    from driftline.cli.calibrating import rate_of
    from driftline.cli.observed import observed
    from driftline.detectors.preview import own_rates

    usual = own_rates(reference)
    if asked is not None:
        rate = rate_of(asked)
        share = rate / usual["features"] if usual["features"] else 0.0
        return {"features": rate, "outcomes": usual["outcomes"] * share}, "as asked"
    seen = observed(state, reference, "features", _LATELY) if live else None
    if seen is None:
        return usual, "the reference's own"
    labelled = observed(state, reference, "outcomes", _LATELY)
    return {"features": seen.n / seen.hours, "outcomes": labelled.n / labelled.hours if labelled else 0.0}, "of the last seven days"


def _print(told: Calibration, *, every: bool) -> None:
    from driftline.cli.calibrating_words import (
        blind_lines,
        heading_lines,
        pairs_lines,
        pairs_rows,
        realised_lines,
        shown,
        traffic_lines,
        visible_cells,
    )

    for line in heading_lines(told):
        print_line(line)
    print_line()
    print_table(
        ("column", "what", ">weight", ">tolerance", "visible in an hour", "in a day", "in a week"),
        (*((t.column, *visible_cells(t)) for t in shown(told.terms, every=every)), *pairs_rows(told)),
        none="Nothing can alarm: no term is calibrated.",
    )
    print_line()
    for line in (*pairs_lines(told), *traffic_lines(told), *blind_lines(told.terms), *realised_lines(told)):
        print_line(line)
