"""How many events: quiet while the traffic has its days and bursts, heard when it halves, doubles or ends."""

from __future__ import annotations

import numpy as np
import pytest
from tests.detectors.made import START, Counts

from driftline.contracts.reference import Reference
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.detectors.decider import Decider, DeciderConfig, Verdict
from driftline.detectors.layout import layout_of
from driftline.detectors.reference import build_reference
from driftline.detectors.volume import VOLUME, volume_of

MIDNIGHT = START // (7 * DAY_MS) * 7 * DAY_MS
LATER = MIDNIGHT + 70 * DAY_MS


def _times(
    days: float, rate: float, rng: np.random.Generator, *, daily: bool = False, weekend: float = 1.0, bursts: float = 0.0, first: int = MIDNIGHT
) -> Counts:
    """Event times: Poisson, with nights, quieter weekends and an hour's own luck (gamma) where asked for."""
    hours = np.arange(int(days * 24))
    expected = np.full(len(hours), rate)
    if daily:
        expected *= np.maximum(1.5 * np.sin(np.pi * ((hours % 24) - 6) / 12), 0.02)
    # 1970 began on a Thursday, and so do these weeks: Saturday is their third day.
    expected = np.where(np.isin(hours // 24 % 7, (2, 3)), expected * weekend, expected)
    if bursts:
        expected *= rng.gamma(1 / bursts**2, bursts**2, len(hours))
    n = rng.poisson(expected)
    return np.sort((np.repeat(hours, n) + rng.uniform(0, 1, n.sum())) * HOUR_MS).astype(np.int64) + first


def _built(times: Counts, *, whole: bool = True) -> Reference:
    values = np.random.default_rng(0).standard_normal(len(times))
    return build_reference(
        model="m", version="1", task="regression", effective_from=0, origin="built", times=times, features={"x": values}, all_events=whole
    )  # fmt: skip


def _alarms(reference: Reference, times: Counts, until: int, pane: int = HOUR_MS) -> list[tuple[float, Verdict]]:
    """Hours since ``LATER`` and verdicts of what the volume alone says; panes without events are left out, as they are live."""
    decider = Decider(reference, DeciderConfig(720.0, weights={"x": 0.0}))
    nothing = np.zeros(layout_of(reference, "features").slots, np.int64)
    state, found = decider.start(), []
    place, counts = np.unique(times // pane, return_counts=True)
    for at, n in zip(place.tolist(), counts.tolist(), strict=True):
        state = decider.step(state, "features", nothing, (at + 1) * pane, pane / HOUR_MS, n)
        verdict = decider.verdict(state)
        if verdict.crossed:
            found.append((((at + 1) * pane - LATER) / HOUR_MS, verdict))
            state = decider.start()
    last = int(place[-1] + 1) * pane
    for now in range(last, until, HOUR_MS):
        verdict = decider.verdict(decider.quiet_until(state, now))
        if verdict.crossed:
            return [*found, ((now - LATER) / HOUR_MS, verdict)]
    return found


TRAFFIC = {
    "plain": {"rate": 60.0},
    "few events": {"rate": 0.5},
    "nights": {"rate": 60.0, "daily": True},
    "nights and weekends": {"rate": 60.0, "daily": True, "weekend": 0.2},
    "few events, nights and weekends": {"rate": 2.0, "daily": True, "weekend": 0.3},
    "bursts": {"rate": 60.0, "bursts": 0.7},
}


@pytest.mark.parametrize("kind", TRAFFIC)
def test_usual_traffic_keeps_the_budget(kind: str) -> None:
    """One false episode in 30 days is allowed: two runs of 30 days have two, and six or more with probability .02."""
    alarms = 0
    for seed in range(2):
        rng = np.random.default_rng(seed)
        reference = _built(_times(42, rng=rng, **TRAFFIC[kind]))  # type: ignore[arg-type]
        alarms += len(_alarms(reference, _times(30, rng=rng, first=LATER, **TRAFFIC[kind]), LATER + 30 * DAY_MS))  # type: ignore[arg-type]
    assert alarms <= 5


@pytest.mark.parametrize("kind", ["plain", "nights and weekends", "bursts"])
@pytest.mark.parametrize(("factor", "direction"), [(8.0, "up"), (0.1, "down")])
def test_traffic_that_is_several_times_more_or_less_is_heard(kind: str, factor: float, direction: str) -> None:
    rng = np.random.default_rng(1)
    reference = _built(_times(42, rng=rng, **TRAFFIC[kind]))  # type: ignore[arg-type]
    changed = {**TRAFFIC[kind], "rate": TRAFFIC[kind]["rate"] * factor}
    found = _alarms(reference, _times(14, rng=rng, first=LATER, **changed), LATER)  # type: ignore[arg-type]
    assert found
    hours, verdict = found[0]
    assert hours <= (24 if kind == "plain" else 7 * 24)
    carrier = verdict.carriers[0]
    assert (carrier.column, carrier.term, carrier.direction) == (VOLUME, VOLUME, direction)


def test_the_end_of_all_events_is_heard_though_no_pane_closes() -> None:
    rng = np.random.default_rng(2)
    for kind, most in (("plain", 12.0), ("nights and weekends", 72.0)):
        reference = _built(_times(42, rng=rng, **TRAFFIC[kind]))  # type: ignore[arg-type]
        live = _times(10, rng=rng, first=LATER, **TRAFFIC[kind])  # type: ignore[arg-type]
        found = _alarms(reference, live, LATER + 30 * DAY_MS)
        assert len(found) == 1
        assert 240 < found[0][0] <= 240 + most


def test_a_pane_that_is_empty_and_one_that_is_left_out_are_the_same_time() -> None:
    rng = np.random.default_rng(3)
    reference = _built(_times(42, 20.0, rng))
    decider, nothing = Decider(reference, DeciderConfig(720.0)), np.zeros(layout_of(reference, "features").slots, np.int64)
    start = decider.step(decider.start(), "features", nothing, LATER, 1.0, 20)
    told, left_out = start, decider.step(start, "features", nothing, LATER + 4 * HOUR_MS, 1.0, 30)
    for hour, n in ((1, 0), (2, 0), (3, 0), (4, 30)):
        told = decider.step(told, "features", nothing, LATER + hour * HOUR_MS, 1.0, n)
    name = next(iter(told.extras))
    assert np.abs(told.extras[name].cusum[:4] - left_out.extras[name].cusum[:4]).max() < 1e-9
    assert decider.decode(left_out.encode()).encode() == left_out.encode()


@pytest.mark.parametrize("sign", [1, -1])
def test_at_the_edge_of_what_is_normal_e_values_have_mean_at_most_one(sign: int) -> None:
    rng = np.random.default_rng(4)
    volume = Decider(_built(_times(42, 20.0, rng)), DeciderConfig(720.0)).volume
    assert volume is not None
    mean = volume.expected(LATER, LATER + HOUR_MS) * float(np.exp(sign * volume.tolerance))
    e = np.exp([volume.log_e(int(n), LATER, LATER + HOUR_MS) for n in rng.poisson(mean, 20_000)])
    side = np.array(volume.extra.signs) == sign
    assert (e.mean(axis=0)[side] <= 1 + 4 * e.std(axis=0)[side] / np.sqrt(len(e))).all()


def test_what_a_reference_can_not_tell_it_does_not() -> None:
    rng = np.random.default_rng(5)
    short = _built(_times(1, 2_000.0, rng))
    told = volume_of(short)
    assert told is not None
    assert not told.calibrated
    assert told.rate == pytest.approx(2_000, rel=0.1)
    assert told.longest_gap is not None
    assert 0 < told.longest_gap < HOUR_MS
    assert volume_of(_built(_times(42, 5.0, rng), whole=False)) is None
    at_once = volume_of(_built(np.full(500, START)))
    assert at_once is not None
    assert not at_once.calibrated
    for reference in (short, _built(np.full(500, START))):
        assert Decider(reference, DeciderConfig(720.0)).volume is None
    single = volume_of(_built(np.array([START])))
    assert single is not None
    assert single.longest_gap == 0


def test_a_weekly_rhythm_is_in_the_rate() -> None:
    told = volume_of(_built(_times(42, 60.0, np.random.default_rng(6), daily=True, weekend=0.2)))
    assert told is not None
    assert told.calibrated
    assert len(told.seasons) == 168
    assert told.variance_hours < 1
