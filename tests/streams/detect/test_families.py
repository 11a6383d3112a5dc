"""A drift in one slice is told of that slice, a drift everywhere of the column, once: a column and its slices are one story."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.streams.detect.summaries import BLOCK, PANE, T0
from tests.streams.records import Record

from driftline.contracts.findings import Alert, Finding, decode_json
from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference, Where
from driftline.contracts.settings import build_settings
from driftline.contracts.summaries import BlockSummary, Progress, encode_summary
from driftline.contracts.topics import ALERTS, DRIFT_FINDINGS
from driftline.detectors.decider import TermEffect
from driftline.detectors.parts import PartBuilder
from driftline.detectors.reference import build_reference
from driftline.detectors.rows import Rows
from driftline.detectors.slicing import Slicing
from driftline.store import outbox, references
from driftline.store.database import migrate, open_database
from driftline.streams.detect.families import Told, told_as
from driftline.streams.detect.partition import DetectPartition

CARRIERS, SHARES = ["UA", "AA", "DL", "WN", "B6"], [0.3, 0.3, 0.2, 0.1, 0.1]
PANES, ROWS, SHIFT_AT = 48, 100, 14
Floats = npt.NDArray[np.float64]
Shift = Callable[[npt.NDArray[np.str_]], Floats]


@cache
def _reference(*, hidden: bool = False) -> Reference:
    rng, rows = np.random.default_rng(7), 6_000
    slicing = Slicing({"carrier": ("UA", "AA", "DL")}, hidden=frozenset({"carrier"}) if hidden else ())
    return build_reference(
        model="m", version="1", task="regression", effective_from=0, origin="built", slicing=slicing, importance={"distance": 0.5},
        times=np.linspace(T0 - rows * 50, T0 - 1, rows).astype(np.int64),
        features={"distance": rng.normal(size=rows), "wind": rng.normal(size=rows), "carrier": rng.choice(CARRIERS, rows, p=SHARES).tolist()},
    )  # fmt: skip


def _records(reference: Reference, shift: Shift) -> list[Record]:
    rng, told = np.random.default_rng(1), []
    for pane in range(PANES):
        at = T0 + pane * PANE
        carrier = rng.choice(CARRIERS, ROWS, p=SHARES)
        ids = [f"{pane}-{i}" for i in range(ROWS)]
        rows = Rows(
            event_ids=ids, places=np.array([sample_hash(i) for i in ids], np.int64), times=np.full(ROWS, at), late=np.zeros(ROWS, np.bool_),
            versions=["1"] * ROWS, predictions=[None] * ROWS, scores=[None] * ROWS,
            features={"distance": rng.normal(size=ROWS) + (shift(carrier) if pane >= SHIFT_AT else 0.0), "wind": rng.normal(size=ROWS),
                      "carrier": carrier.tolist()},
        )  # fmt: skip
        builder = PartBuilder(PANE, 0, 10, {})
        builder.add(reference, rows)
        start, mark = pane * BLOCK, at + PANE - 1
        told.append(encode_summary(BlockSummary("m", 0, start, start, start + BLOCK, final=True, panes=builder.parts())))
        sources = ("summarise", "join/inference-events", "join/label-events")
        told += [encode_summary(Progress(source, 0, 1, start + BLOCK, mark, start, idle=False, newest=mark)) for source in sources]
    return [Record(i, value, topic="summaries") for i, value in enumerate(told)]


def _said(folder: Path, reference: Reference, shift: Shift, pii: dict[str, str] | None = None) -> tuple[list[Alert], list[Finding], bytes]:
    engine = open_database(f"sqlite:///{folder / 'slices'}.db")
    try:
        migrate(engine)
        references.put(engine, reference, [])
        model = {"pane": "5s", "window": "30s", "allowed_lateness": "1s", "alarm_budget": "1 per 1h", "pii": pii or {}}
        partition = DetectPartition(engine, build_settings({"defaults": model}), 0)
        partition.apply(_records(reference, shift))
        partition.checkpoint()
        rows = outbox.pending(engine, partition.owner, limit=10_000)
    finally:
        engine.dispose()
    alerts = [decode_json(row.value, Alert) for row in rows if row.topic == ALERTS.name]
    found = [decode_json(row.value, Finding) for row in rows if row.topic == DRIFT_FINDINGS.name]
    return alerts, found, b"".join(row.value for row in rows)


def test_a_drift_in_one_slice_names_it(tmp_path: Path) -> None:
    alerts, found, _ = _said(tmp_path, _reference(), lambda carrier: np.where(carrier == "UA", 1.5, 0.0))
    opened = alerts[0]
    assert [alert.status for alert in alerts] == ["opened"]
    assert [(c.of, c.where, c.only) for c in opened.causes] == [("distance", "carrier = UA", True)]
    assert "distance is higher by " in opened.sentence
    assert ") only where carrier = UA, seen in" in opened.sentence
    assert opened.causes[0].importance == pytest.approx(0.5)
    assert opened.severity == "warning"
    assert opened.moved == 1
    last = {column.column: column for column in found[-1].columns}
    assert last["distance @ carrier=UA"].state == "insufficient_data" or last["distance @ carrier=UA"].state == "drift"
    assert abs(last["wind @ carrier=UA"].effect or 0.0) < 0.5


def test_a_drift_everywhere_names_the_column_and_no_slice(tmp_path: Path) -> None:
    alerts, _, _ = _said(tmp_path, _reference(), lambda carrier: np.ones(len(carrier)))
    assert [alert.status for alert in alerts] == ["opened"]
    assert [(c.column, c.where) for c in alerts[0].causes] == [("distance", "")]
    assert alerts[0].moved == 1


def test_a_drift_of_all_others_is_told_so(tmp_path: Path) -> None:
    alerts, _, _ = _said(tmp_path, _reference(), lambda carrier: np.where(np.isin(carrier, ["WN", "B6"]), -2.0, 0.0))
    assert "distance is lower by" in alerts[0].sentence
    assert "only where carrier is any other" in alerts[0].sentence


@pytest.mark.parametrize("when_built", [True, False])
def test_a_value_that_is_not_kept_is_never_named(tmp_path: Path, when_built: bool) -> None:
    alerts, _, raw = _said(tmp_path, _reference(hidden=when_built), lambda c: np.where(c == "UA", 1.5, 0.0), {"carrier": "drop"})
    assert "only where carrier = #1" in alerts[0].sentence
    assert b"UA" not in raw


WHERES = {f"x @ c={v}": Where(column="x", feature="c", value=v, number=i + 1, label=f"c={v}") for i, v in enumerate("abcd")}


def _effect(column: str, size: float, *, sure: bool = True) -> TermEffect:
    low = size - (0.1 if sure else 2.0)
    return TermEffect("features", column, "location", size, low, size + 0.1, 0.2, 1_000, calibrated=True, direction="up")


@pytest.mark.parametrize(
    ("whole", "slices", "named"),
    [
        (0.1, [1.0, 0.0, 0.0, 0.0], {"x @ c=a"}),
        (0.5, [1.0, 0.0, 0.0, 0.0], {"x @ c=a"}),  # a slice large enough to move the whole is still the only one that moved
        (0.5, [1.0, 1.0, 0.0, 0.0], {"x @ c=a", "x @ c=b"}),
        (0.8, [1.0, 1.0, 1.0, 0.0], {"x"}),
        (1.0, [1.0, 1.0, 1.0, 1.0], {"x"}),
        (1.0, [0.0, 0.0, 0.0, 0.0], {"x"}),
        (0.0, [1.0, -1.0, 1.0, -1.0], set(WHERES)),  # the whole stands still, each of its slices has gone somewhere
    ],
)
def test_which_of_a_column_and_its_slices_are_named(whole: float, slices: list[float], named: set[str]) -> None:
    effects = [_effect("x", whole), *(_effect(name, size) for name, size in zip(WHERES, slices, strict=True))]
    told = told_as(effects, (), WHERES)
    moved = {e.column for e in effects if e.beyond or abs(e.effect) > 0.3}
    assert {told[name].column for name in moved} == named
    assert all(t.only == (len(named) == 1 and t.column != "x") for name, t in told.items() if name in moved)


def test_slices_that_may_have_moved_do_not_stand_still() -> None:
    effects = [_effect("x", 1.0), _effect("x @ c=a", 1.0), *(_effect(name, 1.0, sure=False) for name in list(WHERES)[1:])]
    assert told_as(effects, (), WHERES)["x @ c=a"] == Told("x", only=False)


def test_a_slice_that_surely_moved_less_stands_still_beside_one_that_moved() -> None:
    """Its few rows seem to have moved by chance: by more than the tolerance, and by less than the other in any case."""
    few = [replace(_effect(name, 0.3), low=-0.2, high=0.8) for name in list(WHERES)[1:]]
    moved = _effect("x @ c=a", 1.5)
    assert told_as([_effect("x", 0.4), moved, *few], (), WHERES)["x"] == Told("x @ c=a", only=True)
    assert told_as([_effect("x", 0.4), replace(moved, low=0.7), *few], (), WHERES)["x"] == Told("x", only=False)


def test_who_carries_the_evidence_has_moved_however_few_its_rows() -> None:
    effects = [_effect("x", 0.3), *(_effect(name, 0.0) for name in list(WHERES)[1:]), replace(_effect("x @ c=a", 1.5), n=20)]
    assert told_as(effects, {"x @ c=a"}, WHERES)["x"] == Told("x @ c=a", only=True)
    assert told_as(effects, (), WHERES)["x"] == Told("x", only=False)
