"""All streams: null ones, and drifting ones with the null stream that their peers are tuned on."""

from __future__ import annotations

import numpy as np

from benchmarks.detection import changes, draws
from benchmarks.detection.streams import Change, Draw, Stream, in_events, in_time

_FIVE = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
_SOLE = "iid, 1 column, for slow peers"
_REGIMES, _DAILY = "regimes of 6 h, .3 sd, 360/h", "daily sine of 1 sd"
ALL = tuple(range(20))

NULL = (
    in_events("iid", draws.iid()),
    in_events("iid, 1 column", draws.iid(1), null="iid"),
    in_events("iid, 100 columns", draws.iid(100), live_rows=50_000, null="iid"),
    in_events("iid, reference of 2,000", draws.iid(), reference_rows=2_000, null="iid"),
    in_events("iid, reference of 500", draws.iid(), reference_rows=500, null="iid"),
    in_events("iid, panes of 1", draws.iid(5), pane=1, live_rows=20_000, null="iid"),
    in_events("iid, panes of 10,000", draws.iid(), pane=10_000, null="iid"),
    in_events("heavy tails (t, 2 degrees)", draws.heavy()),
    in_events("lognormal", draws.skewed(), null="iid"),
    in_events("counts (Poisson 2)", draws.counted(), null="iid"),
    in_events("20 % missing", draws.missing(0.2), null="iid"),
    in_events("columns correlated by .5", draws.correlated(0.5), null="iid"),
    in_events("categories (5 values)", draws.categories(_FIVE), categories=ALL),
    in_events("categories (300 values, Zipf)", draws.categories(draws.zipf(300), 5), categories=ALL[:5], null="iid"),
    in_events("AR .5", draws.autoregressive(0.5)),
    in_events("AR .9", draws.autoregressive(0.9)),
    in_events("AR .9, reference of 5,000", draws.autoregressive(0.9), reference_rows=5_000, null="iid"),
    in_events("AR .9, heavy tails (t, 3 degrees)", draws.autoregressive(0.9, degrees=3.0), null="iid"),
    in_events("AR .99", draws.autoregressive(0.99), null="iid"),
    in_time("regimes of 6 h, .3 sd", draws.regimes(6, 0.3), 60, null="iid"),
    in_time("regimes of 6 h, .3 sd, rate x3", draws.regimes(6, 0.3), 60, rate_live=180, null="iid"),
    in_time("regimes of 6 h, .3 sd, rate x10", draws.regimes(6, 0.3), 60, rate_live=600, null="iid"),
    in_time("regimes of 6 h, .3 sd, day and night", draws.regimes(6, 0.3), 120, swing=draws.daylight, null="iid"),
    in_time(_REGIMES, draws.regimes(6, 0.3), 360, live_days=60),
    in_time("regimes of 24 h, .3 sd", draws.regimes(24, 0.3), 60, null="iid"),
    in_time("regimes of 24 h, 1 sd", draws.regimes(24, 1.0), 60, null="iid"),
    in_time("regimes of 72 h, .5 sd", draws.regimes(72, 0.5), 60, null="iid"),
    in_time("regimes of 72 h, .5 sd, reference of 30 days", draws.regimes(72, 0.5), 60, reference_days=30, null="iid"),
    in_time(_DAILY, draws.regimes(6, 0.0001, daily=1.0), 60),
    in_time("daily sine of 1 sd, day and night", draws.regimes(6, 0.0001, daily=1.0), 120, swing=draws.daylight, null="iid"),
    in_time("weekends 1 sd higher", draws.regimes(6, 0.0001, weekend=1.0), 60, null="iid"),
    in_events(_SOLE, draws.iid(1), live_rows=30_000, group="one column"),
    *(in_events(f"errors, {share:.0%}".replace("%", " %"), draws.errors(share), group="errors") for share in (0.02, 0.1, 0.3)),
    in_events("losses of a regression", draws.residuals(), group="losses"),
    in_events("losses of a regression, heavy tails (t, 5 degrees)", draws.residuals(5.0), group="losses"),
)


def _drift(
    name: str, null: str, draw: Draw, change: Change, *, live_rows: int = 8_000, changed: tuple[int, ...] = (3,), categories: tuple[int, ...] = ()
) -> Stream:
    return in_events(name, draw, null=null, change=change, live_rows=live_rows, changed=changed, categories=categories)


def _iid(what: str, change: Change, *, live_rows: int = 8_000, changed: tuple[int, ...] = (3,)) -> Stream:
    return _drift(f"iid, {what}", "iid", draws.iid(), change, live_rows=live_rows, changed=changed)


def _categories(what: str, change: Change) -> Stream:
    return _drift(f"categories, {what}", "categories (5 values)", draws.categories(_FIVE), change, categories=ALL)


