from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detectors.made import START
from tests.detectors.strategies import hostile

from driftline.alerts.episodes import Crossing, opened
from driftline.cli.explaining import Seen, explain_column
from driftline.contracts.reference import NumericColumn, Reference, decode_reference, encode_reference
from driftline.contracts.settings import FeatureKind
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import DAY_MS, HOUR_MS, format_time
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.describe import column_findings
from driftline.detectors.kinds import kind_of, kinds_in
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane
from driftline.detectors.parts import PartBuilder
from driftline.detectors.places import places_of
from driftline.detectors.reference import build_reference
from driftline.detectors.rows import Rows
from driftline.detectors.values import MISSING
from driftline.detectors.whole import Whole
from driftline.reports.rows import table_of
from driftline.streams.detect.causes import causes_of, window_causes
from driftline.streams.detect.wording import finding_sentence

N = 400
TIMES = START + np.arange(N, dtype=np.int64) * 60_000
PROSE = [f"order {i}: {'please ' * (i % 9)}hurry" for i in range(N)]
DATES = [format_time(int(at) - (i * 7919) % 500 * DAY_MS) for i, at in enumerate(TIMES)]
KINDS: list[FeatureKind] = ["numeric", "integer", "boolean", "categorical", "text", "timestamp"]
#: What a feature may hold in all of its rows.
FILLED: dict[str, list[Any]] = {
    "constant": [7] * N,
    "constant text": ["same"] * N,
    "always true": [True] * N,
    "empty": [""] * N,
    "null": [None] * N,
    "missing": [MISSING] * N,
    "one value": [None] * (N - 1) + [3.5],
    "not numbers": [float("nan")] * N,
    "huge": [1e308, -1e308] * (N // 2),
    "nested": [{"a": [1]}] * N,
    "prose": PROSE,
    "dates": DATES,
    "keys": [f"key-{i}" for i in range(N)],
}
CONFIG = DeciderConfig(budget_hours=720.0)


def rows_of(features: dict[str, list[Any]], times: npt.NDArray[np.int64] = TIMES) -> Rows:
    ids = [f"e{i}" for i in range(len(times))]
    n = len(ids)
    return Rows(
        event_ids=ids, places=places_of(ids), times=times, late=np.zeros(n, np.bool_), versions=["1"] * n, features=features,
        predictions=[None] * n, scores=[None] * n,
    )  # fmt: skip


def built(features: dict[str, list[Any]], kinds: dict[str, FeatureKind] | None = None) -> Reference:
    return build_reference(
        model="m", version="1", task="regression", effective_from=START, origin="built", times=TIMES, features=features, kinds=kinds,
        importance=dict.fromkeys(features, 1.0),
    )  # fmt: skip


def pane_of(reference: Reference, rows: Rows, sample: int = 64) -> Pane:
    builder = PartBuilder(HOUR_MS, sample, 100, {})
    builder.add(reference, rows)
    pane = Pane(layout_of(reference, "features"))
    for part in builder.parts():
        pane.add(part)
    return pane


def _all_finite(content: object) -> None:
    for value in _leaves(msgspec.to_builtins(content)):
        assert not isinstance(value, float) or np.isfinite(value)


def _leaves(tree: object) -> list[object]:
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in _leaves(value)]
    return [leaf for value in tree for leaf in _leaves(value)] if isinstance(tree, list | tuple) else [tree]


def _whole_way(reference: Reference, live: Rows) -> None:
    """Everything that is ever done with a column, to the last word said of it."""
    assert decode_reference(encode_reference(reference)) == reference
    _all_finite(reference)
    decider, pane = Decider(reference, CONFIG), pane_of(reference, live)
    hours = float(live.times.max() - live.times.min()) / HOUR_MS + 1
    state = decider.step(decider.start(), "features", pane.counts, int(live.times.max()) + 1, hours)
    verdict = decider.verdict(state)
    assert np.isfinite(verdict.evidence)
    effects = decider.effects("features", pane.counts, hours)
    moved = causes_of(verdict, effects, reference.importance_by_column())
    _all_finite(moved)
    crossing = Crossing(
        model="m", version="1", reference_id="r", kind="features", at=START, onset=START, n=pane.n, evidence=verdict.evidence, budget=1.0,
        causes=moved.causes, moved=moved.columns,
    )  # fmt: skip
    episode, alert = opened(crossing, "")
    assert "nan" not in alert.sentence
    _all_finite(alert)
    _all_finite(window_causes(episode, effects, reference, START))
    columns = column_findings(reference, decider, "features", pane.counts, hours)
    _all_finite(columns)
    assert [c.column for c in columns] == [c.name for c in reference.columns]
    assert {c.n for c in columns} == {pane.n}
    sentence = finding_sentence("m", "ok", (START, START + DAY_MS), pane.n, columns=columns, performance=None)
    assert "nan" not in sentence
    seen = Seen(counts=pane.counts, hours=hours, since=START, until=START + DAY_MS, evidence=state.encode(), episode=None)
    for column in reference.columns:
        _all_finite(explain_column(Whole.of(reference, CONFIG, ()), column.name, "1 per 30d", seen))
    before = [SampleRow(i, f"r{i}", int(at), "1", {name: values[i] for name, values in FILLED.items()}) for i, at in enumerate(TIMES[:20])]
    table_of(reference, [], before, pane.sample)


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_no_column_of_any_kind_gives_nan_or_stops_anything_whatever_it_holds_then_and_now(kind: FeatureKind | None) -> None:
    reference = built(FILLED, dict.fromkeys(FILLED, kind) if kind else None)
    names = list(FILLED)
    for turn in (0, 1, 4, 10):  # the same again, and what another one holds
        live = {name: FILLED[names[(i + turn) % len(names)]] for i, name in enumerate(names)}
        _whole_way(reference, rows_of(live, TIMES + 30 * DAY_MS))


