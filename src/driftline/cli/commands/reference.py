"""``driftline reference``: what models are measured against."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from driftline.cli.arguments import Model, Since, Until, check_model, moment, stretch
from driftline.cli.output import AsJson, print_json, print_line, print_table, say
from driftline.cli.state import State, state_of
from driftline.contracts.errors import SettingsError
from driftline.contracts.times import format_time

if TYPE_CHECKING:
    from driftline.contracts.findings import ModelVersion
    from driftline.contracts.reference import Reference

reference_app = typer.Typer(no_args_is_help=True, help="References: build one from a file or the log, list them, accept a drift as the new normal.")


class TaskName(StrEnum):
    """What a model does."""

    CLASSIFICATION = "classification"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


@reference_app.command()
def build(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="A CSV file with a header, or a Parquet file; none with --from-log.")] = None,
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="The model it is for.")],
    from_log: Annotated[bool, typer.Option("--from-log", help="Of the events in the log, from --since to before --until.")] = False,
    time_column: Annotated[
        str | None, typer.Option("--time-column", help="Of a file: event time, ISO 8601 (UTC without a zone) or epoch milliseconds.")
    ] = None,
    task: Annotated[TaskName | None, typer.Option("--task", help="What the model does; without it, as the settings say.")] = None,
    version: Annotated[
        str, typer.Option("--version", help="The version it holds for (of the log: made of its events alone); * for each without one of its own.")
    ] = "*",
    label_column: Annotated[str | None, typer.Option("--label-column", help="Of a file: what really happened.")] = None,
    score_column: Annotated[str | None, typer.Option("--score-column", help="Of a file: the score, the probability of the positive class.")] = None,
    prediction_column: Annotated[str | None, typer.Option("--prediction-column", help="Of a file: the model's prediction.")] = None,
    feature: Annotated[list[str] | None, typer.Option("--feature", help="A feature; repeat it. Without any, every other column.")] = None,
    since: Since = None,
    until: Until = None,
    most: Annotated[int, typer.Option("--rows", min=1, help="Of the log: most events; of more, an even sample by the hash of their ids.")] = 50_000,
    labels: Annotated[bool, typer.Option("--labels/--no-labels", help="Of the log: with what became of the events, as label-events says.")] = True,
    effective_from: Annotated[
        str | None,
        typer.Option("--effective-from", help="Event time from which it holds; without it, after a file's rows, or after all that has been watched."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build a reference from rows of a time when all was well, and store it.

    Labels and scores should be of rows that the model was not fitted to, else live errors look like drift. Of the log they are: there are the events
    and the labels that live has met, each event once; take a time whose labels have come. A reference of the log holds, if nothing else is said,
    after every event that has been watched by now: what was compared with another one stays so.
    """
    from driftline.cli.building import sample_of
    from driftline.cli.columns import ColumnNames
    from driftline.cli.referring import Build, from_file, from_stream
    from driftline.contracts.errors import DriftlineError
    from driftline.store import references
    from driftline.streams.pii import pii_secret

    state = state_of(ctx)
    own = state.settings.model(model)
    chosen = task.value if task is not None else own.task
    if chosen is None:
        raise DriftlineError(f"the settings do not say what {model} does: name it with --task")
    wanted = Build(model, version, chosen, moment(effective_from, "--effective-from") if effective_from is not None else None, feature or ())
    if from_log:
        _check_apart("a file", {"FILE": file, "--time-column": time_column, "--label-column": label_column})
        _check_apart("a file", {"--score-column": score_column, "--prediction-column": prediction_column})
        rows, reference = from_stream(state, wanted, _stretch(since, until), most=most, labels=labels)
    else:
        _check_apart("--from-log", {"--since": since, "--until": until})
        if file is None or time_column is None:
            raise DriftlineError("a reference is built of FILE with --time-column, or of the log: --from-log with --since and --until")
        rows, reference = from_file(state, wanted, file, ColumnNames(time_column, label_column, score_column, prediction_column, feature or ()))
    new = references.put(state.engine, reference, sample_of(rows, own, pii_secret(state.settings), reference))
    if as_json:
        print_json({"new": new, **_row(reference)})
        return
    columns = ", ".join(c.name for c in (*reference.columns, *reference.outcomes) if c.role != "slice")
    print_line(f"Reference {reference.reference_id} of {model}, {reference.rows:,} rows, {reference.labelled_rows:,} labelled: {columns}.")
    print_line(f"It holds from {format_time(reference.effective_from)}." if new else "It was there already; nothing changed.")
    wandering = _uncalibrated(reference)
    if wandering:
        say(f"note: too short a time for the cycles of {', '.join(wandering)}: shown, but no alarm comes of them")


def _check_apart(goes_with: str, given: Mapping[str, object]) -> None:
    """Raise SettingsError where an option was given that means nothing here."""
    for name, value in given.items():
        if value is not None:
            raise SettingsError(name, str(value), f"nothing: it goes with {goes_with}")


def _stretch(since: str | None, until: str | None) -> tuple[int, int]:
    """Return the event times from and before which events are wanted. Raises SettingsError."""
    for option, text in (("--since", since), ("--until", until)):
        if text is None:
            raise SettingsError(option, None, "with --from-log a date such as 2013-06-01, or RFC 3339 such as 2013-06-01T12:00:00Z")
    return stretch(since, until)


