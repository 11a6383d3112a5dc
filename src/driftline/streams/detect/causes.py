"""From the decider's terms to the causes that people are told of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from driftline.alerts.episodes import Episode
from driftline.alerts.ranking import ranked
from driftline.contracts.findings import Cause, ColumnFinding
from driftline.contracts.pii import rule_of
from driftline.contracts.reference import CategoricalColumn, Column, GridColumn, NumericColumn, Reference, Where, where_of
from driftline.contracts.summaries import SampleRow
from driftline.detectors.decider import TermEffect, Verdict
from driftline.detectors.notes import note_of
from driftline.detectors.pane import Pane
from driftline.detectors.units import moved_far
from driftline.streams.detect.families import Told, told_as, wheres_of
from driftline.streams.detect.shares import columns_of, shared, with_share

#: One alert names at most so many columns; the rest is in the findings.
MOST_CAUSES = 12
#: A term that carries less of the evidence than this is company, not a cause.
LEAST_SHARE = 0.02
_NO_SLICES: Mapping[str, Where] = {}
_NO_UNITS: Mapping[str, str] = {}


class Moved(NamedTuple):
    """The causes that an alert names, ranked, and the names of all columns that moved together with them."""

    causes: tuple[Cause, ...]
    columns: tuple[str, ...]


def causes_of(verdict: Verdict, effects: Iterable[TermEffect], importance: Mapping[str, float], wheres: Mapping[str, Where] = _NO_SLICES) -> Moved:
    """Return the causes of a crossing: the terms that carry the evidence, with their effects since the onset, by importance x effect.

    Besides the carriers, every other column whose effect is surely beyond tolerance moved together with them and is named too, with no share.
    A column and its slices (``wheres``) are one story: see ``families``.
    """
    measured = {(e.column, e.term): e for e in effects if e.n}  # without rows an interval is infinite
    heavy = {carrier.column for carrier in verdict.carriers if carrier.share >= LEAST_SHARE}
    told = told_as(measured.values(), heavy, wheres)
    chosen: dict[tuple[str, str], Cause] = {}
    for carrier in verdict.carriers:
        column = told.get(carrier.column, Told(carrier.column, only=False)).column
        effect = measured.get((column, carrier.term)) or (_strongest_of(measured, column) if column != carrier.column else None)
        if effect is None or (carrier.share < LEAST_SHARE and chosen):
            continue
        plain = _plainest(effect, measured.get((column, "location")))
        before = chosen.get((plain.column, plain.term))
        chosen[plain.column, plain.term] = _cause(
            plain, carrier.share + (before.share if before else 0.0), importance, before.onset if before else carrier.onset
        )
    named = {column for column, _ in chosen}
    onset = verdict.onset if verdict.onset is not None else 0
    for effect in _beyond(measured, told):
        if effect.column not in named:
            chosen[effect.column, effect.term] = _cause(effect, 0.0, importance, onset)
    causes = placed(ranked(chosen.values())[:MOST_CAUSES], told, wheres, importance)
    return Moved(tuple(ranked(causes)), tuple(sorted({column for column, _ in chosen})))


def _plainest(effect: TermEffect, location: TermEffect | None) -> TermEffect:
    """Return what people are told of a column that moved: that it is higher or lower, if its location has left tolerance too, else its shape."""
    return location if location is not None and abs(location.effect) > location.tolerance else effect


def plain_causes(effects: Iterable[TermEffect], importance: Mapping[str, float], onset: int) -> tuple[Cause, ...]:
    """Return effects as causes that share the blame, for a decider that has no evidence to share out."""
    found = list(effects)
    return tuple(ranked(_cause(effect, 1.0 / len(found), importance, onset) for effect in found)[:MOST_CAUSES])


def window_causes(episode: Episode, effects: Iterable[TermEffect], reference: Reference, start: int) -> Moved:
    """Return the causes of an open episode as one more window shows them, with the first of the columns that have come beyond tolerance meanwhile;
    and the names of all that are beyond it now.
    """
    measured = {(e.column, e.term): e for e in effects if e.n}
    columns, wheres = {c.name: c for c in reference.columns}, wheres_of(reference)
    numbered = {(e.column, _numbered(columns[e.column], e.term)): e for e in measured.values() if e.column in columns}
    unnamed = {(discreet_name(wheres[name]), term): e for (name, term), e in {**numbered, **measured}.items() if name in wheres}
    by_name = {**unnamed, **numbered, **measured}
    shapes = columns_of(reference, episode.kind)
    again = [(cause, by_name[cause.column, cause.term]) for cause in episode.causes if (cause.column, cause.term) in by_name]
    own = [with_share(_again(cause, effect), shapes.get(effect.column), effect.term) for cause, effect in again]
    shares = reference.importance_by_column()
    told = told_as(measured.values(), (), wheres)
    beyond = _beyond(measured, told)
    known = {cause.column for cause in own}.union(episode.moved)
    # That a column moves in one slice too is no news once it is known to move; that it moves as a whole is, were it known of a slice.
    news = (e for e in beyond if e.column not in known and (e.column not in wheres or wheres[e.column].column not in known))
    fresh = ranked(placed([_cause(effect, 0.0, shares, start) for effect in news], told, wheres, shares))[:MOST_CAUSES]
    alike = (msgspec.structs.replace(cause, share=1.0 / len(fresh)) for cause in shared(fresh, reference, episode.kind))
    return Moved((*own, *alike), tuple(sorted(effect.column for effect in beyond)))


def placed(causes: Iterable[Cause], told: Mapping[str, Told], wheres: Mapping[str, Where], importance: Mapping[str, float]) -> list[Cause]:
    """Return the causes, those that are slices with the column they are of, where, and what that column matters."""
    found = []
    for cause in causes:
        where = wheres.get(cause.column)
        if where is not None:
            share = importance.get(where.column, 0.0)
            only = cause.column in told and told[cause.column].only
            cause = msgspec.structs.replace(  # noqa: PLW2901 - the same cause, told in full
                cause, of=where.column, where=where_text(where), only=only, importance=share, impact=share * cause.effect
            )
        found.append(cause)
    return found


def where_text(where: Where) -> str:
    """Return in words which rows a slice counts."""
    if where.value is None:
        return f"{where.feature} is any other"
    return f"{where.feature} = {where.label.removeprefix(f'{where.feature}=')}"


def _beyond(measured: Mapping[tuple[str, str], TermEffect], told: Mapping[str, Told]) -> list[TermEffect]:
    """Return the strongest effect that is surely beyond tolerance of each column that is told of by its own name."""
    surely = [e for e in measured.values() if e.beyond and e.calibrated and e.weighted]
    return _strongest(e for e in surely if e.column not in told or told[e.column].column == e.column)


def _strongest_of(measured: Mapping[tuple[str, str], TermEffect], column: str) -> TermEffect | None:
    own = [effect for (name, _), effect in measured.items() if name == column]
    return max(own, key=lambda e: (abs(e.effect) / e.tolerance, e.term), default=None)


def discreet(causes: Iterable[Cause], reference: Reference, pii: Mapping[str, str]) -> tuple[Cause, ...]:
    """Return the causes without the categories of features that the configuration does not keep; their number in the reference stands for each."""
    columns = {c.name: c for c in reference.columns}
    wheres = wheres_of(reference)
    return tuple(_discreet(cause, columns, wheres, pii) for cause in causes)


def discreet_findings(columns: Iterable[ColumnFinding], reference: Reference, pii: Mapping[str, str]) -> tuple[ColumnFinding, ...]:
    """Return the findings of columns, those of slices without values that the configuration does not keep."""
    hidden = {name: where for name, where in wheres_of(reference).items() if where.value is not None and rule_of(pii, where.feature) != "keep"}
    return tuple(msgspec.structs.replace(c, column=discreet_name(hidden[c.column])) if c.column in hidden else c for c in columns)


def _discreet(cause: Cause, columns: Mapping[str, Column], wheres: Mapping[str, Where], pii: Mapping[str, str]) -> Cause:
    where, column = wheres.get(cause.column), columns.get(cause.column)
    told = columns.get(where.column) if where is not None else column
    if (
        told is not None
        and column is not None
        and told.role == "feature"
        and not isinstance(told, GridColumn)
        and rule_of(pii, told.feature) != "keep"
    ):
        cause = msgspec.structs.replace(cause, term=_numbered(column, cause.term))
    if where is not None and where.value is not None and rule_of(pii, where.feature) != "keep":
        return msgspec.structs.replace(cause, column=discreet_name(where), where=f"{where.feature} = #{where.number}")
    return cause


def discreet_label(where: Where, pii: Mapping[str, str]) -> str:
    """Return how people are told of a slice under the rules as they are now."""
    return where.label if where.value is None or rule_of(pii, where.feature) == "keep" else f"{where.feature}=#{where.number}"


def discreet_name(where: Where) -> str:
    """Return the name of a slice without its value."""
    return f"{where.column} @ {where.feature}=#{where.number}"


def noted(causes: Iterable[Cause], pane: Pane, pii: Mapping[str, str]) -> tuple[Cause, ...]:
    """Return the causes with what else the rows of ``pane``, which they were measured over, say of each."""
    return tuple(msgspec.structs.replace(cause, note=_note(cause.column, cause.term, pane, pii, pane.sample)) for cause in causes)


def column_notes(
    columns: Iterable[ColumnFinding], pane: Pane, pii: Mapping[str, str], units: Mapping[str, str] = _NO_UNITS
) -> tuple[ColumnFinding, ...]:
    """Return a window's columns, those beyond tolerance with what else its rows say of them; ``units`` is what ``unit_notes`` said at its close."""
    return tuple(msgspec.structs.replace(c, note=units.get(c.column) or _any_note(c.column, pane, pii)) if c.state == "drift" else c for c in columns)