def _errors(before: float, after: float) -> Stream:
    name = f"errors, {before:.0%} to {after:.0%}".replace("%", " %")
    change, null = changes.more_errors(before, after), f"errors, {before:.0%}".replace("%", " %")
    return in_events(name, draws.errors(before), null=null, change=change, live_rows=12_000, changed=(0,), group="errors")


def _losses(what: str, null: str, draw: Draw) -> Stream:
    change = changes.stretched(1.5)
    return in_events(f"losses, {what}", draw, null=null, change=change, live_rows=12_000, changed=(0,), group="losses")


def _one(by: float) -> Stream:
    return in_events(
        f"iid, {by:g} sd in the only column", draws.iid(1), null=_SOLE, change=changes.shift(by), live_rows=5_000, changed=(0,), group="one column"
    )


DRIFTING = (
    *(_iid(f"{by:g} sd in 1 of 20", changes.shift(by), live_rows=22_000 if by < 0.25 else 8_000) for by in (0.1, 0.25, 0.5, 1.0, 2.0)),
    *(_iid(f"{by:g} sd in all 20", changes.shift(by), changed=ALL) for by in (0.1, 0.25, 0.5, 1.0)),
    _iid("variance x2 in 1 of 20", changes.stretched(float(np.sqrt(2)))),
    _iid("variance x2 in all 20", changes.stretched(float(np.sqrt(2))), changed=ALL),
    _iid("variance halved in 1 of 20", changes.stretched(float(np.sqrt(0.5)))),
    _iid("two peaks (same mean and variance) in 1 of 20", changes.two_peaks(0.9)),
    _iid("1 % missing in 1 of 20", changes.lost(0.01)),
    _iid("5 % missing in 1 of 20", changes.lost(0.05)),
    _iid("5 % missing in all 20", changes.lost(0.05), changed=ALL),
    _iid("gradual to 1 sd over 2,000", changes.gradual(1.0, 2_000)),
    _iid("incremental to 1 sd over 2,000", changes.incremental(1.0, 2_000)),
    _iid("recurring 1 sd every 1,000", changes.recurring(1.0, 1_000)),
    _iid("recurring .5 sd every 100", changes.recurring(0.5, 100)),
    _drift("heavy tails (t, 2 degrees), shifted by 1 in 1 of 20", "heavy tails (t, 2 degrees)", draws.heavy(), changes.shift(1.0)),
    _iid("correlation 0 to .8 between 2 of 20", changes.coupled(0.8), changed=(3, 4), live_rows=12_000),
    _iid("correlation 0 to .5 between all 20", changes.coupled(0.5), changed=ALL, live_rows=12_000),
    _categories("share 10 % to 19 %", changes.moved(0.1, 3)),
    _categories("share 10 % to 28 %", changes.moved(0.2, 3)),
    _categories("1 % of a new value", changes.moved(0.01, 7)),
    _drift("AR .5, 1 sd in 1 of 20", "AR .5", draws.autoregressive(0.5), changes.shift(1.0)),
    _drift("AR .9, 1 sd in 1 of 20", "AR .9", draws.autoregressive(0.9), changes.shift(1.0)),
    in_time(f"{_REGIMES}, 1 sd in 1 of 5", draws.regimes(6, 0.3), 360, null=_REGIMES, change=changes.shift(1.0), live_days=15),
    in_time(f"{_REGIMES}, .5 sd in 1 of 5", draws.regimes(6, 0.3), 360, null=_REGIMES, change=changes.shift(0.5), live_days=25),
    in_time(f"{_REGIMES}, variance x2 in 1 of 5", draws.regimes(6, 0.3), 360, null=_REGIMES, change=changes.stretched(1.414), live_days=15),
    in_time(f"{_DAILY}, 1 sd in 1 of 5", draws.regimes(6, 0.0001, daily=1.0), 60, null=_DAILY, change=changes.shift(1.0), live_days=25),
    *(_one(by) for by in (0.5, 1.0)),
    *(_errors(before, after) for before, after in ((0.1, 0.13), (0.1, 0.2), (0.3, 0.4), (0.02, 0.06))),
    _losses("errors x1.5", "losses of a regression", draws.residuals()),
    _losses("errors x1.5, heavy tails (t, 5 degrees)", "losses of a regression, heavy tails (t, 5 degrees)", draws.residuals(5.0)),
)

#: What was asked for: stream, median delay within so many events, at a tolerance of .05.
MARKS = (
    ("iid, 0.5 sd in 1 of 20", 200), ("iid, 1 sd in 1 of 20", 80), ("iid, variance x2 in 1 of 20", 300), ("AR .5, 1 sd in 1 of 20", 150),
    ("AR .9, 1 sd in 1 of 20", 800), ("iid, correlation 0 to .8 between 2 of 20", 5000), ("iid, correlation 0 to .5 between all 20", 5000),
)  # fmt: skip