@reference_app.command("list")
def list_references(ctx: typer.Context, *, model: Model = None, as_json: AsJson = False) -> None:
    """List the references, by model and the event time from which they hold."""
    from driftline.store import references, versions

    engine = state_of(ctx).engine
    if model is not None:
        check_model(engine, model)
    names = [model] if model is not None else references.models(engine)
    found = [r for name in names for r in references.for_model(engine, name)]
    serving = {c.reference_id for c in versions.champions(engine)}
    if as_json:
        print_json([{**_row(r), "serving": r.reference_id in serving} for r in found])
        return
    print_table(
        ("reference", "model", "version", "origin", "holds from", ">rows", ">labelled", "span", ">columns", ">uncalibrated", ""),
        (
            (
                r.reference_id[:12],
                r.model,
                r.version,
                r.origin,
                format_time(r.effective_from),
                f"{r.rows:,}",
                f"{r.labelled_rows:,}",
                f"{format_time(r.span_start)} to {format_time(r.span_end)}",
                len(r.columns) + len(r.outcomes),
                len(_uncalibrated(r)),
                "in use" if r.reference_id in serving else "",
            )
            for r in found
        ),
        none="No reference yet: models learn theirs from their first events, or `driftline reference build`.",
    )


@reference_app.command()
def show(ctx: typer.Context, reference: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")], *, as_json: AsJson = False) -> None:
    """Show one reference: what it was made of, since when it holds, and its hash."""
    from driftline.cli.referred import found_reference, hash_of

    engine = state_of(ctx).engine
    chosen = found_reference(engine, reference)
    row = {**_row(chosen), "hash": hash_of(engine, chosen.reference_id), "label_delay_p95": chosen.label_delay_p95, "importance": chosen.importance}
    if as_json:
        print_json(row)
        return
    print_line(f"Reference {chosen.reference_id} of {chosen.model}, version {chosen.version}: {chosen.origin}, {chosen.task}.")
    print_line(f"It holds from {format_time(chosen.effective_from)}; made of {chosen.rows:,} rows, {chosen.labelled_rows:,} labelled,")
    print_line(f"of {format_time(chosen.span_start)} to {format_time(chosen.span_end)}.")
    print_line(f"Columns: {', '.join(c.name for c in (*chosen.columns, *chosen.outcomes))}.")
    print_line("Its hash is its id." if row["hash"] == chosen.reference_id else f"CHANGED: the hash of what is stored is {row['hash']}.")


@reference_app.command()
def verify(ctx: typer.Context, *, model: Model = None, as_json: AsJson = False) -> None:
    """Recompute the hash of each stored reference: exit code 1 where one is not what its id says."""
    from driftline.cli.referred import verified

    state = state_of(ctx)
    if model is not None:
        check_model(state.engine, model)
    found = verified(state.engine, model)
    wrong = [one for one in found if one.flaw]
    if as_json:
        print_json(found)
    else:
        for one in wrong:
            print_line(f"{one.reference_id} of {one.model}: {one.flaw}")
        print_line(f"{len(found) - len(wrong):,} of {len(found):,} references are what their ids say.")
    if wrong:
        raise typer.Exit(1)


@reference_app.command()
def accept(ctx: typer.Context, model: Annotated[str, typer.Argument(help="The model.")], *, as_json: AsJson = False) -> None:
    """Accept a drift: from now on the champion is measured against the recent weeks. Audited as a turn of the model's life."""
    from driftline.retrain.accepting import accept_drift

    state = state_of(ctx)
    version = accept_drift(state.engine, state.settings, model)
    _publish(state)
    if as_json:
        print_json(version)
        return
    _tell(version)


def _tell(version: ModelVersion) -> None:
    print_line(version.sentence)
    print_line(f"Turn {version.sequence} of {version.model}: reference {version.reference_id} holds from {format_time(version.effective_from)}.")


def _publish(state: State) -> None:
    """Publish the turn; where the broker is away, a retrain worker will."""
    from kafka.errors import KafkaError

    from driftline.cli.connection import check_listening
    from driftline.contracts.errors import SetupError
    from driftline.retrain.publishing import publish_turns

    try:
        check_listening(state.settings.kafka)
        publish_turns(state.engine, state.settings.kafka)
    except (SetupError, KafkaError) as error:
        say(f"note: it is not published yet ({error}); the retrain worker will do so")


def _uncalibrated(reference: Reference) -> list[str]:
    """Return the columns none of whose terms about values is calibrated."""
    fine = {t.column for t in (*reference.terms, *reference.outcome_terms) if t.calibrated and t.term not in ("null", "unseen")}
    known = dict.fromkeys(t.column for t in (*reference.terms, *reference.outcome_terms))
    return [name for name in known if name not in fine]


def _row(reference: Reference) -> dict[str, object]:
    return {
        "reference_id": reference.reference_id,
        "model": reference.model,
        "version": reference.version,
        "task": reference.task,
        "origin": reference.origin,
        "effective_from": reference.effective_from,
        "rows": reference.rows,
        "labelled_rows": reference.labelled_rows,
        "span_start": reference.span_start,
        "span_end": reference.span_end,
        "columns": [c.name for c in reference.columns],
        "outcomes": [c.name for c in reference.outcomes],
        "uncalibrated": _uncalibrated(reference),
        "performance": reference.performance,
    }
