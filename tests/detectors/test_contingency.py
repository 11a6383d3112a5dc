from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association

from driftline.detectors import contingency
from driftline.detectors.moments import Floats

tables = arrays(np.float64, (2, 6), elements=st.integers(0, 500).map(float)).filter(
    lambda table: bool(table.sum(axis=1).min() > 0 and (table.sum(axis=0) > 0).sum() > 1)
)


@given(tables)
def test_chi_square_and_cramers_v_are_those_of_scipy(table: Floats) -> None:
    kept = table[:, table.sum(axis=0) > 0]
    told = chi2_contingency(kept, correction=False)
    statistic, p = contingency.chi_square(table[0], table[1])
    assert statistic == pytest.approx(told.statistic)
    assert p == pytest.approx(told.pvalue, abs=1e-12)
    assert contingency.cramers_v(table[0], table[1]) == pytest.approx(association(kept.astype(int), method="cramer"), abs=1e-9)


@given(tables)
def test_jensen_shannon_is_that_of_scipy(table: Floats) -> None:
    assert contingency.jensen_shannon(table[0], table[1]) == pytest.approx(jensenshannon(table[0], table[1], base=2), abs=1e-7)


@given(tables)
def test_hellinger_and_total_variation_are_the_norms_they_are_named_for(table: Floats) -> None:
    p, q = (row / row.sum() for row in table)
    assert contingency.hellinger(table[0], table[1]) == pytest.approx(np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2), abs=1e-7)
    assert contingency.total_variation(table[0], table[1]) == pytest.approx(np.linalg.norm(p - q, 1) / 2)
    # Le Cam's inequalities between the two.
    h2 = float(contingency.hellinger(table[0], table[1])) ** 2
    assert h2 - 1e-9 <= contingency.total_variation(table[0], table[1]) <= np.sqrt(h2 * (2 - h2)) + 1e-9


@pytest.mark.parametrize("name", [name for name in contingency.__all__ if name != "chi_square"])
def test_many_pairs_at_once_are_as_each_alone_and_no_rows_have_no_distance(name: str) -> None:
    rng = np.random.default_rng(5)
    left, right = rng.integers(0, 40, (2, 7, 5)).astype(float)
    right[3] = 0
    distance = getattr(contingency, name)
    told = distance(left, right)
    assert np.array_equal(told, [distance(a, b) for a, b in zip(left, right, strict=True)], equal_nan=True)
    assert np.isnan(told[3])
    assert np.isfinite(np.delete(told, 3)).all()
    assert distance(left[0], left[0]) == pytest.approx(0, abs=1e-7)
