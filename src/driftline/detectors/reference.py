"""Building a reference: raw rows in, exact counts over fixed bins and what they say about their own wandering out."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from msgspec import UNSET
from msgspec.structs import replace

from driftline.contracts.reference import Column, GridColumn, NumericColumn, Reference, Role, Task, TermCalibration, View, seal
from driftline.contracts.settings import FeatureKind
from driftline.detectors.binning import Ints, slots_of
from driftline.detectors.calendar import Calendar
from driftline.detectors.columns import boolean_column, categorical_column, edges_of, numeric_column
from driftline.detectors.kinds import kind_of
from driftline.detectors.outcomes import outcome_columns
from driftline.detectors.realised import metrics_of
from driftline.detectors.rows import Held, Values
from driftline.detectors.sample import MAX_TEXT
from driftline.detectors.slicing import OF_OUTCOMES, Parent, Slicing, crossed_by, slice_columns, sliced_by
from driftline.detectors.tempering import calibrate_shaped
from driftline.detectors.views import longest_of, viewed
from driftline.detectors.volume import calibrate_volume

#: Names of the model's own columns, with ``model.`` before them where a feature is called the same.
PREDICTION, SCORE = "prediction", "score"

# Which outcome columns are categories; all others are numbers, but for the grid.
_CATEGORICAL: dict[Task, tuple[str, ...]] = {
    "classification": ("error", "label"),
    "multiclass": ("error", "label"),
    "regression": (),
}

#: What is watched of a feature that is no number or category itself.
_VIEWS: dict[FeatureKind, tuple[View, ...]] = {"integer": ("integer",), "text": ("length",), "timestamp": ("age", "hour")}
_LEAST_LOSS_SCALE = 1 / 64
_NO_SLICES = Slicing()
_Slice = tuple[Column, tuple[TermCalibration, ...]]

_Made = tuple[Column, tuple[TermCalibration, ...], Ints]


@dataclass(frozen=True)
class _Shape:
    """How columns are made."""

    bins: int
    max_values: int
    calendar: Calendar

    def column(self, name: str, role: Role, values: Values, kind: FeatureKind, times: Ints) -> _Made:
        column: Column
        if kind == "numeric":
            column, slots = numeric_column(name, role, values, self.bins)
        elif kind == "boolean":
            column, slots = boolean_column(name, role, values)
        else:
            column, slots = categorical_column(name, role, values, self.max_values, times)
        return column, calibrate_shaped(column, slots, times, self.calendar), slots

    def columns(self, feature: str, values: Values, kind: FeatureKind | None, times: Ints, taken: Container[str]) -> list[_Made]:
        """Return the columns of one feature; those that hold something else than its value have names not yet ``taken``."""
        kind = kind or kind_of(values, times)
        if kind not in _VIEWS:
            return [self.column(feature, "feature", values, kind, times)]
        return [self._view(feature, view, values, times, taken) for view in _VIEWS[kind]]

    def _view(self, feature: str, view: View, values: Values, times: Ints, taken: Container[str]) -> _Made:
        name = feature if view == "integer" else f"{view}({feature})"
        while name != feature and name in taken:
            name += "'"
        bare = NumericColumn(name=name, role="feature", edges=(), center=0.0, scale=1.0, counts=(), view=view)
        held: Held = viewed(bare, values, times)
        made, slots = numeric_column(name, "feature", held, self.bins)
        column = replace(made, view=view, source=feature if name != feature else UNSET)
        if view == "length" and (longest := longest_of(held)) == MAX_TEXT:
            column = replace(column, longest=longest)
        return column, calibrate_shaped(column, slots, times, self.calendar), slots


def build_reference(
    *,
    model: str,
    version: str,
    task: Task,
    effective_from: int,
    origin: Literal["built", "learned", "accepted", "challenger"],
    times: Sequence[int] | Ints,
    features: Mapping[str, Values],
    kinds: Mapping[str, FeatureKind] | None = None,
    predictions: Values | None = None,
    scores: Values | None = None,
    labels: Values | None = None,
    scored: npt.NDArray[np.bool_] | None = None,
    label_delays: Sequence[int] | Ints | None = None,
    importance: Mapping[str, float] | None = None,
    max_values: int = 32,
    bins: int = 64,
    max_features: int = 500,
    slicing: Slicing = _NO_SLICES,
    calendar: Calendar = "auto",
    all_events: bool = False,
) -> Reference:
    """Return the sealed reference of ``n`` rows; no value in them can make it fail.

    ``times`` are epoch ms in any order. ``kinds`` are inferred where not given (``kinds.kind_of``). Rows that are
    not ``scored`` count for the features only; a label of None is none yet. ``label_delays`` (ms) are one
    a row (what stands beside a row without a label does not matter), or of a length of their own where nobody knows
    whose they are. Features beyond ``max_features`` are left out. ``slicing`` says which slices are watched
    by themselves. ``calendar``: what the hour of the day or week explains is no drift; ``auto`` where the rows show
    such a cycle. ``all_events``: the rows are all events of their time, so that they tell how many are normal.
    ValueError without rows, or where lengths differ.
    """
    at = np.asarray(times, np.int64)
    _check_lengths(len(at), features, predictions, scores, labels, scored)
    kinds, shape = kinds or {}, _Shape(bins, max_values, calendar)
    own = {name: f"model.{name}" if name in features else name for name in (PREDICTION, SCORE)}
    chosen = [name for name in features if kinds.get(name) != "ignore"][:max_features]
    taken = {*features, PREDICTION, SCORE}
    made = [one for name in chosen for one in shape.columns(name, features[name], kinds.get(name), at, taken)]
    mask = np.ones(len(at), np.bool_) if scored is None else np.asarray(scored, np.bool_)
    when = at[mask]
    said, scores_said = _masked(predictions, mask), _masked(scores, mask)
    if said is not None and any(value is not None for value in said):
        kind: FeatureKind = "numeric" if task == "regression" else "categorical"
        made.append(shape.column(own[PREDICTION], "prediction", said, kind, when))
    if scores_said is not None and any(value is not None for value in scores_said):
        made.append(shape.column(own[SCORE], "score", scores_said, "numeric", when))
    outcomes = _outcomes(task, said, scores_said, _masked(labels, mask), when)
    labelled = np.array([label is not None for label in outcomes.get("label", [None] * len(when))], np.bool_)
    delays = None if label_delays is None else np.asarray(label_delays, np.int64)
    known = delays[mask][labelled] if delays is not None and len(delays) == len(at) else None
    p95 = _delay(delays if known is None else known)
    # A label that takes longer is late when live, and no sequential detector meets it: neither may the reference they
    # compare with.
    prompt = np.flatnonzero(labelled)[slice(None) if known is None or p95 is None else known <= p95]
    tried = [_outcome(task, name, [values[i] for i in prompt], when[prompt], shape) for name, values in outcomes.items()]
    results = [result for result in tried if result is not None]
    shares = _importance(importance or {}, chosen)
    rows, scored_rows = np.arange(len(at)), np.flatnonzero(mask)
    parents = [Parent(column, slots, rows if column.role == "feature" else scored_rows) for column, _, slots in made]
    judged = {name: scored_rows[prompt[[outcomes[name][i] is not None for i in prompt]]] for name in outcomes}
    errors = [Parent(column, slots, judged[column.name]) for column, _, slots in results]
    slices, error_slices = _slices(slicing, {name: features[name] for name in chosen}, shares, parents, errors, at, calendar)
    whole = [*((column, terms) for column, terms, _ in made), *slices]
    judged_by = [*((column, terms) for column, terms, _ in results), *error_slices]
    return seal(
        Reference(
            model=model,
            version=version,
            effective_from=int(effective_from),
            origin=origin,
            task=task,
            columns=tuple(column for column, _ in whole),
            outcomes=tuple(column for column, _ in judged_by),
            rows=len(at),
            labelled_rows=int(labelled.sum()),
            span_start=int(at.min()),
            span_end=int(at.max()),
            terms=(*(term for _, terms in whole for term in terms), *((calibrate_volume(at, calendar),) if all_events else ())),
            outcome_terms=tuple(term for _, terms in judged_by for term in terms),
            label_delay_p95=p95,
            performance=metrics_of(task, {name: [values[i] for i in prompt] for name, values in outcomes.items()}),
            importance=shares,
        )
    )


def _slices(  # noqa: PLR0917 - one caller's local names
    slicing: Slicing,
    features: Mapping[str, Values],
    importance: Mapping[str, float],
    parents: Sequence[Parent],
    errors: Sequence[Parent],
    times: Ints,
    calendar: Calendar,
) -> tuple[list[_Slice], list[_Slice]]:
    """Return the slices of the events' columns, and of the outcomes'."""
    if not slicing.values:
        return [], []
    crossed = crossed_by(slicing, list(features), importance)
    taken, judged = {p.column.name for p in parents}, {p.column.name for p in errors}
    found: tuple[list[_Slice], list[_Slice]] = ([], [])
    for sliced in sliced_by(slicing, features):
        # A feature is always the same in its own slices.
        inside = [p for p in parents if p.column.role != "feature" or (_feature(p) in crossed and _feature(p) != sliced.feature)]
        found[0].extend(slice_columns(sliced, inside, times, taken, calendar))
        if not sliced.hidden:
            found[1].extend(slice_columns(sliced, [p for p in errors if p.column.name in OF_OUTCOMES], times, judged, calendar))
    return found


def _feature(parent: Parent) -> str:
    return parent.column.name if isinstance(parent.column, GridColumn) else parent.column.feature


def _outcome(task: Task, name: str, values: list[object], times: Ints, shape: _Shape) -> _Made | None:
    """One column of outcomes, or None where it is undefined on every row."""
    there = [i for i, value in enumerate(values) if value is not None]
    if not there:
        return None
    present, when = [values[i] for i in there], times[there]
    if task == "classification" and name in ("loss", "brier"):
        # A near-perfect reference has losses of 1e-6: a later collapse, at most 13.8, has to stay far below 1,000 scales.
        column, slots = numeric_column(name, "outcome", present, shape.bins, _LEAST_LOSS_SCALE)
        return column, calibrate_shaped(column, slots, when, shape.calendar), slots
    if name != "score_by_label":
        return shape.column(name, "outcome", present, "categorical" if name in _CATEGORICAL[task] else "numeric", when)
    scores = np.array([pair[0] for pair in present if isinstance(pair, tuple)], np.float64)
    grid = GridColumn(name=name, role="outcome", edges=edges_of(scores, shape.bins), counts=())
    slots = slots_of(grid, present)
    counts = np.bincount(slots, minlength=grid.slots)
    return GridColumn(name=name, role="outcome", edges=grid.edges, counts=tuple(counts.tolist())), (), slots


def _outcomes(task: Task, said: Values | None, scores: Values | None, labels: Values | None, times: Ints) -> dict[str, list[object]]:
    if labels is None:
        return {}
    nothing: list[object] = [None] * len(times)
    return outcome_columns(task, *(nothing if values is None else _listed(values) for values in (said, scores, labels)))


def _listed(values: Values) -> Sequence[object]:
    # NumPy's own scalars are no JSON values.
    listed: Sequence[object] = values.tolist() if isinstance(values, np.ndarray) else values
    return listed


def _masked(values: Values | None, mask: npt.NDArray[np.bool_]) -> Values | None:
    if values is None:
        return None
    return [value for value, kept in zip(_listed(values), mask.tolist(), strict=True) if kept]


def _check_lengths(n: int, features: Mapping[str, Values], *others: Values | npt.NDArray[np.bool_] | None) -> None:
    if n == 0:
        raise ValueError("a reference needs rows")
    for values in (*features.values(), *others):
        if values is not None and len(values) != n:
            raise ValueError(f"{len(values)} values for {n} rows")


def _delay(delays: Ints | None) -> int | None:
    if delays is None or not len(delays):
        return None
    return max(int(np.quantile(delays, 0.95, method="higher")), 0)


def _importance(importance: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """The shares of the columns there are, none negative, scaled down where they sum to more than 1."""
    shares = {name: float(importance[name]) for name in names if name in importance and np.isfinite(importance[name]) and importance[name] > 0}
    total = sum(shares.values())
    return {name: share / max(total, 1.0) for name, share in shares.items()} if np.isfinite(total) else {}
