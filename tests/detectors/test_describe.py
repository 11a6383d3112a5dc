from __future__ import annotations

import numpy as np
import pytest
from tests.detectors.made import START, categorical_column, numeric_column, numeric_slots, reference_of

from driftline.contracts.reference import Reference
from driftline.detectors.decider import Decider, DeciderConfig, TermEffect
from driftline.detectors.describe import column_findings, shares_of, state_of
from driftline.detectors.measured import distances_of


@pytest.fixture(scope="module")
def reference() -> Reference:
    rng = np.random.default_rng(0)
    x, trend = rng.standard_normal(10_000), np.linspace(0, 3, 10_000) + rng.standard_normal(10_000)
    c = rng.choice(2, 10_000, p=[0.7, 0.3]).astype(np.int64)
    one, two, three = numeric_column("x", x), numeric_column("trend", trend), categorical_column("c", c, ["a", "b"])
    return reference_of([one, two, three], [numeric_slots(one, x), numeric_slots(two, trend), c], np.arange(10_000) * 1000 + START)


def _counts(reference: Reference, rows: int, shift: float, shares: list[float]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    rng = np.random.default_rng(1)
    x, trend, _ = reference.columns
    parts = [
        np.bincount(numeric_slots(x, rng.standard_normal(rows) + shift), minlength=x.slots),  # type: ignore[arg-type]
        np.bincount(numeric_slots(trend, rng.standard_normal(rows) + 1.5), minlength=trend.slots),  # type: ignore[arg-type]
        np.bincount(rng.choice(6, rows, p=shares), minlength=6),
    ]
    return np.concatenate(parts).astype(np.int64)


def _states(reference: Reference, counts: np.ndarray[tuple[int], np.dtype[np.int64]], min_n: int = 200) -> dict[str, str]:
    decider = Decider(reference, DeciderConfig(720))
    return {f.column: f.state for f in column_findings(reference, decider, "features", counts, 1.0, min_n=min_n)}


CALM = [0.7, 0.3, 0.0, 0.0, 0.0, 0.0]


def test_the_state_says_what_is_known(reference: Reference) -> None:
    assert _states(reference, _counts(reference, 3000, 0.0, CALM)) == {"x": "ok", "trend": "uncalibrated", "c": "ok"}
    assert _states(reference, _counts(reference, 3000, 1.0, CALM)) == {"x": "drift", "trend": "uncalibrated", "c": "ok"}
    assert _states(reference, _counts(reference, 3000, 0.0, [0.65, 0.25, 0, 0.1, 0, 0]))["c"] == "drift"
    assert set(_states(reference, _counts(reference, 199, 1.0, CALM)).values()) == {"insufficient_data"}
    assert _states(reference, _counts(reference, 150, 1.0, CALM), min_n=100)["x"] == "drift"


def test_a_finding_carries_its_n_its_effect_and_its_distances(reference: Reference) -> None:
    counts = _counts(reference, 3000, 1.0, CALM)
    found = column_findings(reference, Decider(reference, DeciderConfig(720)), "features", counts, 1.0)[0]
    slots = counts[: reference.columns[0].slots]
    assert (found.column, found.n) == ("x", 3000)
    assert found.effect is not None
    assert found.effect_low is not None
    assert found.effect_high is not None
    assert found.effect_low < found.effect < found.effect_high
    assert found.effect == pytest.approx(0.9, abs=0.1)  # sqrt(12) (Phi(1 / sqrt 2) - 1/2)
    assert found.tolerance == pytest.approx(0.2)
    assert found.distances.keys() == {"psi", "jensen_shannon", "hellinger", "total_variation", "chi_square", "cramers_v", "ks", "wasserstein"}
    assert found.distances["wasserstein"].low == pytest.approx(distances_of([reference.columns[0]], [slots])[0]["wasserstein"].low)
    assert found.distances["wasserstein"].low < 1.0 < found.distances["wasserstein"].high


def test_too_few_rows_have_shares_and_no_judgement(reference: Reference) -> None:
    found = column_findings(reference, Decider(reference, DeciderConfig(720)), "features", _counts(reference, 50, 1.0, CALM), 1.0)[0]
    assert (found.state, found.n, found.effect, found.distances) == ("insufficient_data", 50, None, {})


def test_shares_count_every_kind_of_missing_and_of_new() -> None:
    numeric = numeric_column("x", np.arange(10.0), 2)
    assert shares_of(numeric, np.array([1, 3, 0, 2, 1, 1, 1, 1])) == (0.4, 0.3)
    categorical = categorical_column("c", np.array([0, 1]), ["a", "b"])
    assert shares_of(categorical, np.array([2, 2, 1, 3, 1, 1])) == (0.2, 0.3)


def _effect(low: float, high: float, *, calibrated: bool) -> TermEffect:
    return TermEffect("features", "x", "t", (low + high) / 2, low, high, 0.2, 1000, calibrated=calibrated, direction="up")


def test_states_as_a_table() -> None:
    calm, gone = (-0.1, 0.1), (0.5, 0.7)
    table = [
        ([_effect(*calm, calibrated=True)], 1000, "ok"),
        ([_effect(*gone, calibrated=True)], 1000, "drift"),
        ([_effect(*gone, calibrated=True)], 10, "insufficient_data"),
        ([_effect(*calm, calibrated=False)], 1000, "uncalibrated"),
        ([_effect(*calm, calibrated=True), _effect(*calm, calibrated=False)], 1000, "ok"),
        ([_effect(*calm, calibrated=True), _effect(*gone, calibrated=False)], 1000, "uncalibrated"),
        ([_effect(*gone, calibrated=True), _effect(*calm, calibrated=False)], 1000, "drift"),
        ([], 1000, "uncalibrated"),
    ]
    assert [state_of(effects, n, 200) for effects, n, _ in table] == [state for _, _, state in table]
