"""From the decider's terms to the causes that people are told of. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from driftline.alerts.episodes import Episode
from driftline.alerts.ranking import ranked
from driftline.contracts.findings import Cause
from driftline.contracts.pii import rule_of
from driftline.contracts.reference import CategoricalColumn, Column, GridColumn, Reference
from driftline.detectors.decider import TermEffect, Verdict

#: One alert names at most so many columns; the rest is in the findings.
MOST_CAUSES = 12
#: A term that carries less of the evidence than this is company, not a cause.
LEAST_SHARE = 0.02


class Moved(NamedTuple):
    """The causes that an alert names, ranked, and the names of all columns that moved together with them."""

    causes: tuple[Cause, ...]
    columns: tuple[str, ...]


def causes_of(verdict: Verdict, effects: Iterable[TermEffect], importance: Mapping[str, float]) -> Moved:
    """Return the causes of a crossing: the terms that carry the evidence, with their effects since the onset, by importance x effect.

    Besides the carriers, every other column whose effect is surely beyond tolerance moved together with them and is named too, with no share.
    """
    measured = {(e.column, e.term): e for e in effects if e.n}  # without rows an interval is infinite
    chosen: dict[tuple[str, str], Cause] = {}
    for carrier in verdict.carriers:
        effect = measured.get((carrier.column, carrier.term))
        if effect is None or (carrier.share < LEAST_SHARE and chosen):
            continue
        told = _plainest(effect, measured.get((carrier.column, "location")))
        before = chosen.get((told.column, told.term))
        chosen[told.column, told.term] = _cause(
            told, carrier.share + (before.share if before else 0.0), importance, before.onset if before else carrier.onset
        )
    named = {column for column, _ in chosen}
    onset = verdict.onset if verdict.onset is not None else 0
    for effect in _strongest(e for e in measured.values() if e.beyond and e.calibrated and e.weighted and e.column not in named):
        chosen[effect.column, effect.term] = _cause(effect, 0.0, importance, onset)
    return Moved(tuple(ranked(chosen.values())[:MOST_CAUSES]), tuple(sorted({column for column, _ in chosen})))


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
    columns = {c.name: c for c in reference.columns}
    numbered = {(e.column, _numbered(columns[e.column], e.term)): e for e in measured.values() if e.column in columns}
    by_name = {**numbered, **measured}
    own = [_again(cause, by_name[cause.column, cause.term]) for cause in episode.causes if (cause.column, cause.term) in by_name]
    beyond = _strongest(e for e in measured.values() if e.beyond and e.calibrated and e.weighted)
    known = {cause.column for cause in own}.union(episode.moved)
    shares = reference.importance_by_column()
    fresh = ranked(_cause(effect, 0.0, shares, start) for effect in beyond if effect.column not in known)[:MOST_CAUSES]
    shared = (msgspec.structs.replace(cause, share=1.0 / len(fresh)) for cause in fresh)
    return Moved((*own, *shared), tuple(sorted(effect.column for effect in beyond)))


def discreet(causes: Iterable[Cause], reference: Reference, pii: Mapping[str, str]) -> tuple[Cause, ...]:
    """Return the causes without the categories of features that the configuration does not keep; their number in the reference stands for each."""
    hidden = {c.name: c for c in reference.columns if c.role == "feature" and not isinstance(c, GridColumn) and rule_of(pii, c.feature) != "keep"}
    return tuple(msgspec.structs.replace(c, term=_numbered(hidden[c.column], c.term)) if c.column in hidden else c for c in causes)


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
    return _cause(effect, cause.share, {cause.column: cause.importance}, cause.onset)


def _size(effect: TermEffect) -> tuple[float, float]:
    """Return the interval of the effect's size: how far from none at least, and at most."""
    least = 0.0 if effect.low <= 0.0 <= effect.high else min(abs(effect.low), abs(effect.high))
    return least, max(abs(effect.low), abs(effect.high))
