"""What detectors would have cost on a reference's own rows: counted, extrapolated by values, with an interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2
from tests.streams.detect.summaries import built

from driftline.contracts.ids import sample_hash
from driftline.contracts.sequential import DetectorSettings
from driftline.contracts.summaries import SampleRow
from driftline.detectors.sequential.cost import ALL, Cost, cost_of
from driftline.detectors.sequential.detector import NamedDetector
from driftline.detectors.sequential.watches import watches_of

REFERENCE = built()
PANE = 5_000


def _rows(n: int = 2_000, *, step: float = 0.0) -> list[SampleRow]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=n) + step * (np.arange(n) // 200 % 2)
    at = np.linspace(REFERENCE.span_start, REFERENCE.span_end, n).astype(int).tolist()
    rows = [SampleRow(sample_hash(str(i)), str(i), at[i], "1", {"x": float(x[i]), "c": "a"}, None, 0.4) for i in range(n)]
    return [rows[i] for i in rng.permutation(n)]  # a sample is in no order of time


def _cost(settings: DetectorSettings, rows: list[SampleRow], hours: float = 1.0) -> Cost | None:
    [watch] = watches_of(REFERENCE, (settings,))
    return cost_of(watch, REFERENCE, rows, pane_ms=PANE, per_pane=64, hours=hours)


def test_flags_are_those_over_the_rows_in_order_of_time_and_extrapolated_by_values() -> None:
    settings, rows = DetectorSettings(name="page_hinkley", reads=("x",), series="rows"), _rows(step=3.0)
    cost = _cost(settings, rows)
    assert cost is not None
    column = REFERENCE.columns[0]
    detector, flags = NamedDetector("page_hinkley"), 0
    for row in sorted(rows, key=lambda r: r.event_time):
        detector.update((float(row.features["x"] or 0) - column.center) / column.scale)  # type: ignore[union-attr]
        flags += detector.drift_detected
    assert cost.flags == flags > 3
    # 4,000 rows in 200 s: 20 a second, all of them in the sample of a pane that keeps 64 of its 100.
    assert cost.live == pytest.approx(64 * 3_600 / 5, rel=0.01)
    assert cost.expected == pytest.approx(flags * cost.live / 2_000)
    assert cost.low == pytest.approx(chi2.ppf(0.025, 2 * flags) / 2 * cost.live / 2_000)
    assert cost.high == pytest.approx(chi2.ppf(0.975, 2 * flags + 2) / 2 * cost.live / 2_000)


def test_means_say_of_how_many_rows_they_are_made() -> None:
    cost = _cost(DetectorSettings(name="adwin", reads=("x",)), _rows())
    assert cost is not None
    assert (cost.n, cost.rows) == (40, 50.0)
    assert cost.live == pytest.approx(720)
    assert (cost.flags, cost.low) == (0, 0.0)
    assert cost.high == pytest.approx(chi2.ppf(0.975, 2) / 2 * 720 / 40)


def test_errors_are_drawn_at_the_references_own_share() -> None:
    cost = _cost(DetectorSettings(name="eddm"), [])
    assert cost is not None
    assert cost.n == REFERENCE.labelled_rows == 4_000
    assert cost.flags > 0  # EDDM is known for it


def test_every_detector_has_a_cost_and_a_column_without_rows_none() -> None:
    rows = _rows(600)
    found = [cost_of(w, REFERENCE, rows, pane_ms=PANE, per_pane=64, hours=1.0) for w in watches_of(REFERENCE, ALL)]
    assert {c.watch.settings.name for c in found if c is not None} == {s.name for s in ALL}
    assert _cost(DetectorSettings(name="adwin", reads=("x",)), []) is None
    assert _cost(DetectorSettings(name="adwin", reads=("loss",)), rows) is None
