"""Strategies for hostile values, references and rows; shared by the tests of every room that counts events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from msgspec.structs import replace

from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import CategoricalColumn, Column, GridColumn, NumericColumn, Reference, Task, seal
from driftline.detectors.outcomes import Outcome
from driftline.detectors.rows import Rows
from driftline.detectors.values import MISSING

PANE = 5_000
START = 1_600_000_000_000

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)

#: Whatever JSON can hold, and what its decoders make of it.
hostile = st.one_of(
    st.none(),
    st.just(MISSING),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.sampled_from([1e308, -1e308, 5e-324, -0.0, 2**53, 2**63, -(2**63), 2**64, 10**400, -(10**400)]),
    texts,
    st.sampled_from(["12", "NaN", "1", "true", "a", "b", "rare"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(texts, st.integers(), max_size=1),
)

finite = st.floats(allow_nan=False, allow_infinity=False)
edges = st.lists(finite, max_size=8, unique_by=lambda x: x + 0.0).map(lambda found: tuple(sorted(found)))


@st.composite
def numeric_columns(draw: st.DrawFn, name: str = "x") -> NumericColumn:
    """A numeric column with any edges at all, extreme ones included."""
    found = draw(edges)
    scale = draw(st.floats(min_value=5e-324, allow_infinity=False))
    return NumericColumn(name=name, role="feature", edges=found, center=draw(finite), scale=scale, counts=(1,) * (len(found) + 5))


@st.composite
def categorical_columns(draw: st.DrawFn, name: str = "c") -> CategoricalColumn:
    """A categorical column whose values may look like numbers."""
    known = draw(st.lists(st.one_of(texts, st.sampled_from(["a", "b", "1", "0", "2.5"])), max_size=6, unique=True))
    cut = draw(st.integers(0, len(known)))
    return CategoricalColumn(name=name, role="feature", values=tuple(known[:cut]), other_values=tuple(known[cut:]), counts=(1,) * (cut + 4))


def sealed(columns: Sequence[Column], outcomes: Sequence[Column] = (), task: Task = "classification") -> Reference:
    """A reference made by hand, with nothing calibrated."""
    return seal(
        Reference(
            model="made", version="1", effective_from=0, origin="built", task=task, columns=tuple(columns), outcomes=tuple(outcomes), rows=1,
            span_start=0, span_end=1,
        )
    )  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One event as the stream brings it."""

    event_id: str
    time: int
    late: bool
    version: str
    x: object
    c: object
    prediction: object
    score: float | None
    extra: int


#: Few ids, panes and versions, so that they meet often.
rows = st.builds(
    Row,
    event_id=st.sampled_from([f"event-{i}" for i in range(12)]),
    time=st.integers(START, START + 3 * PANE),
    late=st.booleans(),
    version=st.sampled_from(["1", "2"]),
    x=hostile,
    c=hostile,
    prediction=st.one_of(st.none(), st.booleans(), finite, texts),
    score=st.one_of(st.none(), st.floats(0, 1)),
    extra=st.integers(0, 2),
)


def rows_of(found: Sequence[Row]) -> Rows:
    """The rows in columns."""
    return Rows(
        event_ids=[r.event_id for r in found],
        places=np.array([sample_hash(r.event_id) for r in found], np.int64),
        times=np.array([r.time for r in found], np.int64),
        late=np.array([r.late for r in found], np.bool_),
        versions=[r.version for r in found],
        features={"x": [r.x for r in found], "c": [r.c for r in found]},
        predictions=[r.prediction for r in found],
        scores=[r.score for r in found],
        quality={"extra_fields": np.array([r.extra for r in found], np.int64)},
    )


@st.composite
def references(draw: st.DrawFn) -> Reference:
    """A reference of the rows above: two features, one of which the events may lack, and the model's own columns."""
    columns: list[Column] = [draw(numeric_columns("x")), draw(categorical_columns("c"))]
    if draw(st.booleans()):
        columns.append(draw(numeric_columns("absent")))
    columns.append(replace(draw(categorical_columns("prediction")), role="prediction"))
    columns.append(replace(draw(numeric_columns("score")), role="score"))
    return sealed(columns)


TENTHS = tuple(np.linspace(0, 1, 11).tolist())


def binary_outcomes(score_edges: tuple[float, ...] = TENTHS) -> tuple[Column, ...]:
    """The outcome columns of binary classification."""
    return (
        NumericColumn(name="loss", role="outcome", edges=(0.0, 0.5, 1.0), center=0.5, scale=0.5, counts=(1,) * 8),
        NumericColumn(name="brier", role="outcome", edges=(0.0, 0.1, 0.3), center=0.2, scale=0.2, counts=(1,) * 8),
        CategoricalColumn(name="error", role="outcome", values=("0", "1"), counts=(1,) * 6),
        CategoricalColumn(name="label", role="outcome", values=("0", "1"), counts=(1,) * 6),
        GridColumn(name="score_by_label", role="outcome", edges=score_edges, counts=(1,) * (2 * (len(score_edges) + 1))),
    )


def regression_outcomes() -> tuple[Column, ...]:
    """The outcome columns of regression."""
    return tuple(
        NumericColumn(name=name, role="outcome", edges=(-2.0, 0.0, 2.0), center=0.0, scale=1.0, counts=(1,) * 8)
        for name in ("loss", "error", "absolute_error", "label")
    )


labels = st.one_of(st.booleans(), st.sampled_from([0, 1, 0.0, 1.0, "0", "1", "true", "yes", 7]), st.floats(allow_nan=False))
outcomes = st.builds(
    Outcome,
    event_id=st.sampled_from([f"event-{i}" for i in range(12)]),
    model=st.just("made"),
    version=st.sampled_from(["1", "2"]),
    event_time=st.integers(START, START + 3 * PANE),
    prediction=st.one_of(st.none(), st.booleans(), finite, texts),
    score=st.one_of(st.none(), st.floats()),
    label=labels,
    label_time=st.integers(START, START + 100 * PANE),
)
