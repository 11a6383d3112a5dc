"""Errors that grow: one episode of outcomes that says so, for classes and for numbers, as a whole or in one slice; and none where nothing changes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.streams.detect.summaries import BLOCK, PANE, T0
from tests.streams.records import Record

from driftline.contracts.findings import Alert
from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference, Task
from driftline.contracts.settings import build_settings
from driftline.contracts.summaries import BlockSummary, Counted, OutcomeDelta, Progress, SummaryMessage, encode_summary
from driftline.detectors.outcomes import Outcome
from driftline.detectors.parts import PartBuilder, counted_parts
from driftline.detectors.reference import build_reference
from driftline.detectors.rows import Rows
from driftline.detectors.slicing import Slicing
from driftline.store import episodes, references
from driftline.store.database import migrate, open_database
from driftline.streams.detect.partition import DetectPartition

PANES, ROWS, SHIFT_AT = 48, 100, 20
SITES = ("north", "south", "west")
SETTINGS = build_settings(
    {"defaults": {"pane": "5s", "window": "30s", "allowed_lateness": "5s", "alarm_budget": "1 per 1h", "label_wait": "10s", "multivariate": "off"}}
)
Columns = dict[str, Any]


def drawn(task: Task, rng: np.random.Generator, n: int, *, worse_at: Sequence[str] = ()) -> Columns:
    """Rows whose labels are what was said of them; at some sites a coin's, or with half as much error again."""
    site = rng.choice(SITES, n)
    worse, x = np.isin(site, worse_at), rng.normal(size=n)
    made: Columns = {"x": x.tolist(), "site": site.tolist(), "prediction": [None] * n, "score": [None] * n}
    if task == "regression":
        return made | {"prediction": x.tolist(), "label": (x + rng.normal(0, np.where(worse, 1.5, 1.0))).tolist()}
    score = rng.beta(1, 3, n)
    return made | {"score": score.tolist(), "label": (rng.random(n) < np.where(worse, 0.5, score)).astype(int).tolist()}


def reference_of(task: Task, *, sliced: bool) -> Reference:
    rows = 4_000
    made = drawn(task, np.random.default_rng(7), rows)
    return build_reference(
        model="m", version="1", task=task, effective_from=0, origin="built", times=np.linspace(T0 - rows * 50, T0 - 1, rows).astype(np.int64),
        features={"x": made["x"], "site": made["site"]}, labels=made["label"], label_delays=np.full(rows, 5_000),
        predictions=made["prediction"] if task == "regression" else None, scores=made["score"] if task == "classification" else None,
        slicing=Slicing({"site": SITES}) if sliced else Slicing(),
    )  # fmt: skip


def records(reference: Reference, worse_at: Sequence[str]) -> list[Record]:
    """A block for each pane, and a delta of its outcomes."""
    rng, told = np.random.default_rng(3), list[SummaryMessage]()
    for pane in range(PANES):
        at, made = T0 + pane * PANE, drawn(reference.task, rng, ROWS, worse_at=worse_at if pane >= SHIFT_AT else ())
        ids = [f"{pane}-{i}" for i in range(ROWS)]
        rows = Rows(
            event_ids=ids, places=np.array([sample_hash(i) for i in ids], np.int64), times=np.full(ROWS, at), late=np.zeros(ROWS, np.bool_),
            versions=["1"] * ROWS, features={"x": made["x"], "site": made["site"]}, predictions=made["prediction"], scores=made["score"],
        )  # fmt: skip
        builder = PartBuilder(PANE, 0, 10, {})
        builder.add(reference, rows)
        start, mark = pane * BLOCK, at + PANE - 1
        counted = Counted(reference.reference_id, at, late=False)
        signed = [
            (_outcome(name, at, said, score, label, site), counted, 1)
            for name, said, score, label, site in zip(ids, made["prediction"], made["score"], made["label"], made["site"], strict=True)
        ]
        told.append(BlockSummary("m", 0, start, start, start + BLOCK, final=True, panes=builder.parts()))
        told.append(OutcomeDelta("m", "label-events", 0, pane + 1, counted_parts({reference.reference_id: reference}, signed)))
        sources = ("summarise", "join/inference-events", "join/label-events")
        told += [Progress(source, 0, 1, start + BLOCK, mark, start, idle=False, newest=mark) for source in sources]
    return [Record(i, encode_summary(message), topic="summaries") for i, message in enumerate(told)]


def _outcome(name: str, at: int, said: float | None, score: float | None, label: float, site: str) -> Outcome:  # noqa: PLR0917 - the columns of a row
    return Outcome(
        event_id=name, model="m", version="1", event_time=at, prediction=said, score=score, label=label, label_time=at + 5_000,
        features={"site": site},
    )  # fmt: skip


def alerts(folder: Path, task: Task, worse_at: Sequence[str], *, sliced: bool = False) -> list[Alert]:
    """Return what was told of the model."""
    reference = reference_of(task, sliced=sliced)
    engine = open_database(f"sqlite:///{folder / 'outcomes'}.db")
    try:
        migrate(engine)
        references.put(engine, reference, [])
        partition, told = DetectPartition(engine, SETTINGS, 0), records(reference, worse_at)
        for first, last in pairwise([*range(0, len(told), 64), len(told)]):
            partition.apply(told[first:last])
        partition.checkpoint()
        return sorted(episodes.alerts(engine, limit=1_000), key=lambda a: a.at)
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    ("task", "columns", "phrase"),
    [
        ("classification", {"loss", "brier", "error"}, "the error rate is higher, from 2"),
        ("regression", {"loss", "absolute_error"}, "loss is higher by "),
    ],
)
def test_errors_that_grow_are_one_episode_that_says_so(task: Task, columns: set[str], phrase: str, tmp_path: Path) -> None:
    opened, *later = alerts(tmp_path, task, SITES)
    assert opened.status == "opened"
    assert {alert.status for alert in later} <= {"updated"}
    assert opened.severity == "critical"
    assert opened.sentence.startswith("The errors of m have grown since ")
    assert columns & {cause.column for cause in opened.causes}
    assert any(phrase in alert.sentence for alert in (opened, *later))
    assert abs(opened.onset - (T0 + SHIFT_AT * PANE)) <= 2 * PANE
    assert opened.opened_at <= T0 + (SHIFT_AT + 8) * PANE


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_errors_in_one_slice_are_told_as_of_it(task: Task, tmp_path: Path) -> None:
    opened, *later = alerts(tmp_path, task, ("north",), sliced=True)
    assert opened.status == "opened"
    assert {alert.status for alert in later} <= {"updated"}
    assert opened.sentence.startswith("The errors of m have grown since ")
    assert "where site = north" in opened.sentence
    assert {cause.where for cause in opened.causes} == {"site = north"}
    assert all(cause.only for cause in opened.causes)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_with_and_without_slices_nothing_is_told_where_nothing_changes(task: Task, tmp_path: Path) -> None:
    assert alerts(tmp_path, task, (), sliced=True) == []
