"""Windows of every kind: what is found in them does not depend on the order of arrival, on polls, deaths, or what has been folded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.streams.detect.arrivals import Event, concluded, concluding, events_of, reference_of
from tests.streams.detect.summaries import PANE, T0, Stream, built
from tests.streams.detect.test_partition import concluded as everything
from tests.streams.detect.test_partition import database, run
from tests.streams.detect.test_stepping import Slice, by_definition

from driftline.contracts.settings import Settings, build_settings, window_rule
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.contracts.windows import WindowRule
from driftline.detectors.describe import MIN_ROWS
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane
from driftline.store import findings, panes
from driftline.streams.detect import episode_keeper, folding, series

LATENESS = 8_000
KINDS = {
    "time": {"window": "20s"},
    "sliding": {"window": "30s", "slide": "10s"},
    "count": {"window": "90 events"},
    "either": {"window": "20s or 150 events"},
    "steps": {"window": "30s or 300 events", "slide": "100 events"},
}
CALENDAR = {"calendar": {"window": "25s"}}
OUTCOMES = built()
RECORDS = Stream(OUTCOMES, seconds=110, shift_at=50).records()


def settings_of(kind: str, **more: Any) -> Settings:
    model = {"pane": "5s", "allowed_lateness": "8s", "alarm_budget": "1 per 1h", "label_wait": "20s", **{**KINDS, **CALENDAR}[kind], **more}
    return build_settings({"defaults": model, "worker": {"block_size": 16}})


PLAIN = reference_of(T0 - 600_000, T0)
EVENTS = events_of(1, T0, seconds=80, rate=10, shift_at=30)
#: An hour ends in the midst of the stream, and what that alone changes is no drift.
HOUR = (T0 // HOUR_MS + 1) * HOUR_MS
DAILY = reference_of(HOUR - 10 * DAY_MS, HOUR - HOUR_MS, cycle=1.0, calendar="hour_of_day")
OVER_THE_HOUR = events_of(1, HOUR - 40_000, seconds=80, rate=10, shift_at=60, cycle=1.0)
#: All that looks at samples or at the order of values: relations, all columns together, a detector by name. A pane's sample is not all of its rows.
WATCHED: dict[str, Any] = {
    "sample_rows_per_pane": 45,
    "multivariate": "windows",
    "detectors": [{"name": "page_hinkley", "reads": ["y"], "series": "rows", "parameters": {"threshold": 20}}],
}


def told_of(folder: Path, kind: str, partitions: Sequence[Sequence[Event]], polls: Sequence[tuple[int, int]]) -> dict[str, Any]:
    known = DAILY if kind == "calendar" else PLAIN
    with concluding(folder, settings_of(kind, **WATCHED), known, partitions, polls) as engine:
        told = concluded(engine)
        told["cut"] = [(f.window_start, f.window_end, f.n, f.late) for f in findings.history(engine, limit=10_000)]
    return told


def events_for(kind: str) -> list[Event]:
    return OVER_THE_HOUR if kind == "calendar" else EVENTS


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    known: dict[str, dict[str, Any]] = {}

    def told(kind: str) -> dict[str, Any]:
        if kind not in known:
            known[kind] = told_of(tmp_path_factory.mktemp("order"), kind, [events_for(kind)], [(0, 50)] * 20)
        return known[kind]

    return told


@pytest.mark.parametrize("kind", KINDS)
def test_the_windows_are_of_their_kind(kind: str, in_order: Callable[[str], dict[str, Any]]) -> None:
    told = in_order(kind)
    spans = sorted(told["cut"])
    n = sum(rows for *_, rows, _ in spans)
    if kind == "sliding":
        assert {end - start for start, end, *_ in spans} == {30_000}
        assert {b[1] - a[1] for a, b in pairwise(spans)} == {10_000}
        assert n > 2 * len(EVENTS)
    elif kind == "steps":
        # Full, as long as may be with whole steps, or one of the first ones.
        assert all(rows >= 300 or end - start > 30_000 - 3 * 5_000 or start == spans[0][0] for start, end, rows, _ in spans)
        assert max(end - start for start, end, *_ in spans) == 30_000
        assert n > 2 * len(EVENTS)
    else:
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        assert n == len(EVENTS) or (kind == "count" and len(EVENTS) - 90 < n < len(EVENTS))
    if kind == "count":
        # Cut at the first pane with which the count is reached: less than a pane's events more.
        assert all(90 <= rows < 90 + 80 for *_, rows, _ in spans)
    if kind == "either":
        ends = {(end - start == 20_000, rows >= 150) for start, end, rows, _ in spans[:-1]}
        assert all(by_time or by_count for by_time, by_count in ends)
        assert len(ends) > 1
    assert min(told["alerts"].values(), key=lambda a: a["at"])["status"] == "opened"


def test_everything_that_depends_on_rows_or_their_order_has_something_to_say(in_order: Callable[[str], dict[str, Any]]) -> None:
    told = in_order("sliding")
    opened = min(told["alerts"].values(), key=lambda a: a["at"])
    assert (opened["causes"][0]["column"], opened["causes"][0]["term"]) == ("x x y", "correlation")
    assert any(f["changes"] for f in told["findings"].values())
    joint = [f["multivariate"] for f in told["findings"].values() if "auc" in (f["multivariate"] or {})]
    assert joint
    assert all(m["n"] < len(EVENTS) / 80 * 30 for m in joint)  # sampled


def test_what_the_hour_explains_opens_nothing(in_order: Callable[[str], dict[str, Any]]) -> None:
    assert any(entry.column == "x" and entry.seasons for entry in DAILY[0].terms)
    assert min(a["at"] for a in in_order("calendar")["alerts"].values()) > HOUR + 5_000


@pytest.mark.parametrize("kind", [*KINDS, *CALENDAR])
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_shuffled_within_the_lateness_everything_is_the_same(
    kind: str, in_order: Callable[[str], dict[str, Any]], tmp_path: Path, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 30), label="seed"))
    several = data.draw(st.integers(1, 3), label="partitions")
    # An event that arrives up to the lateness after its time is behind no event by more than that.
    arrival = sorted(events_for(kind), key=lambda e: (e.time + int(rng.integers(0, LATENESS)), e.name))
    partitions: list[list[Event]] = [[] for _ in range(several)]
    for event in arrival:
        partitions[int(rng.integers(several))].append(event)
    polls = [(int(rng.integers(several)), int(rng.integers(1, 60))) for _ in range(40)]
    assert told_of(tmp_path, kind, partitions, polls) == in_order(kind)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30))
def test_later_than_that_the_counts_are_the_same_after_revisions(
    kind: str, in_order: Callable[[str], dict[str, Any]], tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tardy = rng.random(len(EVENTS)) < 0.1
    delays = np.where(tardy, rng.integers(0, 60_000, len(EVENTS)), 0)
    arrival = [e for _, e in sorted(zip((e.time + d for e, d in zip(EVENTS, delays.tolist(), strict=True)), EVENTS, strict=True))]
    told = told_of(tmp_path, kind, [arrival], [(0, int(rng.integers(1, 60))) for _ in range(40)])
    late = max(n for *_, n in told["cut"])
    assert late or kind == "count"
    spans = sorted(told["cut"])
    if kind in ("time", "sliding"):
        assert [span[:3] for span in spans] == [span[:3] for span in sorted(in_order(kind)["cut"])]
    elif kind == "steps":
        assert all(rows == sum(start <= e.time < end for e in EVENTS) for start, end, rows, _ in spans)
    else:
        # Where on-time events are fewer, windows are longer; each event stands in one of them still.
        assert len(EVENTS) - (90 + 80 if kind == "count" else 0) < sum(rows for *_, rows, _ in spans) + (kind == "either") <= len(EVENTS) + 1


@pytest.mark.parametrize("kind", ["sliding", "count", "either", "steps"])
def test_polls_deaths_and_folding_change_nothing_with_outcomes_and_late_rows(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = settings_of(kind, allowed_lateness="5s", policy={"min_labelled": 10})
    for module in (folding, series, episode_keeper):
        monkeypatch.setattr(module, "LONGEST", 6)
    rng = np.random.default_rng(len(kind))
    cuts = sorted({0, len(RECORDS), *rng.integers(0, len(RECORDS), 20).tolist()})
    polls = [RECORDS[a:b] for a, b in pairwise(cuts)]
    deaths = frozenset(rng.integers(0, len(polls), 3).tolist())
    with database(tmp_path, "again") as engine:
        run(engine, wanted, polls, deaths)
        told, held = everything(engine, with_panes=False), _windows(engine)
        kept = {r.start for r in panes.panes(engine, "m", width=PANE)}
    monkeypatch.setattr("driftline.streams.detect.windows.horizon", lambda *_: 0)
    with database(tmp_path, "whole") as engine:
        run(engine, wanted, [RECORDS[i : i + 30] for i in range(0, len(RECORDS), 30)])
        assert everything(engine, with_panes=False) == told
        assert _windows(engine) == held
        assert len(kept) < len({r.start for r in panes.panes(engine, "m", width=PANE)})
    assert any(f["performance"] for f in told["findings"].values())
    assert told["decisions"]


@pytest.mark.parametrize(("window", "slide"), [("250 events", "50 events"), ("25s or 400 events", "100 events"), ("30s", "10s")])
def test_what_slides_adds_findings_and_changes_nothing(window: str, slide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftline.streams.detect.windows.horizon", lambda *_: 0)  # all panes are there in the end
    told: list[dict[str, Any]] = []
    held: list[dict[tuple[str, int, int, bool], bytes]] = []
    for more in ({}, {"slide": slide}):
        wanted = settings_of("time", allowed_lateness="5s", policy={"min_labelled": 10}, window=window, **more)
        with database(tmp_path, f"{len(more)}") as engine:
            run(engine, wanted, [RECORDS[i : i + 30] for i in range(0, len(RECORDS), 30)])
            told.append(_of_no_settings(everything(engine, with_panes=False)))
            held.append(_windows(engine))
            rows = panes.panes(engine, "m", width=PANE)
    assert {**told[1], "findings": {name: told[1]["findings"][name] for name in told[0]["findings"]}} == told[0]
    assert {key: held[1][key] for key in held[0]} == held[0]
    added = {(f["window_start"], f["window_end"]): f for name, f in told[1]["findings"].items() if name not in told[0]["findings"]}
    assert len(added) > len(told[0]["findings"])
    assert any(f["performance"] for f in added.values())
    if "events" in slide:
        _are_as_defined(added, told[0]["closings"].values(), rows, window_rule(wanted.defaults))


def _of_no_settings(told: dict[str, Any]) -> dict[str, Any]:
    """What was said without the hash of what was asked for."""

    def bare(said: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {name: {k: v for k, v in one.items() if k != "config_hash"} for name, one in said.items()}

    return {what: bare(said) for what, said in told.items() if what != "panes"}


def _are_as_defined(
    added: dict[tuple[int, int], dict[str, Any]], closings: Iterable[dict[str, Any]], rows: Sequence[panes.PaneRow], rule: WindowRule
) -> None:
    """Check which windows slid, and that each and the one before it hold what their steps hold in the end, late rows with the others."""
    closed = sorted((c["start"], c["end"], c["n"]) for c in closings if c["kind"] == "features")
    cut = by_definition([Slice(start, start, end, n) for start, end, n in closed], rule, closed[-1][1])
    spans = {end: (steps[0].since, steps[0].start, end) for end, steps in cut.sliding.items()}
    wanted = {(start, end): since for since, start, end in spans.values() if end not in {w.end for w in cut.wholes}}
    assert added.keys() == wanted.keys()
    layout = layout_of(OUTCOMES, "features")
    held = [(r.start, r.late, Pane.decode(r.payload, layout).n) for r in rows if r.kind == "features"]
    compared = 0
    for (start, end), since in wanted.items():
        finding, inside = added[start, end], [(late, n) for at, late, n in held if since <= at < end]
        assert (finding["n"], finding["late"]) == (sum(n for _, n in inside), sum(n for late, n in inside if late))
        before = max((s for s in spans.values() if s[2] <= start), key=lambda s: s[2], default=None)
        n = sum(n for at, _, n in held if before is not None and before[0] <= at < before[2])
        since_previous = next(c for c in finding["columns"] if c["column"] == "x")["since_previous"]
        assert (since_previous or {"n": 0})["n"] == (n if n >= MIN_ROWS else 0)
        compared += since_previous is not None
    assert compared


def _windows(engine: Engine) -> dict[tuple[str, int, int, bool], bytes]:
    return {(r.kind, r.width, r.start, r.late): r.payload for r in panes.panes(engine, "m") if r.width != PANE}
