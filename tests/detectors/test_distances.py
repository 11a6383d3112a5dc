from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp, wasserstein_distance
from tests.detectors.made import Counts, Floats, categorical_column, numeric_column, numeric_slots

from driftline.contracts.reference import CategoricalColumn, Column, NumericColumn
from driftline.detectors.distances import GROUPS, groups_of
from driftline.detectors.measured import distances_of, since_previous_of


def _distance(name: str, column: Column, counts: Counts) -> float | None:
    told = distances_of([column], [counts])[0].get(name)
    return told.value if told is not None else None


def psi(column: Column, counts: Counts) -> float | None:
    return _distance("psi", column, counts)


def jensen_shannon(column: Column, counts: Counts) -> float | None:
    return _distance("jensen_shannon", column, counts)


def ks(column: Column, counts: Counts) -> float | None:
    return _distance("ks", column, counts)


def wasserstein(column: Column, counts: Counts) -> float | None:
    return _distance("wasserstein", column, counts)


SHIFTS = {"same": (0.0, 1.0), "location": (0.5, 1.0), "scale": (0.0, 2.0), "narrow": (0.0, 0.3), "far": (3.0, 1.0)}


def _pair(name: str, rows: int = 4000) -> tuple[NumericColumn, Floats, Floats, Counts]:
    rng = np.random.default_rng(list(SHIFTS).index(name))
    location, scale = SHIFTS[name]
    reference, live = rng.standard_normal(5000), rng.standard_normal(rows) * scale + location
    column = numeric_column("x", reference)
    return column, reference, live, np.bincount(numeric_slots(column, live), minlength=column.slots)


@pytest.mark.parametrize("name", SHIFTS)
def test_ks_is_that_of_scipy_less_at_most_the_fullest_bin(name: str) -> None:
    column, reference, live, counts = _pair(name)
    raw, ours = ks_2samp(reference, live).statistic, ks(column, counts)
    fullest = max(np.max(counts / counts.sum()), max(column.counts) / sum(column.counts))
    assert ours is not None
    assert raw - fullest <= ours <= raw + 1e-12


@pytest.mark.parametrize("name", ["same", "location", "scale", "narrow"])
def test_wasserstein_is_that_of_scipy_within_the_bin_error(name: str) -> None:
    column, reference, live, counts = _pair(name)
    # Values outside the range count as if they lay at its end, which is what the raw distance is taken of here.
    inside = np.clip(live, column.edges[0], column.edges[-1])
    raw, ours = wasserstein_distance(reference, inside) / column.scale, wasserstein(column, counts)
    width = np.diff(column.edges) / column.scale
    p, q = np.asarray(column.counts)[1 : len(width) + 1] / 5000, counts[1 : len(width) + 1] / len(live)
    error = float(np.sum(width * (p + q)))
    assert ours is not None
    assert abs(ours - raw) <= error
    assert error < 0.5
    assert abs(ours - raw) < 0.05  # in practice


def test_wasserstein_is_a_lower_limit_where_values_leave_the_range() -> None:
    column, reference, live, counts = _pair("far")
    ours = wasserstein(column, counts)
    assert ours is not None
    assert 1 < ours < wasserstein_distance(reference, live) / column.scale


def _shares(column: NumericColumn, reference: Floats, live: Floats) -> tuple[Floats, Floats]:
    """Shares over the raw cuts that the groups stand for, counted anew from the raw values."""
    group = groups_of(column)[: len(column.edges) + 1]
    cuts = [column.edges[i] for i in range(len(group) - 1) if group[i] != group[i + 1]]
    sides = [np.bincount(np.searchsorted(cuts, side, "right"), minlength=GROUPS).astype(float) for side in (reference, live)]
    return sides[0], sides[1]


@pytest.mark.parametrize("name", SHIFTS)
def test_jensen_shannon_is_that_of_scipy_over_the_deciles(name: str) -> None:
    column, reference, live, counts = _pair(name)
    p, q = _shares(column, reference, live)
    assert len(p) == GROUPS
    assert jensen_shannon(column, counts) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-9)


@pytest.mark.parametrize("name", SHIFTS)
def test_psi_is_the_textbook_formula_over_the_deciles(name: str) -> None:
    column, reference, live, counts = _pair(name)
    p, q = ([*s, 0.0] for s in _shares(column, reference, live))  # and the group of what is missing
    ps, qs = ((np.array(s) + 0.5) / (sum(s) + 0.5 * len(s)) for s in (p, q))
    expected = sum((b - a) * np.log(b / a) for a, b in zip(ps, qs, strict=True))
    assert psi(column, counts) == pytest.approx(expected)


def test_psi_of_a_window_of_two_hundred_rows_without_drift_is_not_drift() -> None:
    rng = np.random.default_rng(1)
    column = numeric_column("x", rng.standard_normal(5000))
    values = [psi(column, np.bincount(numeric_slots(column, rng.standard_normal(200)), minlength=70)) for _ in range(200)]
    assert np.mean([v is not None and v > 0.2 for v in values]) < 0.01


