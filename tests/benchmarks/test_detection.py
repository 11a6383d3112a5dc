"""The detection benchmark measures what it says: peers' rules are the published ones, streams drift where they say, counts are counts."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from benchmarks.detection import changes, draws
from benchmarks.detection.catalogue import DRIFTING, MARKS, NULL
from benchmarks.detection.chunks import EVIDENTLY_ROWS, NANNYML_ROWS, evidently, nannyml
from benchmarks.detection.jobs import STREAMS, joined
from benchmarks.detection.measure import measure, median_interval, tuned
from benchmarks.detection.ours import OURS
from benchmarks.detection.peers import RIVER
from benchmarks.detection.report import page
from benchmarks.detection.streams import Run, Stream, in_events, in_time
from benchmarks.detection.watching import Alarm, Until, Watcher
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import binom, wasserstein_distance

SMALL = in_events("small", draws.iid(3), reference_rows=2_000, live_rows=3_000)
SMALL_DRIFT = in_events("small drift", draws.iid(3), null="small", reference_rows=2_000, live_rows=4_000, change=changes.shift(2.0), changed=(1,))
COLOURS = in_events("colours", draws.categories(draws.zipf(5), 2), reference_rows=3_000, live_rows=2_000, categories=(0, 1))


@given(seed=st.integers(0, 10_000), ties=st.booleans())
@settings(deadline=None, max_examples=15)
def test_evidently_s_rule_is_scipy_s_distance_over_sd(seed: int, ties: bool) -> None:
    run = in_events("x", draws.counted(2) if ties else draws.heavy(2), reference_rows=1_500, live_rows=2_000).make(seed)

    told = evidently(run)

    for chunk in range(2):
        for i in range(2):
            rows = run.live[chunk * EVIDENTLY_ROWS : (chunk + 1) * EVIDENTLY_ROWS, i]
            expected = wasserstein_distance(run.reference[:, i], rows) / run.reference[:, i].std()
            assert told[chunk, i] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_nannyml_s_rule_is_a_distance_in_sd_of_the_reference_s_own_chunks() -> None:
    run = COLOURS.make(1)
    shares = [np.bincount(run.reference[:, 0].astype(int), minlength=5)]

    def distance(rows: Any) -> float:
        return float(jensenshannon(shares[0] / shares[0].sum(), np.bincount(rows.astype(int), minlength=5) / len(rows), base=2))

    own = [distance(run.reference[k : k + NANNYML_ROWS, 0]) for k in range(0, 3_000, NANNYML_ROWS)]
    live = [distance(run.live[k : k + NANNYML_ROWS, 0]) for k in range(0, 2_000, NANNYML_ROWS)]

    assert nannyml(run)[:, 0] == pytest.approx((np.array(live) - np.mean(own)) / np.std(own))


@pytest.mark.parametrize(
    "stream", [SMALL_DRIFT, COLOURS, in_time("t", draws.regimes(6, 0.3), 10, reference_days=5, live_days=5)], ids=lambda s: s.name
)
def test_a_stream_is_a_function_of_its_seed(stream: Stream) -> None:
    one, same, other = (stream.make(seed) for seed in (1, 1, 2))

    assert np.array_equal(one.live, same.live)
    assert np.array_equal(one.times, same.times)
    assert not np.array_equal(one.reference[:100], other.reference[:100])
    assert (np.diff(one.times) >= 0).all()
    assert one.reference_times[-1] < one.times[0]


def test_every_stream_is_named_once_and_tuned_on_a_null_one_of_its_group() -> None:
    assert len(STREAMS) == len(NULL) + len(DRIFTING)
    nulls = {stream.name: stream for stream in NULL}
    assert all(stream.group == nulls[stream.null].group for stream in STREAMS.values())
    assert all(stream.drifts for stream in DRIFTING)
    assert not any(stream.drifts for stream in NULL)
    assert {name for name, _ in MARKS} <= set(STREAMS)


@pytest.mark.parametrize(
    ("change", "column", "moved"),
    [
        (changes.shift(1.0), lambda v: v.mean(), 1.0),
        (changes.stretched(2.0), lambda v: v.std(), 1.0),
        (changes.two_peaks(0.9), lambda v: v.std(), 0.0),
        (changes.lost(0.1), lambda v: np.isnan(v).mean(), 0.1),
        (changes.moved(0.2, 9), lambda v: (v == 9).mean(), 0.2),
        (changes.coupled(0.8), lambda v: v.std(), 0.0),
        (changes.incremental(1.0, 1), lambda v: v.mean(), 1.0),
        (changes.gradual(1.0, 10_000), lambda v: v.mean(), 0.75),
        (changes.recurring(1.0, 5_000), lambda v: v.mean(), 0.5),
    ],
    ids=("shift", "stretched", "two peaks", "lost", "moved", "coupled", "incremental", "gradual", "recurring"),
)
def test_a_change_does_what_it_says_to_the_columns_that_it_says(change: Any, column: Any, moved: float) -> None:
    rows = np.random.default_rng(0).standard_normal((20_000, 4))

    after = change(rows, (1, 2), np.random.default_rng(1))

    assert np.array_equal(after[:, [0, 3]], rows[:, [0, 3]])
    assert column(after[:, 1]) - column(rows[:, 1]) == pytest.approx(moved, abs=0.03)


def test_coupled_columns_correlate_and_errors_become_as_many_as_they_say() -> None:
    rows = np.random.default_rng(0).standard_normal((20_000, 3))
    after = changes.coupled(0.8)(rows, (0, 2), np.random.default_rng(1))
    assert np.mean(after[:, 0] * after[:, 2]) == pytest.approx(0.8, abs=0.03)
    wrong = draws.errors(0.1)(50_000, np.random.default_rng(2))
    assert changes.more_errors(0.1, 0.2)(wrong, (0,), np.random.default_rng(3)).mean() == pytest.approx(0.2, abs=0.01)


def _clock(run: Run, every: float, until: Until) -> list[Alarm]:
    rows = range(int(every), len(run.live) + 1, int(every))
    return [Alarm(row, ("f1",)) for row in rows if until is None or row <= until + every]


def test_alarms_before_the_onset_are_false_and_the_first_after_it_is_the_delay() -> None:
    (told,) = measure([(Watcher("clock", _clock, 900), 900)], SMALL_DRIFT, (1, 2))
    (never,) = measure([(Watcher("clock", _clock, 900), 5_000)], SMALL_DRIFT, (1, 2))

    assert (told.false_episodes, told.delay_median, told.missed, told.named, told.named_wrongly) == (4, 700.0, 0, 1.0, 0.0)
    assert told.budget == pytest.approx(0.04)
    assert not told.kept
    assert (never.delay_median, never.missed, never.kept) == (None, 2, True)


def test_a_regression_whose_errors_grow_is_seen_by_ours_and_by_adwin_and_is_quiet_while_they_do_not() -> None:
    about: dict[str, Any] = {"reference_rows": 5_000, "live_rows": 4_000, "group": "losses"}
    null = in_events("l", draws.residuals(5.0), **about)
    grown = in_events("m", draws.residuals(5.0), change=changes.stretched(2.0), changed=(0,), onset=1_000, **about)
    for watcher in (*OURS, RIVER[1]):
        (quiet,) = measure([(watcher, watcher.setting)], null, (5,))
        (told,) = measure([(watcher, watcher.setting)], grown, (5,))
        assert quiet.false_episodes == 0, watcher.name
        assert told.delay_median is not None, watcher.name
        assert (told.delay_median < 600, told.named) == (True, 1.0), watcher.name


def test_a_spread_that_grows_is_soon_seen_in_squares() -> None:
    stream = in_events("s", draws.iid(2), reference_rows=2_000, live_rows=4_000, change=changes.stretched(2.0), changed=(1,))
    plain, squares = (measure([(watcher, watcher.setting)], stream, (5,))[0].delay_median or np.inf for watcher in RIVER[:2])
    assert squares < plain


def test_a_peer_is_tuned_to_the_most_eager_setting_that_keeps_the_budget() -> None:
    null = in_events("n", draws.iid(1), reference_rows=100, live_rows=100_000)
    settings_ = (1_000.0, 10_000.0, 25_000.0, 100_000.0, 200_000.0)

    assert tuned(Watcher("clock", _clock, 1_000.0, settings_), null, (1, 2)) == 100_000
    assert tuned(Watcher("clock", _clock, 1_000.0, settings_[:2]), null, (1, 2)) is None


def test_what_watches_finds_a_large_shift_and_names_it() -> None:
    for watcher in (*OURS, RIVER[0]):
        (told,) = measure([(watcher, watcher.setting)], SMALL_DRIFT, (5,))
        assert told.delay_median is not None
        assert told.delay_median < 200
        assert told.named == 1.0


def test_errors_that_rise_are_seen_by_ours_and_by_all_of_river_s() -> None:
    stream = in_events(
        "e", draws.errors(0.1), reference_rows=3_000, live_rows=4_000, change=changes.more_errors(0.1, 0.5), changed=(0,), onset=1_000, group="errors"
    )
    for watcher in (*OURS, *(w for w in RIVER if "errors" in w.groups)):
        (told,) = measure([(watcher, watcher.setting)], stream, (5,))
        assert told.delay_median is not None, watcher.name
        assert told.delay_median < 600


@pytest.mark.parametrize("n", [6, 8, 9, 16, 64, 200])
def test_the_interval_of_a_median_is_the_narrowest_that_covers_it(n: int) -> None:
    low, high = median_interval([float(i) for i in range(n)])

    assert low is not None
    assert high == n - 1 - low
    assert 2 * binom.cdf(low, n, 0.5) <= 0.05 < 2 * binom.cdf(low + 1, n, 0.5)


def test_the_page_tells_what_is_broken_and_who_is_faster() -> None:
    quiet, loud = (asdict(t) for t in measure([(OURS[0], 0.2), (Watcher("clock", _clock, 100), 100)], SMALL, (1,)))
    quick = {**asdict(measure([(OURS[0], 0.2)], SMALL_DRIFT, (1,))[0]), "delay_median": 50.0, "delay_interval": [40.0, 60.0]}
    slow = {**quick, "delay_median": 400.0}
    about = {"group": "columns", "tuned_on": "iid", "per_hour": 0.0}
    streams = {
        "a null": {"kind": "null", **about, **loud, "tolerance_05": quiet, "tolerance_0": None, "peers": {"adwin": {**loud, "tuned": quiet}}},
        MARKS[0][0]: {
            "kind": "drift",
            **about,
            **slow,
            "tolerance_05": slow,
            "tolerance_0": None,
            "peers": {"adwin": {**quick, "tuned": quick}, "kswin": {**slow, "tuned": None}},
        },
    }
    told = {"command": "c", "commit": "abc", "date": "today", "versions": {"river": "1"}, "seeds": "1"}

    made = page(json.loads(json.dumps({"streams": streams, "ours": told, "peers": {}})))

    assert "- Ours: `c`, commit abc" in made
    assert "- **a null**, driftline: 30 where 0.03 are allowed" in made
    assert f"- **{MARKS[0][0]}**: ours 400 / 400 / -; adwin 50." in made
    assert f"| {MARKS[0][0]} | 200 | 400 (40 to 60) | 400 (40 to 60) | 1 | **no** |" in made
    assert "can't / 400" in made


def test_ours_and_peers_are_measured_apart_and_joined_by_stream() -> None:
    own = {"iid": [{"setting": 0.2}, {"setting": 0.05}, {"setting": 0.0}], "errors, 10 %": [{"setting": 0.2}, {"setting": 0.05}]}

    told = joined(own, {"iid": {"adwin": {"setting": 0.002}}})

    assert told["iid"]["peers"] == {"adwin": {"setting": 0.002}}
    assert [told["iid"]["setting"], *(told["iid"][which]["setting"] for which in ("tolerance_05", "tolerance_0"))] == [0.2, 0.05, 0.0]
    assert told["errors, 10 %"]["tolerance_0"] is None
    assert (told["errors, 10 %"]["group"], told["errors, 10 %"]["peers"]) == ("errors", {})
