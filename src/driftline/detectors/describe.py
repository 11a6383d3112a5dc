"""One finding for each column of a window: what a person looks at first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from driftline.contracts.findings import ColumnFinding, Distance, SincePrevious, State
from driftline.contracts.reference import CATEGORICAL_EXTRAS, CategoricalColumn, Column, GridColumn, Reference
from driftline.contracts.summaries import PaneKind
from driftline.detectors.decider import Decider, Span, TermEffect
from driftline.detectors.distinct import estimate_of
from driftline.detectors.layout import Layout
from driftline.detectors.measured import Counts, distances_of, since_previous_of
from driftline.detectors.moments import moments_of

#: Below this many rows a column is not judged: a distance of a hundred rows says more about the hundred than about
#: the column.
MIN_ROWS = 200

_RARE = ("null", "unseen")


def column_findings(
    reference: Reference,
    decider: Decider,
    kind: PaneKind,
    counts: npt.NDArray[np.int64],
    hours: float,
    *,
    min_n: int = MIN_ROWS,
    spans: Sequence[Span] = (),
    distinct: Mapping[str, bytes] | None = None,
    before: npt.NDArray[np.int64] | None = None,
) -> tuple[ColumnFinding, ...]:
    """Return the findings of a window of ``hours`` whose slot counts are given, in the order of the layout; grids
    have none. ``spans`` say when the window was: against a reference with a calendar it is compared with these hours.
    ``distinct`` holds a pane's sketches, ``before`` the slot counts of the window before this one.
    """
    columns = reference.columns_of(kind)
    effects: dict[str, list[TermEffect]] = {}
    for effect in decider.effects(kind, counts, hours, spans):
        effects.setdefault(effect.column, []).append(effect)
    layout = Layout.of(columns)
    told = [column for column in columns if not isinstance(column, GridColumn)]
    slots = {column.name: np.maximum(counts[layout.slice_of(column.name)], 0) for column in told}
    judged = [column for column in told if slots[column.name].sum() >= min_n]
    normal = dict(zip(decider.terms(kind), decider.normal(kind, spans).tolist(), strict=True)) if spans else {}
    expected = [_of_these_hours(c, normal) for c in judged]
    distances = dict(zip((c.name for c in judged), distances_of(expected, [slots[c.name] for c in judged]), strict=True))
    previous = _previous(layout, judged, slots, before, min_n) if before is not None else {}
    found = (_finding(c, slots[c.name], effects.get(c.name, []), distances.get(c.name, {}), min_n, previous.get(c.name)) for c in told)
    return tuple(_with_distinct(finding, column, distinct or {}) for finding, column in zip(found, told, strict=True))


def _previous(
    layout: Layout, judged: Sequence[Column], slots: Mapping[str, Counts], before: Counts, min_n: int
) -> Mapping[str, SincePrevious | None]:
    then = {column.name: np.maximum(before[layout.slice_of(column.name)], 0) for column in judged}
    known = [column for column in judged if then[column.name].sum() >= min_n]
    found = since_previous_of(known, [then[c.name] for c in known], [slots[c.name] for c in known])
    return dict(zip((c.name for c in known), found, strict=True))


def _of_these_hours(column: Column, normal: Mapping[tuple[str, str], float]) -> Column:
    """The reference's column as it would be at hours whose terms have these means: p (1 + sum of mean phi), as far as
    the terms tell (Neyman, 1937); the moments of its 64 bins are kept, and not the bins of each hour.
    """
    moments = moments_of(column)
    means = np.array([normal.get((column.name, term), 0.0) for term in moments.terms])
    if not means.any():
        return column
    counts = np.asarray(column.counts, np.float64)
    # Indicators of one column overlap: each moves its own slots only, and what is left over the others.
    polynomial = ~moments.indicator
    weight = 1 + means[polynomial] @ moments.phi[polynomial]
    for i in np.flatnonzero(moments.indicator & (means != 0)):
        hit = moments.phi[i] > 0
        weight[hit] *= 1 + means[i] * moments.phi[i][hit]
    shifted = counts * np.maximum(weight, 0.0)
    whole = counts.sum() / max(float(shifted.sum()), 1e-300)
    return msgspec.structs.replace(column, counts=tuple(np.rint(shifted * whole).astype(np.int64).tolist()))


def state_of(effects: list[TermEffect], n: int, min_n: int) -> State:
    """Return what a column's effects amount to. An uncalibrated term beyond its tolerance is shown as such and never
    called drift.
    """
    if n < min_n:
        return "insufficient_data"
    if any(effect.calibrated and effect.beyond for effect in effects):
        return "drift"
    # That nulls never wander says nothing about the values.
    about_values = [effect for effect in effects if effect.term not in _RARE] or effects
    if not any(effect.calibrated for effect in about_values) or any(effect.beyond for effect in effects):
        return "uncalibrated"
    return "ok"


def _finding(  # noqa: PLR0917 - one caller's local names
    column: Column, slots: Counts, effects: list[TermEffect], distances: dict[str, Distance], min_n: int, previous: SincePrevious | None
) -> ColumnFinding:
    n = int(slots.sum())
    missing, unseen = shares_of(column, slots)
    state = state_of(effects, n, min_n)
    if state == "insufficient_data":
        return ColumnFinding(column=column.name, state=state, n=n, null_share=missing, unseen_share=unseen)
    top = max((e for e in effects if e.n > 0), key=_prominence, default=None)
    return ColumnFinding(
        column=column.name,
        state=state,
        n=n,
        null_share=missing,
        unseen_share=unseen,
        effect=top.effect if top else None,
        effect_low=top.low if top else None,
        effect_high=top.high if top else None,
        tolerance=top.tolerance if top else None,
        distances=distances,
        since_previous=previous,
    )


def _with_distinct(finding: ColumnFinding, column: Column, sketches: Mapping[str, bytes]) -> ColumnFinding:
    if column.name not in sketches or not isinstance(column, CategoricalColumn) or column.distinct is msgspec.UNSET:
        return finding
    value, low, high = map(round, estimate_of(sketches[column.name]))
    return msgspec.structs.replace(finding, distinct=value, distinct_low=low, distinct_high=high, reference_distinct=column.distinct)


def _prominence(effect: TermEffect) -> tuple[bool, bool, float]:
    """A term that explains the state comes first, then the one that is furthest in terms of its own tolerance."""
    return effect.beyond and effect.calibrated, effect.beyond, abs(effect.effect) / effect.tolerance


def shares_of(column: Column, slots: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return the share of rows without a usable value, and that of values the reference never had (for numbers:
    outside its range).
    """
    n = max(int(slots.sum()), 1)
    if isinstance(column, GridColumn):
        return 0.0, 0.0
    if isinstance(column, CategoricalColumn):
        k = len(column.values)
        extras = dict(zip(CATEGORICAL_EXTRAS, slots[k:], strict=True))
        return float(extras["null"] + extras["wrong_type"]) / n, float(extras["unseen"]) / n
    values = len(column.edges) + 1
    return float(slots[values:].sum()) / n, float(slots[0] + slots[values - 1]) / n
