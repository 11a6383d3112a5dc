from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from tests.detectors.made import numeric_column, numeric_slots

from driftline.contracts.reference import CategoricalColumn, GridColumn, NumericColumn
from driftline.detectors.moments import MAX_VALUE_TERMS, moments_of


def _numeric(counts: list[int]) -> NumericColumn:
    bins = len(counts) - 6
    return NumericColumn(
        name="x",
        role="feature",
        edges=tuple(float(i) for i in range(bins + 1)),
        center=0.0,
        scale=1.0,
        counts=tuple(counts),
    )


@given(st.lists(st.integers(0, 10_000), min_size=7, max_size=70))
def test_polynomials_are_orthonormal_under_the_smoothed_reference_whatever_its_counts(counts: list[int]) -> None:
    moments = moments_of(_numeric(counts))
    polynomials = moments.phi[~moments.indicator]
    p = moments.p * moments.base[0]
    p = p / p.sum()
    gram = (polynomials * p) @ polynomials.T
    np.testing.assert_allclose(gram, np.eye(len(polynomials)), atol=1e-6)
    np.testing.assert_allclose(polynomials @ p, 0, atol=1e-6)


@given(st.lists(st.integers(0, 10_000), min_size=5, max_size=40))
def test_categorical_indicators_have_mean_0_and_variance_1(counts: list[int]) -> None:
    column = CategoricalColumn(name="c", role="feature", values=tuple(map(str, range(len(counts) - 4))), counts=tuple(counts))
    moments = moments_of(column)
    for term, phi, base in zip(moments.terms, moments.phi, moments.base, strict=True):
        if term != "null":
            p = moments.p * base / (moments.p @ base)
            assert phi @ p == pytest.approx(0, abs=1e-9)
            assert phi**2 @ p == pytest.approx(1)


def test_location_rises_with_the_value_and_scale_is_high_at_both_ends() -> None:
    moments = moments_of(numeric_column("x", np.random.default_rng(1).standard_normal(5000)))
    location, scale, tails = (moments.phi[moments.terms.index(t)][:66] for t in ("location", "scale", "tails"))
    assert np.all(np.diff(location) > 0)
    assert scale[0] > 2
    assert scale[-1] > 2
    assert scale[33] < -1
    assert tails[-1] > 2


def test_location_is_the_standardised_rank_of_scipy() -> None:
    x = np.random.default_rng(2).lognormal(size=5000)
    column = numeric_column("x", x)
    location = moments_of(column).phi[0][numeric_slots(column, x)]
    ranks = rankdata(x) / len(x) - 0.5
    np.testing.assert_allclose(location, ranks * np.sqrt(12), atol=0.04)  # a bin is 1/64 of the ranks: .027 either side in sd


@pytest.mark.parametrize(
    ("counts", "terms"),
    [
        ([0, 500, 0, 0, 0, 0, 0], ("unseen", "null")),  # constant
        ([0, 0, 0, 500, 0, 0, 0], ("unseen", "null")),  # all null
        ([0, 300, 200, 0, 0, 0, 0, 0], ("location", "unseen", "null")),  # two values
        ([0, 300, 200, 100, 0, 0, 0, 0, 0], ("location", "scale", "unseen", "null")),
        ([0, 300, 200, 100, 90, 0, 0, 0, 0, 0], ("location", "scale", "tails", "unseen", "null")),
    ],
)  # fmt: skip
def test_a_column_has_as_many_polynomials_as_its_values_carry(counts: list[int], terms: tuple[str, ...]) -> None:
    assert moments_of(_numeric(counts)).terms == terms


def test_nulls_do_not_move_the_location_of_the_values() -> None:
    moments = moments_of(numeric_column("x", np.random.default_rng(1).standard_normal(1000)))
    missing = slice(66, None)
    for term in ("location", "scale", "tails", "unseen"):
        assert np.all(moments.base[moments.terms.index(term)][missing] == 0)
        assert np.all(moments.phi[moments.terms.index(term)][missing] == 0)


def test_only_the_most_frequent_values_have_a_term_and_ties_go_to_the_first() -> None:
    counts = [*range(40), 0, 0, 0, 0]
    column = CategoricalColumn(name="c", role="feature", values=tuple(map(str, range(40))), counts=tuple(counts))
    terms = moments_of(column).terms
    assert terms == (*(f"value:{i}" for i in range(40 - MAX_VALUE_TERMS, 40)), "unseen", "null")


def test_a_grid_has_no_terms() -> None:
    assert moments_of(GridColumn(name="g", role="outcome", edges=(0.0, 1.0), counts=(0,) * 6)).terms == ()


def test_of_two_values_the_rarer_has_the_term() -> None:
    column = CategoricalColumn(name="late", role="outcome", values=("0", "1"), counts=(70, 30, 0, 0, 0, 0))
    assert moments_of(column).terms == ("value:1", "unseen", "null")