def test_a_share_of_nulls_shows_in_psi_and_not_in_the_distances_of_values() -> None:
    column, reference, _, _ = _pair("same")
    values = reference.copy()
    values[::2] = np.nan
    counts = np.bincount(numeric_slots(column, values), minlength=column.slots)
    shown, silent = psi(column, counts), ks(column, counts)
    assert shown is not None
    assert shown > 1
    assert silent is not None
    assert silent < 0.05


def test_jensen_shannon_of_categories_is_that_of_scipy() -> None:
    rng = np.random.default_rng(2)
    column = categorical_column("c", rng.choice(3, 5000, p=[0.5, 0.3, 0.2]).astype(np.int64), ["a", "b", "c"])
    counts = np.array([100, 300, 80, 0, 20, 5, 7])
    q = np.array([100, 300, 80, 0, 20, 12])
    assert jensen_shannon(column, counts) == pytest.approx(jensenshannon([*column.counts[:5], 0], q, base=2))
    assert ks(column, counts) is None
    assert wasserstein(column, counts) is None


@given(
    st.lists(st.integers(-5, 2**60), min_size=12, max_size=12),
    st.lists(st.integers(0, 2**40), min_size=12, max_size=12),
)
def test_distances_of_any_counts_are_finite_or_undefined(live: list[int], reference: list[int]) -> None:
    edges = (-1.7e308, -1.0, 0.0, 5e-324, 1.0, 2.0, 1.7e308)
    numeric = NumericColumn(name="x", role="feature", edges=edges, center=0.0, scale=1e-300, counts=tuple(reference))
    categorical = CategoricalColumn(name="c", role="feature", values=tuple("abcdefgh"), counts=tuple(reference))
    counts = np.array(live, np.int64)
    for column in (numeric, categorical):
        for distance in (psi, jensen_shannon, ks, wasserstein):
            with np.errstate(over="ignore"):
                value = distance(column, counts)
            assert value is None or (np.isfinite(value) and value >= -1e-12)


def test_no_rows_have_no_distance_and_counts_of_another_column_are_refused() -> None:
    column = numeric_column("x", np.arange(100.0))
    assert [d(column, np.zeros(column.slots, np.int64)) for d in (psi, jensen_shannon, ks, wasserstein)] == [None] * 4
    with pytest.raises(ValueError, match="shape"):
        psi(column, np.zeros(3, np.int64))


def test_many_columns_at_once_are_as_each_alone() -> None:
    pairs = [_pair(name) for name in SHIFTS]
    columns, counts = [column for column, *_ in pairs], [own for *_, own in pairs]
    together = distances_of(columns, counts)
    for column, own, told in zip(columns, counts, together, strict=True):
        alone = distances_of([column], [own])[0]
        assert told.keys() == alone.keys()
        for name, d in told.items():
            assert 0 <= d.low <= d.high
            assert [d.value, d.low, d.high, d.chance] == pytest.approx([alone[name].value, alone[name].low, alone[name].high, alone[name].chance])
    assert together[0]["psi"].low == 0 < together[1]["psi"].low


def test_between_two_windows_it_is_what_it_is_from_a_reference_of_the_first() -> None:
    numeric, _, _, counts = _pair("location")
    named = categorical_column("c", np.arange(3_000) % 2, ["a", "b"])
    columns: list[Column] = [numeric, named]
    now = [counts, np.bincount(np.arange(900) % 3, minlength=named.slots)]
    told = since_previous_of(columns, [np.asarray(c.counts) for c in columns], now)
    for column, live, one in zip(columns, now, told, strict=True):
        assert one is not None
        assert one.n == sum(column.counts)
        assert one.psi == pytest.approx(psi(column, live))
        assert one.jensen_shannon == pytest.approx(jensen_shannon(column, live))
    assert since_previous_of([named], [np.zeros(named.slots, np.int64)], now[1:]) == [None]
    assert since_previous_of([], [], []) == []


@pytest.mark.parametrize(("before", "now"), [(400, 400), (5_000, 600)])
def test_of_two_windows_alike_psi_is_above_what_chance_shows_in_five_of_a_hundred(before: int, now: int) -> None:
    rng = np.random.default_rng(before)
    column = numeric_column("x", rng.standard_normal(5_000))
    pairs = 1_000
    windows = [[np.bincount(numeric_slots(column, rng.standard_normal(n)), minlength=column.slots) for _ in range(pairs)] for n in (before, now)]
    told = [one for one in since_previous_of([column] * pairs, *windows) if one is not None]
    assert len(told) == pairs
    # Binomial: 3.6 sd either way.
    assert 0.025 < np.mean([one.psi > one.psi_chance for one in told]) < 0.075
