"""E-processes beside the tables: the same recursion, the same budget, a state that comes back."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detectors.made import START, numeric_reference

from driftline.contracts.reference import Reference
from driftline.contracts.times import HOUR_MS
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.extras import Extra, ExtraState

JOINT = Extra("features", "rows", "multivariate", signs=(1.0, -1.0))
SINGLE = Extra("features", "other", "volume", weight=3.0)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return numeric_reference(np.random.default_rng(5).standard_normal((2_000, 1)), np.arange(2_000, dtype=np.int64) * 1000 + START)


def test_evidence_of_an_extra_alarms_and_is_named(reference: Reference) -> None:
    decider = Decider(reference, DeciderConfig(720.0), (JOINT, SINGLE))
    state, end = decider.start(), START
    for _ in range(10):
        end += HOUR_MS
        state = decider.take(state, JOINT.name, np.array([-1.0, 2.0]), end, 1.0)
    verdict = decider.verdict(state)
    assert verdict.crossed
    assert (verdict.carriers[0].column, verdict.carriers[0].term, verdict.carriers[0].direction) == ("rows", "multivariate", "down")
    assert verdict.onset == START
    assert not decider.verdict(decider.start()).crossed


def test_a_weight_of_zero_mutes_an_extra(reference: Reference) -> None:
    decider = Decider(reference, DeciderConfig(720.0, weights={"rows": 0.0}), (JOINT,))
    state = decider.take(decider.start(), JOINT.name, np.array([500.0, 500.0]), START, 1.0)
    assert decider.verdict(state).evidence == 0
    assert not decider.verdict(state).crossed


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_the_sum_is_shiryaev_roberts(reference: Reference, log_es: list[float]) -> None:
    decider = Decider(reference, DeciderConfig(720.0), (SINGLE,))  # one column of weight 1 and this of weight 3
    state, r, end = decider.start(), 0.0, START
    for log_e in log_es:
        end += 2 * HOUR_MS
        state = decider.take(state, SINGLE.name, np.array([log_e]), end, 2.0)
        r = (r + 2.0 * 0.75) * float(np.exp(log_e))
    assert decider.verdict(state).evidence == pytest.approx(r)


def test_the_mean_of_the_evidence_is_the_clock_while_e_values_have_mean_one() -> None:
    rng = np.random.default_rng(3)
    final = []
    for _ in range(4_000):
        state = ExtraState.fresh(1)
        for step in range(5):
            z = rng.standard_normal() * 0.4
            state = state.stepped(np.array([z - 0.08]), np.array([1.0]), START + step * HOUR_MS, 1.0)
        final.append(float(np.exp(state.log_r[0])))
    assert np.mean(final) == pytest.approx(5.0, abs=4 * np.std(final) / np.sqrt(len(final)))


@settings(max_examples=30, deadline=None)
@given(st.floats(-4, 4), st.floats(0.01, 50))
def test_growth_without_a_step_is_the_limit_of_many_small_ones(rate: float, hours: float) -> None:
    mass, steps = np.array([0.3]), 4_000
    start = ExtraState.fresh(1).stepped(np.array([0.5]), mass, START, 1.0)
    if abs(rate * hours) > 100:
        return
    at_once = start.grown(np.array([rate]), mass, START + HOUR_MS, hours)
    small, log_r = hours / steps, start.log_r
    for _ in range(steps):
        log_r = np.logaddexp(log_r, np.log(mass * small)) + rate * small
    assert at_once.log_r[0] == pytest.approx(log_r[0], abs=abs(rate) * hours / steps + 1e-3)


def test_states_come_back_and_those_of_before_extras_do_too(reference: Reference) -> None:
    bare, decider = Decider(reference, DeciderConfig(720.0)), Decider(reference, DeciderConfig(720.0), (JOINT, SINGLE))
    state = decider.take(decider.start(), JOINT.name, np.array([1.0, -2.0]), START, 1.0)
    again = decider.decode(state.encode())
    assert again.encode() == state.encode()
    assert again.extras[JOINT.name].end == START
    assert again.extras[SINGLE.name].end is None
    old = msgspec.msgpack.encode(msgspec.msgpack.decode(bare.start().encode())[:3])
    assert decider.decode(old).encode() == decider.start().encode()
    # Nobody asks any more: let go of.
    assert bare.decode(state.encode()).extras == {}
    junk = msgspec.msgpack.decode(state.encode())
    junk[3][JOINT.name][0] = np.array([np.nan, 0.0]).astype("<f8").tobytes()
    with pytest.raises(ValueError, match="evidence"):
        decider.decode(msgspec.msgpack.encode(junk))


@pytest.mark.parametrize("log_e", [np.zeros(3), np.array([np.nan, 0.0])])
def test_what_is_no_e_value_is_refused(reference: Reference, log_e: np.ndarray) -> None:
    decider = Decider(reference, DeciderConfig(720.0), (JOINT,))
    with pytest.raises(ValueError, match="e-values"):
        decider.take(decider.start(), JOINT.name, log_e, START, 1.0)
    with pytest.raises(ValueError, match="two extras"):
        Decider(reference, DeciderConfig(720.0), (JOINT, JOINT))
