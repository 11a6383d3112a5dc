"""Sequential detectors in detect: a function of the log like all else, told in findings, and deciders where the user says so."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.streams.detect.summaries import PANE, T0
from tests.streams.detect.test_partition import MODEL, RECORDS, REFERENCE, concluded, database, run

from driftline.contracts.reference import CategoricalColumn, NumericColumn
from driftline.contracts.sequential import DetectorSettings
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.summaries import SampleRow
from driftline.detectors.binning import fixed_point, slots_of
from driftline.detectors.layout import Layout, layout_of
from driftline.detectors.pane import Pane
from driftline.detectors.sequential.reading import MOST_ERRORS, errors_of, values_of
from driftline.detectors.sequential.watches import asked_for, watches_of

ASKED: list[dict[str, Any]] = [
    {"name": "adwin", "parameters": {"clock": 1, "grace_period": 5}},
    {"name": "page_hinkley", "reads": ["x"], "series": "rows", "parameters": {"threshold": 20}},
    {"name": "kswin", "reads": ["x"], "series": "rows"},
    {"name": "adwin", "reads": ["x"], "series": "row_squares"},
    {"name": "ddm"},
    {"name": "fhddm"},
    {"name": "hddmw", "parameters": {"two_sided_test": True}},
]
SHIFT = T0 + 200_000


def _settings(detectors: list[dict[str, Any]], *, tolerance: float = 0.2, deciders: tuple[str, ...] = (), **worker: str) -> Settings:
    model = {**MODEL, "detectors": detectors, "tolerance": tolerance, "deciders": list(deciders)}
    return build_settings({"defaults": model, "worker": {"block_size": 16, **worker}})


def _told(tmp_path: Path, asked: Settings) -> dict[str, Any]:
    with database(tmp_path, "told") as engine:
        run(engine, asked, [RECORDS[i : i + 5] for i in range(0, len(RECORDS), 5)])
        return concluded(engine)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _told(tmp_path_factory.mktemp("whole"), _settings(ASKED, checkpoint_interval="1ms"))


def _changes(told: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted((change for finding in told["findings"].values() for change in finding["changes"]), key=lambda change: change["at"])


def test_what_they_saw_stands_in_the_findings_of_its_windows(expected: dict[str, Any]) -> None:
    seen = _changes(expected)
    assert {(c["detector"], c["series"]) for c in seen} >= {("adwin", "means"), ("page_hinkley", "rows"), ("kswin", "rows")}
    of_x = [c for c in seen if c["column"] == "x" and c["detector"] == "page_hinkley" and c["at"] >= SHIFT]
    assert SHIFT <= of_x[0]["at"] < SHIFT + 60_000
    for finding in expected["findings"].values():
        assert all(finding["window_start"] <= c["at"] < finding["window_end"] for c in finding["changes"])
        assert ("Changes seen: " in finding["sentence"]) == bool(finding["changes"])


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_polls_checkpoints_and_deaths_change_nothing(expected: dict[str, Any], tmp_path: Path, data: st.DataObject) -> None:
    interval = data.draw(st.sampled_from(["1ms", "1h"]))
    cuts = sorted({0, len(RECORDS), *data.draw(st.lists(st.integers(0, len(RECORDS)), max_size=40))})
    polls = [RECORDS[a:b] for a, b in pairwise(cuts)]
    deaths = data.draw(st.frozensets(st.integers(0, len(polls) - 1), max_size=6))
    for path in tmp_path.glob("again*"):
        path.unlink()
    with database(tmp_path, "again") as engine:
        run(engine, _settings(ASKED, checkpoint_interval=interval), polls, deaths)
        assert concluded(engine) == expected


def test_describers_open_nothing_and_leave_the_rest_as_it_is(expected: dict[str, Any], tmp_path: Path) -> None:
    bare = _told(tmp_path, _settings([]))
    assert {a["opened_at"] for a in bare["alerts"].values()} == {a["opened_at"] for a in expected["alerts"].values()}
    assert all(not a["opened_by"] for a in expected["alerts"].values())
    assert all("outside" not in a["sentence"] for a in expected["alerts"].values())
    assert bare["closings"] == expected["closings"]
    assert _changes(bare) == []


@pytest.mark.parametrize("deciders", [("adwin",), ()])
def test_a_decider_opens_an_episode_by_itself_and_says_so(deciders: tuple[str, ...], tmp_path: Path) -> None:
    asked = [] if deciders else [{"name": "page_hinkley", "reads": ["x"], "role": "decide", "series": "rows", "parameters": {"threshold": 60}}]
    told = _told(tmp_path, _settings(asked, tolerance=5.0, deciders=deciders))  # the decider has nothing to say of 1.5 sd
    opened = [a for a in told["alerts"].values() if a["status"] == "opened" and a["opened_by"] and a["opened_at"] > SHIFT]
    name = "adwin on the means of x" if deciders else "page_hinkley on the rows of x"
    first = min(opened, key=lambda a: a["opened_at"])
    assert first["opened_by"] == name
    assert first["sentence"].endswith(f"Opened by {name}, which stands outside the alarm budget.")
    assert first["opened_at"] < SHIFT + 120_000
    assert [c["column"] for c in first["causes"]] == ["x"]
    assert first["evidence"] < first["budget"]


def test_a_decider_is_silent_on_a_column_without_weight(tmp_path: Path) -> None:
    model = {**MODEL, "tolerance": 5.0, "deciders": ["adwin"], "weights": {"x": 0, "score": 0}}
    told = _told(tmp_path, build_settings({"defaults": model, "worker": {"block_size": 16}}))
    assert not [a for a in told["alerts"].values() if a["opened_by"]]


def test_the_watches_of_a_reference_are_those_whose_series_it_has() -> None:
    asked = asked_for(
        [
            DetectorSettings(name="adwin"),
            DetectorSettings(name="adwin"),
            DetectorSettings(name="adwin", reads=("x", "c", "nobody", "loss", "errors")),
            DetectorSettings(name="page_hinkley", reads=("loss",), series="rows"),
            DetectorSettings(name="ddm", role="decide"),
        ],
        ("adwin",),
    )
    watches = watches_of(REFERENCE, asked)
    assert [(w.kind, w.column, w.series, w.settings.name, w.settings.role) for w in watches] == [
        ("features", "x", "means", "adwin", "describe"),
        ("features", "score", "means", "adwin", "describe"),
        ("outcomes", "loss", "means", "adwin", "describe"),
        ("outcomes", "error", "errors", "adwin", "describe"),
        ("outcomes", "error", "errors", "ddm", "decide"),
        ("features", "x", "means", "adwin", "decide"),
        ("features", "score", "means", "adwin", "decide"),
    ]
    assert len({(w.key, w.settings.role) for w in watches}) == len(watches)


X = NumericColumn(name="x", role="feature", edges=tuple(np.linspace(-3, 3, 9).tolist()), center=1.0, scale=2.0, counts=(10,) * 14)


def _pane(values: list[float | None], layout: Layout) -> Pane:
    pane = Pane(layout)
    pane.n = len(values)
    pane.counts[: X.slots] = np.bincount(slots_of(X, values), minlength=X.slots)
    first, second = fixed_point(X, values)
    pane.sums[:] = first.sum(), second.sum()
    pane.sample = [SampleRow(i, str(i), 1_000 - i, "1", {"x": value}) for i, value in enumerate(values)]
    return pane


def test_series_are_what_they_are_called() -> None:
    layout = Layout.of((X,))
    values: list[float | None] = [1.0, 3.0, None, 5.0]
    pane = _pane(values, layout)
    assert values_of(pane, layout, "x", "rows") == [2.0, 1.0, 0.0]  # by event time, without the null
    assert values_of(pane, layout, "x", "row_squares") == [4.0, 1.0, 0.0]
    assert values_of(pane, layout, "x", "means") == [pytest.approx(1.0)]
    assert values_of(pane, layout, "x", "squares") == [pytest.approx(5 / 3)]
    empty = _pane([None, None], layout)
    assert [values_of(empty, layout, "x", s) for s in ("means", "squares", "rows", "row_squares")] == [[], [], [], []]
    assert values_of(pane, layout, "nobody", "means") == []


def test_errors_have_the_panes_own_share_in_an_order_that_its_key_draws() -> None:
    layout = layout_of(REFERENCE, "outcomes")
    column = layout.column("error")
    assert isinstance(column, CategoricalColumn)
    pane, start = Pane(layout), layout.offsets["error"]
    pane.counts[start + column.values.index("1")], pane.counts[start + column.values.index("0")] = 30, 70
    one, other = errors_of(pane, layout, "a"), errors_of(pane, layout, "b")
    assert (len(one), sum(one)) == (len(other), sum(other)) == (100, 30)
    assert one != other
    assert one == errors_of(pane, layout, "a")
    pane.counts[start : start + len(column.values)] *= 1_000_000_000
    many = errors_of(pane, layout, "a")
    assert len(many) == MOST_ERRORS
    assert 40 < sum(many) < 120
    pane.counts[start : start + len(column.values)] = -5  # a correction came before what it corrects
    assert errors_of(pane, layout, "a") == []
    regression = Layout.of((X,))
    assert errors_of(Pane(regression), regression, "a") == []


def test_the_state_of_a_pane_is_a_few_kilobytes(tmp_path: Path) -> None:
    from driftline.store import detection
    from driftline.streams.detect.state import decode_state

    with database(tmp_path, "size") as engine:
        run(engine, _settings(ASKED), [RECORDS])
        [track] = decode_state(detection.stored_states(engine, "m")["m"]).tracks.values()
        assert sum(len(raw) for own in track.sequential.values() for raw in own.values()) < 32_768
        assert track.sequential_until["features"] % PANE == 0
