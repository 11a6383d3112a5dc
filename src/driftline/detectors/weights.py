"""How the attention of one budget is divided: over columns, a column's terms, a term's bets. Where there is more, evidence has less far to go.

Whatever the division, all of it together is one budget: it moves delay from one change to another, and no false alarm is added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from driftline.contracts.reference import CategoricalColumn, Column, Reference, where_of
from driftline.contracts.summaries import PaneKind
from driftline.detectors.extras import Extra
from driftline.detectors.moments import Floats, moments_of

if TYPE_CHECKING:
    from driftline.detectors.terms import DeciderConfig

#: What of the budget all slices have together: one in four false alarms may be a slice's.
SLICE_SHARE: Final = 0.25
KINDS: Final[tuple[PaneKind, ...]] = ("features", "outcomes")
#: How a column's weight is split over its terms: what happens most, and matters most when it does, waits least.
TERM_WEIGHTS: Final = {"location": 4.0, "scale": 2.0}
#: The values of a category have so much together, were they only two, as a number's location has; each 1 where they are more.
VALUES_WEIGHT: Final = 4.0
#: The columns of outcomes that say how good the model is have as much as so many others, together: it is for them that one watches.
PERFORMANCE: Final = frozenset({"loss", "brier", "error", "absolute_error"})
PERFORMANCE_WEIGHT: Final = 4.0
#: A model that has become worse is looked for with so many times the attention that one has which has become better.
WORSE: Final = 3.0
# Which way a term of such a column goes then; the error of a regression has a sign, and no way that is worse.
_WORSE_WAY: Final = {"value:1": 1.0, "value:0": -1.0}
_WORSE_MEAN: Final = PERFORMANCE - {"error"}


def shares(reference: Reference, config: DeciderConfig, extras: Sequence[Extra]) -> tuple[dict[tuple[PaneKind, str, str], float], dict[str, float]]:
    """Return the weight of each calibrated term and, by name, of each extra: a column's weight is split over its
    terms, and all sum to 1. Slices have ``SLICE_SHARE`` of it together, however many they are.
    """
    weights: dict[tuple[PaneKind, str, str], float] = {}
    importance = reference.importance_by_column()
    for kind in KINDS:
        calibrations = reference.calibrations_of(kind)
        for column in reference.columns_of(kind):
            terms = [t for t in moments_of(column).terms if (entry := calibrations.get((column.name, t))) is not None and entry.calibrated]
            weight = _weight(reference, importance, config, column)
            parts = {term: _part(column, term) for term in terms}
            weights |= {(kind, column.name, term): weight * part / sum(parts.values()) for term, part in parts.items()}
    beside = {extra.name: max(extra.weight * config.weights.get(extra.column, 1.0), 0.0) for extra in extras}
    sliced = {column.name for kind in KINDS for column in reference.columns_of(kind) if where_of(column) is not None}
    slices = sum(weight for key, weight in weights.items() if key[1] in sliced)
    whole = sum(weights.values()) - slices + sum(beside.values()) if slices else sum(weights.values()) + sum(beside.values())
    if whole <= 0 and slices <= 0:
        return {}, dict.fromkeys(beside, 0.0)
    part = 0.0 if slices <= 0 else 1.0 if whole <= 0 else SLICE_SHARE
    per_slice, per_whole = part / max(slices, 1e-300), (1 - part) / max(whole, 1e-300)
    return (
        {key: weight * (per_slice if key[1] in sliced else per_whole) for key, weight in weights.items()},
        {name: weight * per_whole for name, weight in beside.items()},
    )


def _weight(reference: Reference, importance: Mapping[str, float], config: DeciderConfig, column: Column) -> float:
    own = told_of(config.weights, column)
    if own is not None:
        return max(own, 0.0)
    if _of_performance(column):
        return max(PERFORMANCE_WEIGHT / sum(map(_of_performance, reference.outcomes)), 1.0)
    if config.weighting == "equal" or not importance or column.role != "feature":
        return 1.0
    features = sum(c.role == "feature" for c in reference.columns)
    return 0.5 + 0.5 * features * importance.get(column.name, 0.0) / sum(importance.values())


def told_of(by_name: Mapping[str, float], column: Column) -> float | None:
    """Return what the user says of a column: by its own name, of a slice by that of the whole column, or by that of the feature it is made of."""
    where, feature = where_of(column), column.feature
    return by_name.get(column.name, by_name.get(feature if where is None else where.column, by_name.get(feature)))


def _of_performance(column: Column) -> bool:
    """Say whether a column tells how good the model is. Its slices are not meant: all slices have their share together, alike."""
    return column.role == "outcome" and column.feature in PERFORMANCE


def _part(column: Column, term: str) -> float:
    if isinstance(column, CategoricalColumn) and term.startswith("value:"):
        return max(VALUES_WEIGHT / sum(other.startswith("value:") for other in moments_of(column).terms), 1.0)
    return TERM_WEIGHTS.get(term, 1.0)


def preferred_bets(column: Column, terms: Sequence[str], theta: Floats) -> Floats:
    """Return how a term's weight is to be split over its bets, of the shape (terms, bets) and in proportion: 0 for those that can't be made."""
    preferred: Floats = (theta != 0).astype(np.float64)
    if not _of_performance(column):
        return preferred
    way = _WORSE_WAY | {"location": 1.0 if column.feature in _WORSE_MEAN else 0.0}
    worse = theta * np.array([way.get(term, 0.0) for term in terms])[:, None] > 0
    preferred[worse] *= WORSE
    return preferred
