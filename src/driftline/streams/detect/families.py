"""Whole columns and their slices: which of them an episode names. Pure.

What drifts in one slice moves the whole a little, and what drifts everywhere moves every slice: either way it is one story. It is told of the slices
where these are few and the others stand still, of the whole column where the whole has moved, and else of each slice that has.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

from driftline.contracts.reference import Reference, Where, where_of
from driftline.detectors.decider import TermEffect

#: Fewer rows say neither that a slice moved nor that it did not.
_LEAST_ROWS = 30


class Told(NamedTuple):
    """Under which column's name a column is told of, and whether that slice is the only one where it moved."""

    column: str
    only: bool


def wheres_of(reference: Reference) -> dict[str, Where]:
    """Return which rows each slice of a reference counts, by column."""
    found = {column.name: where_of(column) for column in (*reference.columns, *reference.outcomes)}
    return {name: where for name, where in found.items() if where is not None}


def told_as(effects: Iterable[TermEffect], carriers: Container[str], wheres: Mapping[str, Where]) -> dict[str, Told]:
    """Return how each column that belongs to a family is told of. ``carriers`` are columns that carry much of the evidence: they have moved, surely
    or not, and however few their rows.
    """
    known = [e for e in effects if e.calibrated and e.weighted and (e.n >= _LEAST_ROWS or e.column in carriers)]
    by_column: dict[str, list[TermEffect]] = {}
    for effect in known:
        by_column.setdefault(effect.column, []).append(effect)
    moved = {name for name, own in by_column.items() if name in carriers or any(e.beyond for e in own)}
    families: dict[str, dict[str, list[str]]] = {}
    for name, where in wheres.items():
        families.setdefault(where.column, {}).setdefault(where.feature, []).append(name)
    told: dict[str, Told] = {}
    for whole, by_feature in families.items():
        told |= _family(whole, by_feature, by_column, moved)
    return told


def _family(whole: str, by_feature: Mapping[str, list[str]], by_column: Mapping[str, Sequence[TermEffect]], moved: Container[str]) -> dict[str, Told]:
    members = [whole, *(name for names in by_feature.values() for name in names)]
    best: tuple[float, float, list[str]] | None = None
    for names in by_feature.values():
        mine = sorted((name for name in names if name in moved), key=lambda name: -_size(by_column[name]))
        if not mine:
            continue
        most = max(by_column[mine[0]], key=lambda e: abs(e.effect) / e.tolerance)
        still = [name for name in names if name not in moved and name in by_column and _stands(by_column[name], most)]
        if len(mine) <= len(still):
            found = (len(mine) / len(still), -_size(by_column[mine[0]]), mine)
            best = found if best is None or found[:2] < best[:2] else best
    if best is not None:
        local = best[2]
        return {name: Told(name if name in local else local[0], only=len(local) == 1) for name in members}
    if _size(by_column.get(whole, ())) >= 1.0 or whole in moved:
        return {name: Told(whole, only=False) for name in members}
    return {name: Told(name, only=False) for name in members}


def _size(own: Iterable[TermEffect]) -> float:
    """Return the greatest effect of a column, in tolerances."""
    return max((abs(e.effect) / e.tolerance for e in own), default=0.0)


def _stands(own: Sequence[TermEffect], most: TermEffect) -> bool:
    """Say whether a slice stands still beside one that moved by ``most``: within tolerance, or surely by less. A few rows seem to move by chance."""
    least = min(abs(most.low), abs(most.high)) if most.beyond else 0.0
    return _size(own) < 1.0 or any(max(abs(e.low), abs(e.high)) < least for e in own if e.term == most.term)
