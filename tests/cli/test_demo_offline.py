"""The offline year says what a worker would: of pairs and the traffic too, and of shares in percent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from driftline.cli.demo.offline import Year
from driftline.contracts.findings import Alert
from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.detectors.bootstrap import Plan, course_of
from driftline.detectors.decider import DeciderConfig
from driftline.detectors.multivariate.course import PairCourse
from driftline.detectors.reference import build_reference
from driftline.detectors.whole import Whole

START = 1_700_006_400_000 // DAY_MS * DAY_MS
DAYS, AN_HOUR = 40, 20
FIRST, LAST = 10 * 24, 20 * 24  # hours between which something is different

Columns = dict[str, list[Any]]


def columns_of(seed: int) -> Columns:
    rng = np.random.default_rng(seed)
    n = DAYS * 24 * AN_HOUR
    return {"x": rng.standard_normal(n).tolist(), "y": rng.standard_normal(n).tolist(), "town": rng.choice(["a", "b", "c"], n).tolist()}


TIMES = START + np.arange(DAYS * 24 * AN_HOUR, dtype=np.int64) * (HOUR_MS // AN_HOUR)


@pytest.fixture(scope="module")
def whole() -> Whole:
    before = columns_of(0)
    times = TIMES - DAYS * DAY_MS
    reference: Reference = build_reference(
        model="m", version="1", task="regression", effective_from=START, origin="built", times=times, features=before, all_events=True,
    )  # fmt: skip
    rows = [
        SampleRow(sample_hash(str(i)), str(i), int(times[i]), "1", {name: held[i] for name, held in before.items()}) for i in range(0, len(times), 10)
    ]
    return Whole.of(reference, DeciderConfig(240.0, 0.1), rows)


def watched(whole: Whole, values: Columns, keep: np.ndarray[Any, np.dtype[np.bool_]] | None = None) -> list[Alert]:
    there = np.ones(len(TIMES), np.bool_) if keep is None else keep
    held: Mapping[str, list[Any]] = {name: [value for value, kept in zip(own, there, strict=True) if kept] for name, own in values.items()}
    times = TIMES[there]
    plan = Plan(HOUR_MS, START, DAYS * 24, DAYS * 24, 1)
    course = course_of(whole.reference, "features", held, times, plan, whole=True)
    assert whole.pairs is not None
    scored = whole.pairs.scorer.matrix(held, len(times))
    pairs = PairCourse.of(whole.pairs, scored, (times - START) // HOUR_MS, np.arange(len(times)), panes=plan.series, most=64)
    return Year(whole, START).watch([replace(course, pairs=pairs)])


INSIDE = range(FIRST * AN_HOUR, LAST * AN_HOUR)


def test_nothing_is_said_of_a_year_like_the_reference(whole: Whole) -> None:
    assert watched(whole, columns_of(1)) == []


def test_a_relation_that_changes_opens_an_episode_and_ends_it_as_it_comes_back(whole: Whole) -> None:
    values = columns_of(1)
    for i in INSIDE:
        values["y"][i] = 0.6 * values["x"][i] + 0.8 * values["y"][i]
    opened, *later = watched(whole, values)
    assert opened.status == "opened"
    assert START + FIRST * HOUR_MS < opened.at < START + (FIRST + 72) * HOUR_MS
    assert [cause.column for cause in opened.causes] == ["x x y"]
    # r .6 is a correlation of ranks of 6 / pi asin(.3).
    assert opened.causes[0].low < 0.58 < opened.causes[0].high
    assert "the correlation of x x y is higher by" in opened.sentence
    assert [alert.status for alert in later] == ["resolved"]
    assert START + LAST * HOUR_MS < later[0].at <= START + (LAST + 4 * 24) * HOUR_MS


def test_a_share_is_told_in_percent(whole: Whole) -> None:
    values = columns_of(1)
    for i in INSIDE:
        if values["town"][i] == "a" and i % 2:
            values["town"][i] = "b"
    alerts = watched(whole, values)
    cause = alerts[0].causes[0]
    assert cause.share_then is not None
    assert cause.share_now is not None
    then, now = (1 / 3, 1 / 6) if cause.term == "value:a" else (1 / 3, 1 / 2)
    assert (cause.share_then, cause.share_now) == pytest.approx((then, now), abs=0.05)
    assert f"from {cause.share_then:.2%} to {cause.share_now:.2%} (" in alerts[0].sentence


def test_traffic_that_falls_is_an_episode_until_it_is_back(whole: Whole) -> None:
    at = (TIMES - START) // HOUR_MS
    fewer = (at < FIRST) | (at >= LAST) | (np.arange(len(TIMES)) % 10 == 0)
    alerts = watched(whole, columns_of(1), fewer)
    assert [alert.status for alert in alerts] == ["opened", "resolved"]
    assert alerts[0].causes[0].column == "volume"
    assert alerts[0].sentence.startswith("The traffic of m has changed since")
    assert alerts[1].at > START + LAST * HOUR_MS