def far_columns(pane: Pane) -> list[str]:
    """Return the columns of numbers that have moved as far as a change of unit moves them, at least."""
    at = pane.layout.offsets
    numbers = (c for c in pane.layout.columns if isinstance(c, NumericColumn))
    return [c.name for c in numbers if moved_far(c, pane.counts[at[c.name] : at[c.name] + c.slots])]


def unit_notes(columns: Iterable[str], pane: Pane, sample: Sequence[SampleRow], pii: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield those of the columns whose values look like another unit's, with what is told of each; ``sample`` are rows of ``pane``."""
    told = ((name, _note(name, "location", pane, pii, sample)) for name in columns)
    return ((name, note) for name, note in told if note)


def _any_note(name: str, pane: Pane, pii: Mapping[str, str]) -> str:
    return next((note for term in ("location", "null", "unseen") if (note := _note(name, term, pane, pii, pane.sample))), "")


def _note(name: str, term: str, pane: Pane, pii: Mapping[str, str], sample: Sequence[SampleRow]) -> str:
    if name not in pane.layout.offsets:  # what is watched beside the columns
        return ""
    column = pane.layout.column(name)
    feature = column.feature
    # The sample holds rows of every slice.
    kept = where_of(column) is None and (column.role != "feature" or rule_of(pii, feature) == "keep")
    total = int(pane.sums[2 * pane.layout.numeric.index(name)]) if name in pane.layout.numeric else 0
    return note_of(column, term, pane.counts[pane.layout.slice_of(name)], sample, kept=kept, total=total)


def _numbered(column: Column, term: str) -> str:
    if not isinstance(column, CategoricalColumn) or not term.startswith("value:"):
        return term
    return f"value #{column.values.index(term.removeprefix('value:')) + 1}"


def _strongest(effects: Iterable[TermEffect]) -> list[TermEffect]:
    """Return the strongest effect of each column, strongest first."""
    best: dict[str, TermEffect] = {}
    for effect in sorted(effects, key=lambda e: (-abs(e.effect), e.column, e.term)):
        best.setdefault(effect.column, effect)
    return list(best.values())


def _cause(effect: TermEffect, share: float, importance: Mapping[str, float], onset: int) -> Cause:
    low, high = _size(effect)
    return Cause(
        column=effect.column,
        term=effect.term,
        direction=effect.direction,
        effect=effect.effect,
        low=low,
        high=high,
        tolerance=effect.tolerance,
        share=share,
        importance=importance.get(effect.column, 0.0),
        onset=onset,
        impact=importance.get(effect.column, 0.0) * effect.effect,
    )


def _again(cause: Cause, effect: TermEffect) -> Cause:
    now = _cause(effect, cause.share, {effect.column: cause.importance}, cause.onset)
    return msgspec.structs.replace(now, column=cause.column, term=cause.term, of=cause.of, where=cause.where, only=cause.only)


def _size(effect: TermEffect) -> tuple[float, float]:
    """Return the interval of the effect's size: how far from none at least, and at most."""
    least = 0.0 if effect.low <= 0.0 <= effect.high else min(abs(effect.low), abs(effect.high))
    return least, max(abs(effect.low), abs(effect.high))
