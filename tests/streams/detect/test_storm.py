"""What moves together is one episode: five hundred features at once open one alert, which says so and names the few that matter most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.streams.detect.summaries import BLOCK, PANE, T0
from tests.streams.records import Record

from driftline.contracts.findings import Alert, Finding, decode_json
from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings, build_settings
from driftline.contracts.summaries import BlockSummary, Progress, encode_summary
from driftline.contracts.topics import ALERTS, DRIFT_FINDINGS
from driftline.detectors.parts import PartBuilder
from driftline.detectors.reference import build_reference
from driftline.detectors.rows import Numbers, Rows
from driftline.store import outbox, references
from driftline.store.database import migrate, open_database
from driftline.streams.detect.partition import DetectPartition

FEATURES = 500
NAMES = [f"f{i:03d}" for i in range(FEATURES)]
PANES, ROWS, SHIFT_AT = 36, 60, 18
#: Of these the model makes most.
WEIGHTS = {"f300": 0.4, "f200": 0.2, "f100": 0.1}

Features = Mapping[str, NDArray[np.float64]]


@cache
def _reference() -> Reference:
    rng = np.random.default_rng(7)
    rows = 2_000
    return build_reference(
        model="m",
        version="1",
        task="regression",
        effective_from=0,
        origin="built",
        times=np.linspace(T0 - rows * 50, T0 - 1, rows).astype(np.int64),
        features={name: rng.normal(size=rows) for name in NAMES},
        bins=8,
        importance=WEIGHTS,
    )


def _moving(moved_at: Sequence[int]) -> Iterator[Features]:
    """Yield the values of each pane, in which feature ``i`` moves by a standard deviation from pane ``moved_at[i]`` on."""
    rng, since = np.random.default_rng(1), np.array(moved_at)
    for pane in range(PANES):
        values = rng.normal(size=(FEATURES, ROWS)) + np.where(pane >= since, 1.0, 0.0)[:, None]
        yield dict(zip(NAMES, values, strict=True))


def _records(reference: Reference, panes: Iterable[Features], sampled: int = 0) -> list[Record]:
    """Return the records of a stream, a block for each pane, of which so many rows are sampled."""
    told = []
    for pane, features in enumerate(panes):
        at, n = T0 + pane * PANE, len(next(iter(features.values())))
        ids = [f"{pane}-{i}" for i in range(n)]
        rows = Rows(
            event_ids=ids,
            places=np.array([sample_hash(i) for i in ids], np.int64),
            times=np.full(n, at),
            late=np.zeros(n, np.bool_),
            versions=["1"] * n,
            features={name: Numbers(column) for name, column in features.items()},
            predictions=[None] * n,
            scores=[None] * n,
        )
        builder = PartBuilder(PANE, sampled, 10, {})
        builder.add(reference, rows)
        start, mark = pane * BLOCK, at + PANE - 1
        told.append(encode_summary(BlockSummary("m", 0, start, start, start + BLOCK, final=True, panes=builder.parts())))
        sources = ("summarise", "join/inference-events", "join/label-events")
        told += [encode_summary(Progress(source, 0, 1, start + BLOCK, mark, start, idle=False, newest=mark)) for source in sources]
    return [Record(i, value, topic="summaries") for i, value in enumerate(told)]


def _alerts(folder: Path, reference: Reference, records: Sequence[Record]) -> list[Alert]:
    return _told(folder, reference, records)[0]


def _told(folder: Path, reference: Reference, records: Sequence[Record]) -> tuple[list[Alert], list[Finding]]:
    """Return the alerts, and the findings as they were last said, in the order of their windows."""
    engine = open_database(f"sqlite:///{folder / 'storm'}.db")
    try:
        migrate(engine)
        references.put(engine, reference, [])
        settings = build_settings({"defaults": {"pane": "5s", "window": "30s", "allowed_lateness": "1s", "alarm_budget": "1 per 1h"}})
        partition = DetectPartition(engine, settings, 0)
        for i in range(0, len(records), 64):
            partition.apply(records[i : i + 64])
        partition.checkpoint()
        said = list(outbox.pending(engine, partition.owner, limit=10_000))
        findings = {f.finding_id: f for f in (decode_json(row.value, Finding) for row in said if row.topic == DRIFT_FINDINGS.name)}
        return [decode_json(row.value, Alert) for row in said if row.topic == ALERTS.name], sorted(findings.values(), key=lambda f: f.window_start)
    finally:
        engine.dispose()


def test_five_hundred_features_that_move_at_once_are_one_alert_that_names_what_matters_most(tmp_path: Path) -> None:
    alerts = _alerts(tmp_path, _reference(), _records(_reference(), _moving([SHIFT_AT] * FEATURES)))
    opened = alerts[0]
    assert [alert.status for alert in alerts if alert.status != "updated"] == ["opened"]
    assert FEATURES // 2 < opened.moved <= FEATURES
    assert opened.sentence.startswith(f"{opened.moved} inputs of m have drifted since ")
    assert [cause.column for cause in opened.causes[:3]] == ["f300", "f200", "f100"]
    assert all(abs(one.impact) >= abs(other.impact) for one, other in pairwise(opened.causes))
    assert all(cause.impact == pytest.approx(cause.importance * cause.effect) for cause in opened.causes)
    assert f"; and {opened.moved - 3} more, seen in" in opened.sentence
    assert abs(opened.onset - (T0 + SHIFT_AT * PANE)) <= PANE
    # What had moved, but not surely yet, is told at the end of the next windows: of all there are, once each.
    assert alerts[-1].moved <= FEATURES
    assert [a.moved for a in alerts] == sorted({a.moved for a in alerts})


def test_features_that_follow_one_another_are_told_once_a_window(tmp_path: Path) -> None:
    alerts = _alerts(tmp_path, _reference(), _records(_reference(), _moving([SHIFT_AT + i // 40 for i in range(FEATURES)])))
    assert [alert.status for alert in alerts] == ["opened", *["updated"] * (len(alerts) - 1)]
    windows = [alert.at // 30_000 for alert in alerts]
    assert len(alerts) > 2
    assert len(set(windows[1:])) == len(windows[1:])
    last = alerts[-1]
    assert last.sentence.startswith("More inputs of m have drifted, ")
    assert f"that come to {last.moved}:" in last.sentence
    assert [a.moved for a in alerts] == sorted({a.moved for a in alerts})
    assert {c.column for one in alerts for c in one.causes} >= {"f100", "f200", "f300"}


@pytest.mark.parametrize(("rows", "mean"), [(64, 70), (400, 70), (400, 71.5)])
def test_a_change_of_unit_is_named_by_the_alert_that_its_first_pane_opens(rows: int, mean: float, tmp_path: Path) -> None:
    """Also where the values are a little higher besides, as those of an hour are, and very many rows could tell that."""
    rng, sampled = np.random.default_rng(5), ModelSettings().sample_rows_per_pane
    reference = build_reference(
        model="m", version="1", task="regression", effective_from=0, origin="built", times=np.linspace(T0 - 100_000, T0 - 1, 2_000).astype(np.int64),
        features={"weight": rng.normal(70, 12, 2_000), "height": rng.normal(170, 9, 2_000)},
    )  # fmt: skip
    panes = [
        {"weight": rng.normal(mean, 12, rows) * 1_000 if pane >= SHIFT_AT else rng.normal(70, 12, rows), "height": rng.normal(170, 9, rows)}
        for pane in range(SHIFT_AT + 14)
    ]
    [opened], findings = _told(tmp_path, reference, _records(reference, panes, sampled))
    assert (opened.status, [c.column for c in opened.causes]) == ("opened", ["weight"])
    assert "weight is higher by " in opened.sentence
    assert ", looks like a change of unit: values are about 1,000 times the reference's, seen in " in opened.sentence
    # A window says so too, as it closes: its rows were sampled pane by pane.
    noted = {(f.window_start - T0) // 30_000: {c.column: c.note for c in f.columns if c.note} for f in findings}
    whole = next(at for at, notes in noted.items() if "change of unit" in notes.get("weight", ""))
    assert noted[whole]["weight"] == "looks like a change of unit: values are about 1,000 times the reference's"
    assert "height" not in noted[whole]
    assert whole * 30_000 <= (SHIFT_AT + 6) * PANE
    assert "(looks like a change of unit: values are about 1,000 times the reference's)" in findings[whole].sentence
