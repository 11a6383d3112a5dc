from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from river.drift import ADWIN

from driftline.detectors.changepoint import adwin_changes


def _steps(seed: int = 0) -> list[tuple[int, float]]:
    rng = np.random.default_rng(seed)
    values = np.concatenate([rng.normal(0, 1, 400), rng.normal(2, 1, 400)])
    return [(1000 * i, float(v)) for i, v in enumerate(values)]


def test_changes_are_those_of_rivers_adwin() -> None:
    detector: Any = ADWIN(delta=0.002, clock=1, grace_period=5)  # type: ignore[no-untyped-call]
    expected = []
    for time, value in _steps():
        detector.update(value)
        if detector.drift_detected:
            expected.append(time)
    assert adwin_changes(_steps()) == expected
    assert 400_000 < expected[0] < 430_000


def test_a_stationary_series_has_no_change() -> None:
    rng = np.random.default_rng(3)
    assert adwin_changes([(i, float(v)) for i, v in enumerate(rng.normal(0, 1, 3000))]) == []


@pytest.mark.parametrize("junk", [float("nan"), float("inf"), float("-inf"), None, "1"])
def test_junk_does_not_make_it_deaf(junk: float) -> None:
    series = [*_steps()[:10], (1, junk), *_steps()[10:]]
    assert adwin_changes(series) == adwin_changes(_steps())


def test_one_enormous_value_does_not_hide_what_follows() -> None:
    series = [*_steps()[:5], (1, 1e300), *_steps()[5:]]
    assert any(400_000 < time < 500_000 for time in adwin_changes(series))