@settings(deadline=None, max_examples=25)
@given(st.lists(hostile, min_size=1, max_size=6), st.lists(hostile, min_size=1, max_size=6), st.sampled_from([None, *KINDS]))
def test_nor_do_hostile_values(then: list[object], now: list[object], kind: FeatureKind | None) -> None:
    reference = built({"x": [then[i % len(then)] for i in range(N)]}, {"x": kind} if kind else None)
    decider = Decider(reference, CONFIG)
    pane = pane_of(reference, rows_of({"x": [now[i % len(now)] for i in range(N)]}))
    for finding in column_findings(reference, decider, "features", pane.counts, 7.0):
        _all_finite(finding)
        assert finding.n == N


def test_columns_are_what_their_values_say() -> None:
    found = built(FILLED)
    assert kinds_in(found) == {
        "constant": "numeric", "constant text": "categorical", "always true": "boolean", "empty": "categorical", "null": "categorical",
        "missing": "categorical", "one value": "numeric", "not numbers": "numeric", "huge": "numeric", "nested": "categorical", "prose": "text",
        "dates": "timestamp", "keys": "categorical",
    }  # fmt: skip
    epochs = [int(at) - (i * 7919) % 500 * DAY_MS for i, at in enumerate(TIMES)]
    assert kind_of(epochs, TIMES) == kind_of([e // 1000 for e in epochs], TIMES) == kind_of(np.array(epochs, np.float64), TIMES) == "timestamp"
    assert kind_of(epochs) == kind_of([*epochs[:-1], 7], TIMES) == kind_of([e * 40 for e in epochs], TIMES) == "numeric"
    # A date that is one for all, or for a day's batch, is a name: its age would grow by itself.
    assert kind_of(["2026-11-26"] * N) == kind_of([*DATES[:-1], "soon"]) == "categorical"


def test_what_a_feature_is_watched_through_shares_its_importance_and_survives_a_new_reference() -> None:
    reference = built({"note": PROSE, "seen": DATES, "x": list(range(N))}, {"x": "integer"})
    assert [c.name for c in reference.columns] == ["length(note)", "age(seen)", "hour(seen)", "x"]
    shares = reference.importance_by_column()
    assert shares["age(seen)"] == shares["hour(seen)"] == pytest.approx(shares["x"] / 2)
    assert sum(shares.values()) == pytest.approx(1)
    assert kinds_in(reference) == {"note": "text", "seen": "timestamp", "x": "integer"}
    taken = built({"note": PROSE, "length(note)": list(range(N))})
    assert [c.name for c in taken.columns] == ["length(note)'", "length(note)"]


def test_a_reference_without_these_has_the_hash_that_it_always_had() -> None:
    plain = built({"x": list(range(N)), "c": ["a", "b"] * (N // 2)})
    for column in plain.columns:
        assert {"source", "view", "longest"}.isdisjoint(msgspec.to_builtins(column))


def test_texts_that_a_sample_had_cut_are_measured_as_it_has_them() -> None:
    cut = [text.ljust(300, "x")[:257] if i % 2 else text for i, text in enumerate(PROSE)]
    reference = built({"note": cut}, {"note": "text"})
    (column,) = reference.columns
    assert isinstance(column, NumericColumn)
    assert column.longest == 257
    whole = [text.ljust(300, "x") if i % 2 else text for i, text in enumerate(PROSE)]
    assert pane_of(reference, rows_of({"note": whole})).counts.tolist() == list(column.counts)


@pytest.mark.parametrize(("feature", "changed", "column", "term"), [
    ("note", [text + " " + "sincerely " * 9 for text in PROSE], "length(note)", "location"),
    ("note", [None] * N, "length(note)", "null"),
    ("seen", [format_time(int(at)) for at in TIMES], "age(seen)", "location"),
    ("seen", [d[:10] for d in DATES], "hour(seen)", "location"),
    ("x", [i + 0.5 for i in range(N)], "x", "null"),
    ("flag", [False] * N, "flag", "value:1"),
    ("flag", ["perhaps"] * N, "flag", "null"),
])  # fmt: skip
def test_each_kind_sees_the_change_that_it_is_there_for(feature: str, changed: list[Any], column: str, term: str) -> None:
    rng = np.random.default_rng(4)
    order = rng.permutation(N)
    dates = [format_time(int(at) - int(back)) for at, back in zip(TIMES, rng.integers(0, 500 * DAY_MS, N) + 3 * HOUR_MS, strict=True)]
    then: dict[str, list[Any]] = {
        "note": [PROSE[i] for i in order], "seen": dates, "x": order.tolist(), "flag": (rng.random(N) < 0.3).tolist()
    }  # fmt: skip
    reference = built(then, {"x": "integer", "note": "text"})
    decider = Decider(reference, CONFIG)
    for live, moved in ((then, False), ({**then, feature: changed}, True)):
        pane = pane_of(reference, rows_of(live))
        beyond = {(e.column, e.term) for e in decider.effects("features", pane.counts, 1e6) if e.beyond}
        assert ((column, term) in beyond) is moved
