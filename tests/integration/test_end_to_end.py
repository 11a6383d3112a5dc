from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, mean_absolute_error, roc_auc_score, root_mean_squared_error
from tests.integration.faults import CODECS, Input
from tests.integration.inputs import publish
from tests.integration.invariants import (
    Stored,
    counted,
    dead_letters_are,
    expected_closings,
    joined,
    of_mappings,
    published_is_stored,
    stored,
    wait_until_done,
)
from tests.integration.offline import Count
from tests.integration.processes import Steps
from tests.integration.scene import Scene, set_scene
from tests.integration.stream import CLICKS, INFERENCE_JUNK, LABEL_JUNK, NEW, PANE, PRICES, WINDOW, Plan, Record, records, references

from driftline.contracts.reference import GridColumn
from driftline.contracts.summaries import LEARNING
from driftline.contracts.times import DAY_MS, HOUR_MS
from driftline.detectors.layout import Layout, layout_of
from driftline.detectors.pane import Pane
from driftline.detectors.performance import auc_bin_error
from driftline.store import findings, panes
from driftline.store import references as stored_references

pytestmark = pytest.mark.timeout(300)

PLAN = Plan(days=14, clicks_per_hour=20, prices_per_hour=12, new_per_hour=10, shift_day=8, unruly=True)


@dataclass(frozen=True)
class Run:
    scene: Scene
    count: Count
    stored: Stored
    deaths: list[str]


