"""Every distance that findings tell against its counterpart in Evidently or SciPy, on fixed data, within a stated error.

Evidently's functions are called by themselves, not its reports. Importing them takes seconds, once.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance
from scipy.stats.contingency import association
from tests.detectors.made import Floats, numeric_column, numeric_slots

from driftline.contracts.reference import CategoricalColumn
from driftline.detectors import contingency
from driftline.detectors.distances import grouped
from driftline.detectors.measured import distances_of

if TYPE_CHECKING:
    import pandas as pd

# Fixed: 5,000 reference rows and 3,000 live ones of four categories.
REFERENCE = {"a": 2500, "b": 1500, "c": 750, "d": 250}
LIVE = {"a": 1200, "b": 1100, "c": 600, "d": 100}
NUMERIC = ("psi", "jensen_shannon", "hellinger", "total_variation", "chi_square", "cramers_v", "ks", "wasserstein")


def column() -> CategoricalColumn:
    return CategoricalColumn(name="x", role="feature", values=tuple(REFERENCE), counts=(*REFERENCE.values(), 0, 0, 0, 0))


def told() -> dict[str, float]:
    live = np.array([*LIVE.values(), 0, 0, 0, 0], np.int64)
    return {name: distance.value for name, distance in distances_of([column()], [live])[0].items()}


def raw(counts: dict[str, int]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series([value for value, n in counts.items() for _ in range(n)])


def _evidently(module: str, name: str, *sides: pd.Series[Any], more: tuple[Any, ...] = ()) -> float:
    function = getattr(_loaded(f"evidently.legacy.calculations.stattests.{module}"), name)
    found = function(*(side.copy() for side in sides), *more)
    return float(found[0] if isinstance(found, tuple) else found)


def _kind(name: str) -> Any:
    return getattr(_loaded("evidently.legacy.core").ColumnType, name)


def _loaded(module: str) -> Any:
    with warnings.catch_warnings():  # of its dependencies' own, when they are loaded
        warnings.simplefilter("ignore")
        return import_module(module)


@pytest.mark.parametrize(
    ("ours", "module", "theirs", "settings", "error"),
    [
        # PSI is smoothed by half a row here; Evidently fills empty groups only.
        ("psi", "psi", "_psi", (0.1,), 2e-3),
        # Bins do not matter to categories; Evidently's default base is e, which makes every distance smaller by sqrt(ln 2).
        ("jensen_shannon", "jensenshannon", "_jensenshannon", (0.1, 30, 2.0), 1e-9),
        ("hellinger", "hellinger_distance", "_hellinger_distance", (0.1,), 1e-9),
        ("total_variation", "tvd_stattest", "_total_variation_distance", None, 1e-9),
    ],
)
def test_distances_of_categories_are_evidentlys(ours: str, module: str, theirs: str, settings: tuple[float, ...] | None, error: float) -> None:
    more = () if settings is None else (_kind("Categorical"), *settings)
    expected = _evidently(module, theirs, raw(REFERENCE), raw(LIVE), more=more)
    assert expected > 0.01
    assert told()[ours] == pytest.approx(expected, abs=error)


def test_cramers_v_and_the_chi_square_behind_it_are_scipys() -> None:
    table = np.array([list(REFERENCE.values()), list(LIVE.values())])
    assert told()["cramers_v"] == pytest.approx(association(table, "cramer"), abs=1e-12)
    statistic, p = contingency.chi_square(table[0].astype(float), table[1].astype(float))
    expected = chi2_contingency(table, correction=False)
    assert float(statistic) == pytest.approx(expected.statistic)
    assert float(p) == pytest.approx(expected.pvalue)
    assert told()["chi_square"] == pytest.approx(expected.statistic)


def _shifted(rows: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(20130101)
    return rng.standard_normal(5_000), rng.normal(0.4, 1.3, rows)


def test_wasserstein_over_sigma_is_evidentlys_within_the_bin_error() -> None:
    import pandas as pd

    reference, live = _shifted(4_000)
    own = numeric_column("x", reference)
    inside = np.clip(live, own.edges[0], own.edges[-1])
    value = distances_of([own], [np.bincount(numeric_slots(own, live), minlength=own.slots)])[0]["wasserstein"].value
    theirs = _evidently(
        "wasserstein_distance_norm", "_wasserstein_distance_norm", pd.Series(reference), pd.Series(inside), more=(_kind("Numerical"), 0.1)
    )
    assert theirs == pytest.approx(wasserstein_distance(reference, inside) / reference.std(), rel=1e-3)
    assert value == pytest.approx(theirs, abs=0.05)


def test_ks_is_the_statistic_whose_p_value_evidently_tells() -> None:
    import pandas as pd

    reference, live = _shifted(400)
    own = numeric_column("x", reference)
    counts = np.bincount(numeric_slots(own, live), minlength=own.slots)
    value = distances_of([own], [counts])[0]["ks"].value
    raw_one = ks_2samp(reference, live)
    fullest = max(np.max(counts / counts.sum()), max(own.counts) / sum(own.counts))
    assert raw_one.statistic - fullest <= value <= raw_one.statistic + 1e-12
    p = _evidently("ks_stattest", "_ks_stat_test", pd.Series(reference), pd.Series(live), more=(_kind("Numerical"), 0.05))
    assert p == pytest.approx(raw_one.pvalue, rel=1e-6)


@pytest.mark.parametrize("name", ["psi", "jensen_shannon", "hellinger", "total_variation", "chi_square", "cramers_v"])
def test_distances_of_numbers_are_those_of_scipy_and_the_textbook_over_the_deciles(name: str) -> None:
    reference, live = _shifted(4_000)
    own = numeric_column("x", reference)
    counts = np.bincount(numeric_slots(own, live), minlength=own.slots)
    p, q = grouped(own, counts)
    shares = [side / side.sum() for side in (p, q)]
    there = p + q > 0
    expected = {
        "psi": float(np.sum((shares[1] - shares[0])[there] * np.log((shares[1][there]) / (shares[0][there])))),
        "jensen_shannon": float(jensenshannon(shares[0], shares[1], base=2)),
        "hellinger": float(np.linalg.norm(np.sqrt(shares[0]) - np.sqrt(shares[1])) / np.sqrt(2)),
        "total_variation": float(np.abs(shares[0] - shares[1]).sum() / 2),
        "chi_square": float(chi2_contingency(np.array([p[there], q[there]]), correction=False).statistic),
        "cramers_v": float(association(np.array([p[there], q[there]]).astype(int), "cramer")),
    }
    assert distances_of([own], [counts])[0][name].value == pytest.approx(expected[name], abs=2e-3 if name == "psi" else 1e-9)


def test_no_distance_is_left_without_a_counterpart() -> None:
    reference, live = _shifted(4_000)
    own = numeric_column("x", reference)
    assert set(distances_of([own], [np.bincount(numeric_slots(own, live), minlength=own.slots)])[0]) == set(NUMERIC)
