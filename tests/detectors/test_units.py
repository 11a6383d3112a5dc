from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from driftline.contracts.reference import NumericColumn
from driftline.detectors.binning import slots_of
from driftline.detectors.columns import numeric_column
from driftline.detectors.units import unit_change

Floats = npt.NDArray[np.float64]


def _drawn(name: str, n: int, rng: np.random.Generator) -> Floats:
    drawn: dict[str, Any] = {
        "temperature": rng.normal(12, 9, n),
        "weight": rng.normal(70, 12, n),
        "amount": rng.lognormal(3, 1, n),
        "delay": rng.normal(5, 30, n),  # of both signs
        "count": rng.poisson(6, n).astype(float),
        "uniform": rng.uniform(0, 24, n),
    }
    made: Floats = drawn[name]
    return made


NAMES = ["temperature", "weight", "amount", "delay", "count", "uniform"]
CHANGES = [
    (1_000.0, 0.0, "about 1,000 times the reference's"),
    (100.0, 0.0, "about 100 times the reference's"),
    (60.0, 0.0, "about 60 times the reference's"),
    (0.001, 0.0, "about 1/1,000 of the reference's"),
    (1.8, 32.0, "the reference's as Fahrenheit has what is Celsius"),
    (1 / 1.8, -32 / 1.8, "the reference's as Celsius has what is Fahrenheit"),
]


def told(column: NumericColumn, live: Floats, sample: int) -> str | None:
    counts = np.bincount(slots_of(column, live), minlength=column.slots)
    z = np.clip((live - column.center) / column.scale, -1_000, 1_000).mean()
    return unit_change(column, counts, live[:sample], column.center + column.scale * z if abs(z) < 50 else None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("factor", "offset", "words"), CHANGES)
def test_a_change_of_unit_is_named(name: str, factor: float, offset: float, words: str) -> None:
    named = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        column, _ = numeric_column("x", "feature", _drawn(name, 5_000, rng), 64)
        named += told(column, _drawn(name, 2_000, rng) * factor + offset, 150) == words
    assert named >= 9


#: Drift that is none of a unit: shifts, growth, spread, shape, a share of outliers, a value that stands still.
DRIFTS: dict[str, Any] = {
    "none": lambda x, _: x,
    "small shift": lambda x, _: x + 0.3 * x.std(),
    "shift": lambda x, _: x + x.std(),
    "great shift": lambda x, _: x + 8 * x.std(),
    "growth by half": lambda x, _: x * 1.5,
    "threefold": lambda x, _: x * 3,
    "wider": lambda x, _: x.mean() + (x - x.mean()) * 2.5,
    "outliers": lambda x, rng: np.where(rng.random(len(x)) < 0.2, x * 1_000, x),
    "other shape": lambda x, rng: rng.exponential(x.std() * 12, len(x)),
    "constant": lambda x, _: np.full(len(x), 1_000 * x.mean()),
    "zero": lambda x, _: np.zeros(len(x)),
    "huge": lambda x, _: np.full(len(x), 1e300),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("drift", DRIFTS)
@pytest.mark.parametrize("sample", [64, 300])
def test_ordinary_drift_is_never_called_one(name: str, drift: str, sample: int) -> None:
    for seed in range(10):
        rng = np.random.default_rng(1_000 + seed)
        column, _ = numeric_column("x", "feature", _drawn(name, 5_000, rng), 64)
        assert told(column, DRIFTS[drift](_drawn(name, 2_000, rng), rng), sample) is None


def test_too_few_values_and_odd_columns_say_nothing() -> None:
    rng = np.random.default_rng(1)
    column, _ = numeric_column("x", "feature", rng.normal(70, 12, 5_000), 64)
    assert told(column, rng.normal(70_000, 12_000, 2_000), 20) is None
    for values in ([5.0] * 500, [0.0] * 500, [None] * 500, [1e308, -1e308] * 250):
        odd, _ = numeric_column("x", "feature", values, 64)
        for live in (np.full(200, 5_000.0), rng.normal(0, 1, 200), np.full(200, 1.7e308)):
            assert told(odd, live, 200) is None