@pytest.fixture(scope="module")
def run(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The whole stream through two processes of each step, published in two goes, each batch in another codec."""
    folder = tmp_path_factory.mktemp("end-to-end")
    database = f"sqlite:///{folder / 'driftline.db'}"
    with set_scene(bootstrap, database, folder, references(), idle_timeout="12s") as scene:
        stream = [*_ahead(), *records(PLAN)]
        third = len(stream) // 3
        with Steps(scene.tree, folder) as steps:
            publish(scene.settings, stream[:third], Input(codecs=CODECS))
            wait_until_learned(scene, steps)
            publish(scene.settings, stream[third:], Input(codecs=CODECS))
            wait_until_done(scene.settings, scene.engine, steps, 180)
        yield Run(scene, scene.count(), stored(scene.engine, scene.references), steps.deaths)


def wait_until_learned(scene: Scene, steps: Steps, within_s: float = 90) -> None:
    """Wait until the model that nobody configured has its reference: what was read before is sampled, what is read after is counted."""
    deadline = time.monotonic() + within_s
    while not stored_references.for_model(scene.engine, NEW):
        steps.look_after()
        assert time.monotonic() < deadline, steps.logs()
        time.sleep(0.05)


def _ahead() -> list[Record]:
    """Return events of clocks that are hours ahead (counted where it says) and a century (a dead letter); neither may make all after it late."""
    now = time.time_ns() // 1_000_000
    event = {"event_id": "ahead", "model": CLICKS, "version": "1", "features": {"x": 0, "y": 0, "c": "a"}, "score": 0.5}
    times = (now + 10 * HOUR_MS, now + 36_500 * DAY_MS)
    return [Record(0, "inference-events", 1, b"ahead", json.dumps({**event, "event_time": t}).encode()) for t in times]


def test_no_step_died(run: Run) -> None:
    assert run.deaths == []


def test_the_panes_and_windows_in_sql_equal_an_offline_count_of_the_log(run: Run) -> None:
    assert run.count.events[CLICKS] > PLAN.days * 24 * PLAN.clicks_per_hour
    assert of_mappings("panes", counted(run.count), run.stored.panes) == []
    late = sum(p["late"] for key, p in run.stored.panes.items() if key.width == PANE)
    assert late > 50, "the stream has late events and late labels"


def test_the_outcomes_equal_a_join_by_dictionaries(run: Run) -> None:
    expected = joined(run.count, run.scene.references)
    assert len(expected) > 5_000
    assert of_mappings("outcomes", expected, run.stored.outcomes) == []


def test_each_on_time_pane_is_closed_once_with_what_it_then_held(run: Run) -> None:
    features = {key: closing for key, closing in run.stored.closings.items() if key[1] == "features"}
    expected = {key: closing for key, closing in expected_closings(run.count, run.stored).items() if key[1] == "features"}
    assert of_mappings("closings", expected, features) == []
    for model in run.scene.references:
        starts = sorted(start for m, kind, start in features if m == model and kind == "features")
        open_ = [
            key
            for key in run.count.panes
            if key.model == model and key.kind == "features" and key.width == PANE and not key.late and key.start not in starts
        ]
        assert len(starts) >= PLAN.days * 24 - 2
        assert all(key.start > starts[-1] for key in open_), "only what the stream's end left open is open"


def test_each_window_has_a_finding_that_counts_its_events(run: Run) -> None:
    for model in run.scene.references:
        windows: Counter[int] = Counter()
        late: Counter[int] = Counter()
        for key, pane in run.count.panes.items():
            if (key.model, key.kind, key.width) == (model, "features", WINDOW):
                windows[key.start] += pane.n
                late[key.start] += pane.late
        found = {f.window_start: (f.n, f.late) for f in findings.history(run.scene.engine, model, limit=1000)}
        assert len(found) >= PLAN.days - 1
        assert found == {start: (windows[start], late[start]) for start in found}


def test_a_finding_names_offsets_that_hold_all_its_events(run: Run) -> None:
    for f in findings.history(run.scene.engine, CLICKS, limit=1000):
        ranges = {r.partition: (r.first, r.next) for r in f.offsets}
        of_window = [
            o
            for (model, start), offsets in run.count.offsets.items()
            if model == CLICKS and start // WINDOW * WINDOW == f.window_start
            for o in offsets
        ]
        assert of_window
        assert all(ranges[p][0] <= offset < ranges[p][1] for p, offset in of_window)


def test_realised_performance_is_scikit_learns(run: Run) -> None:
    for model in (CLICKS, PRICES):
        judged = 0
        for f in findings.history(run.scene.engine, model, limit=1000):
            mine = [o for (m, _), o in run.count.outcomes.items() if m == model and o.event_time // WINDOW * WINDOW == f.window_start]
            if f.performance is None:
                continue
            judged += 1
            assert f.performance.n == len(mine)
            for name, value in _by_scikit_learn(run.scene, model, mine).items():
                assert f.performance.metrics[name] == pytest.approx(value[0], abs=value[1]), name
        assert judged >= PLAN.days - 2


def _by_scikit_learn(scene: Scene, model: str, mine: Sequence[Any]) -> dict[str, tuple[float, float]]:
    y = np.array([o.label for o in mine], float)
    if model == PRICES:
        said = np.array([o.prediction for o in mine], float)
        return {"mae": (mean_absolute_error(y, said), 1e-3), "rmse": (root_mean_squared_error(y, said), 1e-3)}
    p = np.array([o.score for o in mine], float)
    layout = layout_of(scene.references[model], "outcomes")
    grid = layout.column("score_by_label")
    assert isinstance(grid, GridColumn)
    edges = np.asarray(grid.edges)
    slots = np.where(p == edges[-1], len(edges) - 1, np.searchsorted(edges, p, side="right"))
    counts = np.bincount(2 * slots + y.astype(int), minlength=grid.slots)
    return {
        "log_loss": (log_loss(y, np.clip(p, 1e-6, 1 - 1e-6)), 1e-4),
        "brier": (brier_score_loss(y, p), 1e-4),
        "accuracy": (accuracy_score(y, p >= 0.5), 1e-12),
        "auc": (roc_auc_score(y, p), auc_bin_error(counts) + 1e-9),
    }


def test_a_planted_shift_opens_one_episode_that_names_the_feature_and_the_time(run: Run) -> None:
    opened = [e for e in run.stored.episodes.values() if e["model"] == CLICKS]
    assert len(opened) == 1
    (episode,) = opened
    assert max(episode["causes"], key=lambda c: c["share"])["column"] == "x"
    assert {c["column"] for c in episode["causes"]} == {"x"}
    assert abs(episode["onset"] - PLAN.shift_at) <= 2 * PANE
    assert episode["opened_at"] <= PLAN.shift_at + WINDOW
    assert "x is higher" in episode["sentence"]
    triggers = [t for t in run.stored.triggers.values() if t["model"] == CLICKS]
    assert [t["reason"] for t in triggers] == ["drift"]


def test_a_null_stretch_opens_no_episode(run: Run) -> None:
    assert [e for e in run.stored.episodes.values() if e["model"] == PRICES] == []
    assert all(e["onset"] >= PLAN.shift_at - 2 * PANE for e in run.stored.episodes.values())


def test_what_is_stored_is_what_was_published(run: Run) -> None:
    assert published_is_stored(run.scene.settings, run.stored, run.scene.references) == []


def test_junk_is_a_dead_letter_once_by_its_id_with_its_bytes_and_its_reason(run: Run) -> None:
    assert len(run.count.rejected) == len(INFERENCE_JUNK) + len(LABEL_JUNK) + 1
    assert dead_letters_are(run.scene.settings, run.count) == []


def test_odd_values_are_counted_and_not_lost(run: Run) -> None:
    kinds: dict[str, int] = {}
    layout = layout_of(run.scene.references[CLICKS], "features")
    at = layout.slice_of("x").stop
    for key, pane in run.stored.panes.items():
        if (key.model, key.kind, key.width) == (CLICKS, "features", WINDOW):
            for name, n in zip(("null", "nan", "infinite", "wrong_type"), pane["counts"][at - 4 : at], strict=True):
                kinds[name] = kinds.get(name, 0) + n
            for name, n in pane["quality"].items():
                kinds[name] = kinds.get(name, 0) + n
    assert {"null", "nan", "infinite", "wrong_type", "missing_fields", "extra_fields", "unknown_version", "clock_skew"} <= {
        k for k, n in kinds.items() if n
    }
    assert kinds["clock_skew"] == 1


def test_a_model_that_nobody_configured_is_learned_and_then_watched(run: Run) -> None:
    learned = stored_references.for_model(run.scene.engine, NEW)
    assert [r.origin for r in learned] == ["learned"]
    assert {c.name for c in learned[0].columns} == {"x", "y", "c", "score"}
    states = [f.state for f in reversed(findings.history(run.scene.engine, NEW, limit=1000))]
    assert states[0] == "learning"
    assert states[-1] == "ok"
    assert "learning" not in states[states.index("ok") :]
    held = {LEARNING: 0, learned[0].reference_id: 0}
    for row in panes.panes(run.scene.engine, NEW, kind="features", width=PANE):
        layout = layout_of(learned[0], "features") if row.reference_id else Layout.of(())
        held[row.reference_id] += Pane.decode(row.payload, layout).n
    assert sum(held.values()) == run.count.events[NEW]
    assert held[LEARNING] >= 400
    assert held[learned[0].reference_id] > run.count.events[NEW] // 3
