"""Intervals over blocks of time, against SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from driftline.contracts.findings import Performance
from driftline.detectors.blocks import over_blocks

losses = st.lists(st.floats(0.01, 10), min_size=3, max_size=30)


def _block(n: int, loss: float, name: str = "log_loss") -> Performance:
    return Performance(n=n, metrics={name: loss})


@given(losses)
def test_blocks_of_one_size_give_students_interval_of_their_means(means: list[float]) -> None:
    mean = float(np.mean(means))
    told = over_blocks(Performance(n=100 * len(means), metrics={"log_loss": mean}), [_block(100, m) for m in means])
    error = float(stats.sem(means))
    # Two ends of 95 % each are one interval of 90 %.
    expected = stats.t.interval(0.9, len(means) - 1, loc=mean, scale=error) if error > 0 else (mean, mean)
    assert told.low["log_loss"] == pytest.approx(expected[0], abs=1e-9)
    assert told.high["log_loss"] == pytest.approx(expected[1], abs=1e-9)


@given(losses, st.floats(0, 5), st.floats(0, 5))
def test_an_interval_only_ever_grows(means: list[float], below: float, above: float) -> None:
    mean = float(np.mean(means))
    before = Performance(n=1, metrics={"log_loss": mean}, low={"log_loss": mean - below}, high={"log_loss": mean + above})
    after = over_blocks(before, [_block(10, m) for m in means])
    assert after.low["log_loss"] <= before.low["log_loss"]
    assert after.high["log_loss"] >= before.high["log_loss"]
    assert after.metrics == before.metrics


def test_two_blocks_say_nothing_about_how_blocks_vary() -> None:
    before = Performance(n=20, metrics={"log_loss": 0.5}, low={"log_loss": 0.4})
    assert over_blocks(before, [_block(10, 0.1), _block(10, 0.9)]) == before


def test_a_large_block_weighs_by_its_rows() -> None:
    told = over_blocks(Performance(n=1020, metrics={"log_loss": 0.5}), [_block(1000, 0.5), _block(10, 2.0), _block(10, 0.1)])
    assert 0.4 < told.low["log_loss"] < 0.5 < told.high["log_loss"] < 0.6


def test_rmse_is_judged_by_its_squares() -> None:
    told = over_blocks(Performance(n=30, metrics={"rmse": 2.0}), [_block(10, r, "rmse") for r in (1.0, 2.0, math.sqrt(7))])
    squares = stats.t.interval(0.9, 2, loc=4.0, scale=float(stats.sem([1.0, 4.0, 7.0])))
    assert told.high["rmse"] == pytest.approx(math.sqrt(squares[1]))
    assert told.low["rmse"] == 0.0
