"""Whole columns and their slices: which of them an episode names. Pure.

What drifts in one slice moves the whole a little, and what drifts everywhere moves every slice: either way it is one story. It is told of the slices
where these are few and the others stand still, of the whole column where the whole has moved, and else of each slice that has.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
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
    or not.
    """
    sizes: dict[str, float] = {}
    beyond: set[str] = set()
    for effect in effects:
        if effect.calibrated and effect.weighted and effect.n >= _LEAST_ROWS:
            sizes[effect.column] = max(sizes.get(effect.column, 0.0), abs(effect.effect) / effect.tolerance)
            if effect.beyond:
                beyond.add(effect.column)
    families: dict[str, dict[str, list[str]]] = {}
    for name, where in wheres.items():
        families.setdefault(where.column, {}).setdefault(where.feature, []).append(name)
    told: dict[str, Told] = {}
    for whole, by_feature in families.items():
        told |= _family(whole, by_feature, sizes, {name for name in sizes if name in beyond or name in carriers})
    return told


def _family(whole: str, by_feature: Mapping[str, list[str]], sizes: Mapping[str, float], moved: Container[str]) -> dict[str, Told]:
    members = [whole, *(name for names in by_feature.values() for name in names)]
    best: tuple[float, float, list[str]] | None = None
    for names in by_feature.values():
        mine = [name for name in names if name in moved]
        still = [name for name in names if name not in moved and sizes.get(name, 1.0) < 1.0]
        if mine and len(mine) <= len(still):
            found = (len(mine) / len(still), -max(sizes[name] for name in mine), sorted(mine, key=lambda name: -sizes[name]))
            best = found if best is None or found[:2] < best[:2] else best
    if best is not None:
        local = best[2]
        return {name: Told(name if name in local else local[0], only=len(local) == 1) for name in members}
    if sizes.get(whole, 0.0) >= 1.0 or whole in moved:
        return {name: Told(whole, only=False) for name in members}
    return {name: Told(name, only=False) for name in members}
