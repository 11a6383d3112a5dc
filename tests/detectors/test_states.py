"""What each kind of column may be called, down to columns that hold nothing, one value, or one category."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.detectors.made import START

from driftline.contracts.reference import Reference
from driftline.contracts.times import HOUR_MS
from driftline.detectors.binning import slots_of
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.describe import column_findings
from driftline.detectors.layout import layout_of
from driftline.detectors.reference import build_reference

ROWS = 4_000
COLUMNS: dict[str, list[Any]] = {
    "constant": [3.5] * ROWS,
    "null": [None] * ROWS,
    "single": ["a"] * ROWS,
    "zeros": [0.0] * ROWS,
    "nan": [float("nan")] * ROWS,
}


def _built(rows: int = ROWS, gap: int = 10_000) -> Reference:
    times = np.arange(rows, dtype=np.int64) * gap + START
    return build_reference(
        model="m", version="1", task="regression", effective_from=0, origin="built", times=times, all_events=True,
        features={name: values[:rows] for name, values in COLUMNS.items()},
    )  # fmt: skip


@pytest.fixture(scope="module")
def reference() -> Reference:
    return _built()


def _states(reference: Reference, live: dict[str, list[Any]], n: int) -> tuple[dict[str, str], bool]:
    """Return the columns' states over a window of ``n`` rows, and whether the decider alarmed by them."""
    decider, layout = Decider(reference, DeciderConfig(720.0)), layout_of(reference, "features")
    counts = np.zeros(layout.slots, np.int64)
    for column in layout.columns:
        counts[layout.slice_of(column.name)] = np.bincount(slots_of(column, live[column.name][:n]), minlength=column.slots)
    state = decider.step(decider.start(), "features", counts, START + 100 * HOUR_MS, 1.0, n)
    findings = column_findings(reference, decider, "features", counts, 1.0, spans=[(START + 99 * HOUR_MS, START + 100 * HOUR_MS, n)])
    for finding in findings:
        shown = [finding.effect, finding.effect_low, finding.effect_high, finding.null_share, finding.unseen_share]
        shown += [number for d in finding.distances.values() for number in (d.value, d.low, d.high, d.chance)]
        assert all(number is None or np.isfinite(number) for number in shown)
    assert np.isfinite(decider.verdict(state).evidence)
    return {finding.column: finding.state for finding in findings}, decider.verdict(state).crossed


def test_columns_without_any_variety_are_quiet_as_long_as_they_have_none(reference: Reference) -> None:
    states, crossed = _states(reference, COLUMNS, 2_000)
    assert set(states.values()) == {"ok"}
    assert not crossed


@pytest.mark.parametrize(
    ("name", "values"), [("constant", [7.0]), ("null", [1.0]), ("single", ["b"]), ("zeros", [None]), ("nan", [2.0]), ("single", [None])]
)
def test_and_speak_when_they_get_some(reference: Reference, name: str, values: list[Any]) -> None:
    states, crossed = _states(reference, {**COLUMNS, name: values * ROWS}, 2_000)
    assert states.pop(name) == "drift"
    assert crossed
    assert set(states.values()) == {"ok"}


def test_too_few_rows_are_insufficient_in_a_window_and_uncalibrated_in_a_reference(reference: Reference) -> None:
    assert set(_states(reference, COLUMNS, 199)[0].values()) == {"insufficient_data"}
    states, crossed = _states(_built(100), {name: [9.0] * ROWS for name in COLUMNS}, 2_000)
    assert set(states.values()) == {"uncalibrated"}
    assert not crossed
    states, crossed = _states(_built(ROWS, gap=0), {name: [9.0] * ROWS for name in COLUMNS}, 2_000)
    assert set(states.values()) == {"uncalibrated"}
    assert not crossed
