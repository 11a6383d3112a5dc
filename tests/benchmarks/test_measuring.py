"""What the benchmark reads is what Driftline takes, and what it measures between two samples lies between them."""

from __future__ import annotations

import msgspec
import numpy as np
from benchmarks.events import (
    BEYOND_S,
    DRIFT_AT,
    DRIFTING,
    FEATURES,
    MODEL,
    PARTITIONS,
    WINDOW_S,
    closing_records,
    event_time,
    last_window_end,
    records,
)
from benchmarks.fill_columnar import columnar
from benchmarks.running import Sample, cpu_at
from hypothesis import given
from hypothesis import strategies as st

from driftline.contracts.columnar_decoding import decode_columnar
from driftline.contracts.events import decode_inference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.times import parse_duration

_START = 1_700_000_000_000
_steps = st.lists(st.tuples(st.floats(0.01, 5), st.floats(0, 5)), min_size=1, max_size=20)


def _samples(steps: list[tuple[float, float]]) -> list[Sample]:
    made = [Sample(100.0, 1.0, 0, 0)]
    for wall, cpu in steps:
        made.append(Sample(made[-1].wall + wall, made[-1].cpu + cpu, 0, 0))
    return made


@given(_steps, st.floats(90, 250), st.floats(90, 250))
def test_processor_time_grows_with_the_clock_and_meets_every_sample(steps: list[tuple[float, float]], one: float, other: float) -> None:
    samples = _samples(steps)

    assert samples[0].cpu <= cpu_at(samples, min(one, other)) <= cpu_at(samples, max(one, other)) <= samples[-1].cpu
    assert all(abs(cpu_at(samples, s.wall) - s.cpu) < 1e-6 for s in samples)


def test_every_record_is_an_event_of_about_700_bytes_and_five_features_are_higher_from_60_percent_on() -> None:
    made = list(records(0, 2000, 2000, _START))
    events = [decode_inference(r.value) for r in made]
    rows = [msgspec.json.decode(e.features, type=dict[str, float]) for e in events]
    before, after = ([row[name] for row in part for name in DRIFTING] for part in (rows[: int(2000 * DRIFT_AT)], rows[int(2000 * DRIFT_AT) :]))

    assert all(600 < len(r.value) < 800 for r in made)
    assert {e.event_id for e in events} == {r.key.decode() for r in made}
    assert len({e.event_id for e in events}) == 2000
    assert all(tuple(row) == FEATURES for row in rows)
    assert 0.4 < np.mean(after) - np.mean(before) < 0.6


def test_a_columnar_record_holds_the_same_kind_of_events() -> None:
    times = np.arange(50, dtype=np.int64) + _START

    read = decode_columnar(columnar(times, np.random.default_rng(1), drifted=False))

    assert (read.model, read.times.tolist()) == (MODEL, times.tolist())
    assert tuple(read.features) == FEATURES
    assert len({read.event_id(i) for i in range(50)}) == 50
    assert not read.flawed.any()


@given(st.integers(1, 10_000_000))
def test_the_closing_records_close_the_last_window(events: int) -> None:
    end, last = last_window_end(events, _START), event_time(events - 1, _START)
    closing = [decode_inference(r.value).event_time for r in closing_records(events, _START)]

    assert last < end <= last + WINDOW_S * 1000
    assert len(closing) == PARTITIONS
    assert min(closing) >= end + parse_duration(ModelSettings().allowed_lateness)
    assert BEYOND_S > WINDOW_S
