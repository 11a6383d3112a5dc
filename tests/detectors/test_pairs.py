"""Relations of pairs: e-values whose mean is at most 1 while nothing is wrong, and a change of correlation that no column shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter
from scipy.stats import spearmanr
from tests.detectors.made import START, numeric_reference

from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import SampleRow
from driftline.detectors.binning import slots_of
from driftline.detectors.decider import Decider, DeciderConfig, Verdict
from driftline.detectors.layout import layout_of
from driftline.detectors.multivariate.pairs import MOST_ROWS, PairTable
from driftline.detectors.multivariate.scores import MOST_COLUMNS, Scorer
from driftline.detectors.reference import build_reference

Floats = npt.NDArray[np.float64]
PANE = 20
#: One event a second; one false episode in 100,000 of them.
BUDGET = DeciderConfig(100_000 / 3_600, tolerance=0.05)


def drawn(n: int, columns: int, rng: np.random.Generator, rho: float = 0.0) -> Floats:
    noise = rng.standard_normal((n + 200, columns))
    values: Floats = lfilter([np.sqrt(1 - rho**2)], [1, -rho], noise, axis=0)[200:]
    return values


def related(values: Floats, r: float) -> Floats:
    """The second column with a correlation of r to the first, all else as it was."""
    values = values.copy()
    values[:, 1] = r * values[:, 0] + np.sqrt(1 - r * r) * values[:, 1]
    return values


def times_of(n: int, start: int = START) -> npt.NDArray[np.int64]:
    return np.arange(n, dtype=np.int64) * 1_000 + start


def made(reference: Floats, sample: int = 2_000, config: DeciderConfig = BUDGET) -> tuple[Reference, PairTable]:
    built = numeric_reference(reference, times_of(len(reference)))
    every = max(len(reference) // sample, 1)
    table = PairTable.of_columns(built, columns(built, reference[::every]), times_of(len(reference))[::every], config)
    assert table is not None
    return built, table


def columns(reference: Reference, values: Floats) -> dict[str, list[object]]:
    return {column.name: values[:, i].tolist() for i, column in enumerate(reference.columns)}


def rows_of(reference: Reference, values: Sequence[Sequence[object]]) -> list[SampleRow]:
    names = [column.name for column in reference.columns]
    return [
        SampleRow(sample_hash(str(i)), str(i), START + i * 1000, "1", dict(zip(names, row, strict=True)))  # type: ignore[arg-type]  # junk too
        for i, row in enumerate(values)
    ]


def watched(reference: Reference, table: PairTable | None, live: Floats) -> tuple[int | None, Verdict]:
    """The row at which the decider speaks, with the pairs beside it or alone."""
    decider = Decider(reference, BUDGET, (table.extra,) if table is not None else ())
    layout = layout_of(reference, "features")
    slots = np.stack([slots_of(c, live[:, i]) + layout.offsets[c.name] for i, c in enumerate(layout.columns)])
    score = table.scorer.matrix(columns(reference, live), len(live)) if table is not None else None
    state, hours = decider.start(), PANE / 3_600
    for first in range(0, len(live) - PANE + 1, PANE):
        end = START + 10**9 + (first + PANE) * 1_000
        state = decider.step(state, "features", np.bincount(slots[:, first : first + PANE].ravel(), minlength=layout.slots), end, hours)
        if table is not None and score is not None:
            log_e = table.log_e_of(score[0][first : first + PANE], score[1][first : first + PANE], 3_600.0)
            state = decider.take(state, table.extra.name, log_e, end, hours)
        if decider.verdict(state).crossed:
            return first + PANE, decider.verdict(state)
    return None, decider.verdict(state)


@pytest.mark.parametrize(("rho", "r"), [(0.0, 0.0), (0.0, 0.7), (0.9, 0.0)])
def test_the_mean_of_an_e_value_is_at_most_one_while_nothing_is_wrong(rho: float, r: float) -> None:
    rng = np.random.default_rng(1)
    reference = related(drawn(20_000, 4, rng, rho), r)
    _, table = made(reference)
    panes = 1_500
    live = related(drawn(panes * PANE, 4, rng, rho), r)
    score, there = table.scorer.matrix({c.name: live[:, i] for i, c in enumerate(table.scorer.columns)}, len(live))
    e = np.exp([table.log_e_of(score[i : i + PANE], there[i : i + PANE], 3_600.0) for i in range(0, len(live), PANE)])
    # Autocorrelation: what one pane has, the next has too; the error of the mean is that of long blocks.
    blocks = e.reshape(30, -1, e.shape[1]).mean(axis=1)
    assert np.all(blocks.mean(axis=0) <= 1 + 3.5 * blocks.std(axis=0) / np.sqrt(len(blocks)))


def test_at_the_edge_of_its_tolerance_it_still_is() -> None:
    rng = np.random.default_rng(2)
    _, table = made(drawn(20_000, 2, rng), sample=20_000, config=DeciderConfig(720.0, tolerance=0.2))
    live = related(drawn(120_000, 2, rng), 2 * np.sin(np.pi * 0.2 / 6))  # a correlation of ranks of .2
    assert spearmanr(live[:, 0], live[:, 1]).statistic == pytest.approx(0.2, abs=0.01)
    score, there = table.scorer.matrix({c.name: live[:, i] for i, c in enumerate(table.scorer.columns)}, len(live))
    e = np.exp([table.log_e_of(score[i : i + PANE], there[i : i + PANE], 0.0) for i in range(0, len(live), PANE)])
    assert np.all(e.mean(axis=0) <= 1 + 4 * e.std(axis=0) / np.sqrt(len(e)) + 0.02)
    assert e.mean(axis=0)[0] > 0.9  # and no slack is given away


@pytest.mark.parametrize("r", [0.3, -0.5])
def test_a_change_of_correlation_alone_is_seen_within_5000_events_and_by_no_column(r: float) -> None:
    delays = []
    for seed in range(2):
        rng = np.random.default_rng([seed, 7])
        reference, table = made(drawn(20_000, 20, rng))
        live = drawn(7_000, 20, rng)
        live[2_000:] = related(live[2_000:], r)
        at, verdict = watched(reference, table, live)
        assert at is not None
        delays.append(at - 2_000)
        assert (verdict.carriers[0].column, verdict.carriers[0].term) == ("pairs", "correlation")
        assert watched(reference, None, live)[0] is None
    assert min(delays) > 0
    assert max(delays) < 5_000


def test_the_pair_that_moved_is_named_with_its_size_and_its_onset() -> None:
    rng = np.random.default_rng(11)
    reference, table = made(drawn(10_000, 6, rng))
    decider = Decider(reference, BUDGET, (table.extra,))
    state, hours = decider.start(), PANE / 3_600
    live = drawn(1_000, 6, rng)
    live[300:] = related(live[300:], -0.6)
    rows = rows_of(reference, live.tolist())
    for first in range(0, 1_000, PANE):
        state = decider.take(state, table.extra.name, table.log_e(rows[first : first + PANE], 3_600.0), START + (first + PANE) * 1_000, hours)
    (place, share, onset), *_ = table.carriers(state.extras[table.extra.name], 3)
    assert table.names(place) == ("f0", "f1")
    assert share > 0.9
    assert abs(onset - (START + 300_000)) <= 100_000
    effect = next(e for e in table.effects(rows[300:], 700 / 3_600) if e.column == "f0 x f1")
    told = spearmanr(live[300:, 0], live[300:, 1]).statistic
    assert effect.effect == pytest.approx(told, abs=0.1)
    assert effect.low < effect.effect < effect.high < -effect.tolerance


def test_a_correlation_that_the_reference_has_is_no_drift_and_its_loss_is() -> None:
    rng = np.random.default_rng(5)
    reference, table = made(related(drawn(20_000, 4, rng), 0.8))
    assert watched(reference, table, related(drawn(20_000, 4, rng), 0.8))[0] is None
    at, _ = watched(reference, table, drawn(3_000, 4, rng))
    assert at is not None


def test_null_streams_are_quiet() -> None:
    for seed, rho in enumerate((0.0, 0.9)):
        rng = np.random.default_rng([seed, 3])
        reference, table = made(drawn(20_000, 10, rng, rho))
        assert watched(reference, table, drawn(20_000, 10, rng, rho))[0] is None


def test_rows_of_junk_say_nothing() -> None:
    rng = np.random.default_rng(6)
    reference, table = made(drawn(4_000, 3, rng))
    for junk in (None, float("nan"), float("inf"), "text", True, 10**400):
        rows = rows_of(reference, [[junk, junk, junk]] * 30)
        assert np.all(np.isfinite(table.log_e(rows, 1.0)))
        assert np.all(table.log_e(rows, 1.0) <= (0 if junk is not True else 1e9))
    assert table.effects(rows_of(reference, [[None] * 3] * 30), 1.0) == []
    assert np.all(table.log_e([], 1.0) == 0)
    assert table.log_e([SampleRow(1, "a", START, "1", {})], 1.0).shape == (len(table.extra.signs),)


def test_the_same_rows_give_the_same_bits_and_only_so_many_are_looked_at() -> None:
    rng = np.random.default_rng(8)
    reference, table = made(drawn(4_000, 5, rng))
    rows = rows_of(reference, drawn(2 * MOST_ROWS, 5, rng).tolist())
    assert table.log_e(rows, 60.0).tobytes() == table.log_e(rows[:MOST_ROWS], 60.0).tobytes()
    again = PairTable.of(reference, rows_of(reference, drawn(1_000, 5, np.random.default_rng(9)).tolist()), BUDGET)
    other = PairTable.of(reference, rows_of(reference, drawn(1_000, 5, np.random.default_rng(9)).tolist()), BUDGET)
    assert again is not None
    assert other is not None
    assert again.log_e(rows, 60.0).tobytes() == other.log_e(rows, 60.0).tobytes()


def test_too_little_to_judge_by_has_no_pairs() -> None:
    rng = np.random.default_rng(4)
    reference = numeric_reference(drawn(2_000, 3, rng), times_of(2_000))
    assert PairTable.of(reference, [], BUDGET) is None
    assert PairTable.of(reference, rows_of(reference, drawn(100, 3, rng).tolist()), BUDGET) is None
    alone = numeric_reference(drawn(2_000, 1, rng), times_of(2_000))
    assert PairTable.of(alone, rows_of(alone, drawn(1_000, 1, rng).tolist()), BUDGET) is None


def test_many_columns_are_bounded_constant_ones_left_out_and_two_valued_ones_taken() -> None:
    rng = np.random.default_rng(4)
    features: dict[str, list[object]] = {f"f{i}": rng.standard_normal(800).tolist() for i in range(40)}
    features |= {"constant": [1.0] * 800, "yes": rng.choice(["y", "n"], 800).tolist(), "many": rng.choice(list("abcdef"), 800).tolist()}
    reference = build_reference(
        model="m", version="1", task="regression", effective_from=0, origin="built", times=times_of(800), features=features,
        importance={"yes": 0.5, "f39": 0.3, "constant": 0.1, "many": 0.1},
    )  # fmt: skip
    names = [column.name for column in Scorer.of(reference).columns]
    assert len(names) == MOST_COLUMNS
    assert {"yes", "f39"} <= set(names)
    assert not {"constant", "many"} & set(names)


def test_a_pair_whose_column_has_no_weight_never_alarms() -> None:
    rng = np.random.default_rng(12)
    config = DeciderConfig(BUDGET.budget_hours, 0.05, weights={"f1": 0.0})
    reference, table = made(drawn(4_000, 3, rng), config=config)
    rows = rows_of(reference, related(drawn(200, 3, rng), 0.9).tolist())
    assert [table.names(k) for k in np.flatnonzero(table.live.any(axis=0)).tolist()] == [("f0", "f2")]
    assert table.log_e(rows, 0.0).shape == (len(table.extra.signs),) == (4,)
    assert PairTable.of(reference, rows_of(reference, drawn(1_000, 3, rng).tolist()), DeciderConfig(1.0, weights={"f0": 0, "f1": 0})) is None


def test_two_columns_that_follow_the_hour_are_no_pair_for_their_product_follows_it_too() -> None:
    rng = np.random.default_rng(11)
    at = np.sort(rng.uniform(0, 28 * 24, 20_000))
    times = (at * 3_600_000).astype(np.int64) + START
    wave = np.sin(2 * np.pi * at / 24)
    values = {"a": wave + rng.standard_normal(len(at)), "b": wave + rng.standard_normal(len(at)), "c": rng.standard_normal(len(at))}
    reference = build_reference(
        model="m", version="1", task="regression", effective_from=0, origin="built", times=times, features=values, calendar="auto"
    )  # fmt: skip
    assert {entry.column for entry in reference.terms if entry.seasons} == {"a", "b"}
    table = PairTable.of_columns(reference, {name: column[::10].tolist() for name, column in values.items()}, times[::10], BUDGET)
    assert table is not None
    watched = {table.names(place) for place in range(len(table.left)) if table.theta[:, place].any()}
    assert watched == {("a", "c"), ("b", "c")}
