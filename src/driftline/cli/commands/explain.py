"""``driftline explain``: one column of one model, and why it did or did not alarm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from driftline.cli.arguments import check_model, unknown
from driftline.cli.output import AsJson, print_json, print_line, print_table
from driftline.cli.state import State, state_of
from driftline.contracts.errors import DriftlineError
from driftline.contracts.times import format_time, parse_duration

if TYPE_CHECKING:
    from driftline.cli.explaining import Explanation, Seen, TermStory
    from driftline.contracts.findings import Change
    from driftline.contracts.reference import Reference
    from driftline.contracts.summaries import PaneKind
    from driftline.detectors.whole import Whole
    from driftline.streams.detect.state import Track


#: Changes that are printed; ``--json`` has all that is remembered.
_CHANGES = 5


def explain(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    feature: Annotated[str, typer.Argument(help='A feature, or prediction, score, an outcome such as loss or error, volume, or a pair: "a x b".')],
    *,
    over: Annotated[str, typer.Option("--over", help="Trailing stretch of event time that the effect is measured over.")] = "7d",
    as_json: AsJson = False,
) -> None:
    """Explain one column, the number of events or a pair of columns: effect, evidence, threshold, tolerance, the smallest visible shift, and why it
    did or did not alarm.
    """
    from driftline.cli.beside import beside, last_finding, together
    from driftline.cli.explaining import explain_column, kind_of
    from driftline.detectors.decider import DeciderConfig
    from driftline.detectors.whole import Whole
    from driftline.store import references

    state = state_of(ctx)
    stretch = parse_duration(over, "--over")
    check_model(state.engine, model)
    reference = reference_of(state, model)
    own = state.settings.model(model)
    whole = Whole.of(reference, DeciderConfig.of(own), references.sample_rows(state.engine, reference.reference_id))
    kind = kind_of(reference, feature)
    if kind is None:
        told = _beside_the_columns(state, whole, feature, stretch)
    else:
        told = explain_column(whole, feature, own.alarm_budget, _seen(state, reference, kind, stretch))
    track = _track(state, reference)
    finding = last_finding(state.engine, model, reference.reference_id)
    told = msgspec.structs.replace(
        told, changes=_changes(track, feature), last=beside(finding, feature) if finding is not None else None, together=together(track)
    )
    if as_json:
        print_json(told)
    else:
        _print(told)


def reference_of(state: State, model: str) -> Reference:
    """Return the reference that a model is measured against; DriftlineError while it is learning."""
    from driftline.cli.overview import overview
    from driftline.store import references

    known = {m.model: m for m in overview(state.engine)}[model]
    found = references.get(state.engine, known.reference_id) if known.reference_id is not None else None
    if found is None:
        wanted = state.settings.model(model).learning_rows
        raise DriftlineError(f"{model} is still learning: {known.learning_rows:,} of {wanted:,} rows; without a reference nothing can alarm")
    return found


def _beside_the_columns(state: State, whole: Whole, name: str, stretch: int) -> Explanation:
    """Return the story of the number of events, or of a pair of columns; DriftlineError for any other name."""
    from driftline.cli.explaining_beside import explain_pair, explain_volume, pair_of
    from driftline.cli.observed import observed, sampled
    from driftline.detectors.volume import VOLUME

    reference, table = whole.reference, whole.pairs
    own = state.settings.model(reference.model)
    seen = _seen(state, reference, "features", stretch)
    if name == VOLUME:
        held = observed(state, reference, "features", stretch)
        return explain_volume(whole, own.alarm_budget, seen, held.n if held is not None else 0)
    place = pair_of(table, name)
    if table is None or place is None:
        names = [c.name for c in (*reference.columns, *reference.outcomes) if c.role != "slice"]
        pairs = [] if table is None else [f"pairs of columns such as {' x '.join(table.names(0))!r}"]
        raise unknown(f"column of {reference.model}", name, [*names, VOLUME, *pairs])
    found = sampled(state, reference, stretch)
    seen = replace(seen, hours=found.hours, since=found.since, until=found.until)
    return explain_pair(whole, own.alarm_budget, seen, place, found.rows)


def _seen(state: State, reference: Reference, kind: PaneKind, stretch: int) -> Seen:
    import numpy as np

    from driftline.cli.explaining import Seen
    from driftline.cli.observed import observed
    from driftline.detectors.layout import layout_of
    from driftline.store import episodes

    track = _track(state, reference)
    raw = track.evidence.get(kind) if track else None
    open_one = track.episodes.get(kind) if track else None
    past = [e for e in episodes.history(state.engine, reference.model, limit=1_000) if e.reference_id == reference.reference_id]
    current = next((e for e in past if open_one is not None and e.episode_id == open_one.episode_id), None)
    found = observed(state, reference, kind, stretch)
    if found is None:
        return Seen(np.zeros(layout_of(reference, kind).slots, np.int64), 0.0, None, None, raw, current, past)
    return Seen(found.counts, found.hours, found.since, found.until, raw, current, past, found.spans)


def _changes(track: Track | None, column: str) -> tuple[Change, ...]:
    return tuple(change for change in reversed(track.changes) if change.column == column) if track else ()


def _track(state: State, reference: Reference) -> Track | None:
    from driftline.store import detection
    from driftline.streams.detect.state import decode_state

    raw = detection.stored_states(state.engine, reference.model).get(reference.model)
    return decode_state(raw).tracks.get(reference.reference_id) if raw is not None else None


def _print(told: Explanation) -> None:
    from driftline.cli.beside import beside_sentence, together_sentence
    from driftline.cli.wording import hours_text, visible_texts

    for sentence in told.sentences:
        print_line(sentence)
    for change in told.changes[:_CHANGES]:
        print_line(f"{change.detector} saw a change in the {change.series} of {change.column} at {format_time(change.at)}, outside the budget.")
    if told.last is not None and (sentence := beside_sentence(told.last)):
        print_line(sentence)
    if told.together is not None:
        print_line(together_sentence(told.together))
    print_line()
    print_table(
        ("term", ">n", ">effect", "95 % interval", ">tolerance", ">evidence", "state", "visible in an hour", "in a day", "in a week"),
        (
            (
                t.name,
                f"{t.n:,}",
                "" if t.effect is None else f"{t.effect:+.3f}",
                "" if t.low is None else f"{t.low:+.3f} to {t.high:+.3f}",
                f"{t.tolerance:.3f}",
                hours_text(t.evidence, told.budget),
                _state(t),
                *(" or ".join(visible_texts(t.visible[name])) or "none" if t.visible else "" for name in ("hour", "day", "week")),
            )
            for t in told.terms
        ),
        none="This column has no terms.",
    )
    print_line()
    if told.slices:
        _print_slices(told)
    if told.formula:
        print_line(f"Visible: {told.formula}.")


def _print_slices(told: Explanation) -> None:
    from driftline.cli.wording import hours_text, term_name

    print_table(
        ("slice", ">n", "term", ">effect", "95 % interval", ">tolerance", ">evidence", "state"),
        (
            (
                s.where,
                f"{s.n:,}",
                term_name(s.term) if s.term else "",
                "" if s.effect is None else f"{s.effect:+.3f}",
                "" if s.low is None else f"{s.low:+.3f} to {s.high:+.3f}",
                "" if s.tolerance is None else f"{s.tolerance:.3f}",
                hours_text(s.evidence, told.budget),
                s.state,
            )
            for s in told.slices
        ),
        none="",
    )
    print_line()


def _state(term: TermStory) -> str:
    if not term.calibrated:
        return "uncalibrated"
    if term.low is None or term.high is None:
        return "no rows"
    if term.low > term.tolerance or term.high < -term.tolerance:
        return "beyond"
    return "within" if -term.tolerance < term.low and term.high < term.tolerance else "unsure"
