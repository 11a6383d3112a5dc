"""ADWIN over pane means: what dates a cause."""

from __future__ import annotations

import numpy as np

from driftline.contracts.findings import Cause
from driftline.contracts.reference import CategoricalColumn, NumericColumn
from driftline.detectors.binning import fixed_point, slots_of
from driftline.detectors.layout import Layout
from driftline.detectors.pane import Pane
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cell
from driftline.streams.detect.series import dated, pane_means

PANE = 3_600_000
X = NumericColumn(name="x", role="feature", edges=tuple(np.linspace(-3, 3, 9)), center=0.0, scale=1.0, counts=(10,) * 14)
C = CategoricalColumn(name="c", role="feature", values=("a",), counts=(10, 0, 0, 0, 0))
LAYOUT = Layout.of((X, C))


def _series(means: list[float]) -> list[tuple[PaneKey, Cell]]:
    noise = np.random.default_rng(3)
    series = []
    for i, mean in enumerate(means):
        values = noise.normal(mean, 1, 50)
        pane = Pane(LAYOUT)
        pane.n = len(values)
        pane.counts[: X.slots] = np.bincount(slots_of(X, values), minlength=X.slots)
        one, two = fixed_point(X, values)
        pane.sums[:] = one.sum(), two.sum()
        series.append((PaneKey("m", "r", "features", PANE, i * PANE, late=False), Cell(pane, LAYOUT)))
    return series


def _cause(term: str) -> Cause:
    return Cause(column="x", term=term, direction="up", effect=1.0, low=0.5, high=1.5, tolerance=0.2, share=1.0, importance=0.0, onset=0)


def test_a_pane_mean_is_the_mean_of_its_values() -> None:
    (at, mean), *_ = pane_means(_series([2.0]), LAYOUT, "x")
    assert at == 0
    assert abs(mean - 2.0) < 0.5
    assert pane_means(_series([2.0]), LAYOUT, "c") == []


def test_a_step_is_dated_to_within_a_day_and_only_by_location() -> None:
    series = _series([0.0] * 200 + [1.0] * 100)
    by_location, by_shape = dated((_cause("location"), _cause("scale")), series, LAYOUT)
    assert 200 * PANE <= by_location.onset <= 224 * PANE
    assert by_shape.onset == 0


def test_panes_without_values_are_left_out() -> None:
    series = _series([0.0, 0.0])
    series[1][1].pane.counts[:] = 0
    assert [at for at, _ in pane_means(series, LAYOUT, "x")] == [0]
