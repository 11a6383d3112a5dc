"""The same stream undisturbed and under faults comes to the same, by id and content. ``make chaos`` runs the longer form."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.integration.invariants import (
    Stored,
    counted,
    dead_letters_are,
    differences,
    expected_closings,
    of_mappings,
    published_is_stored,
    stored,
    wait_until_done,
)
from tests.integration.log import publish
from tests.integration.processes import Fault, Steps
from tests.integration.scene import Scene, set_scene
from tests.integration.stream import CLICKS, Plan, Record, records, references

pytestmark = pytest.mark.timeout(900)

LONG = os.environ.get("DRIFTLINE_CHAOS") == "long"
SEED = int(os.environ.get("DRIFTLINE_CHAOS_SEED", "1"))

PLAN = (
    Plan(days=30, clicks_per_hour=160, prices_per_hour=90, shift_day=18, seed=SEED)
    if LONG
    else Plan(days=10, clicks_per_hour=30, prices_per_hour=20, shift_day=6)
)

#: Histories that the control may need until a kill falls where it hurts.
_CONTROLS = 5

#: How long a frozen process sleeps: longer than the session of 3 s, so that it wakes up as a zombie.
FREEZE_S = 4.5


class Planned(NamedTuple):
    """One fault, so many seconds after publishing began."""

    at_s: float
    fault: Fault
    step: str


def faults(seed: int, count: int, first_s: float, every_s: float) -> list[Planned]:
    """Return a history of faults: every step is killed, frozen and told to stop in turn, at random moments."""
    rng = random.Random(seed)
    kinds: list[tuple[Fault, str]] = [(fault, step) for fault in ("kill", "freeze", "kill", "term") for step in ("summarise", "join", "detect")]
    rng.shuffle(kinds)
    return [Planned(first_s + (i + rng.random()) * every_s, *kinds[i % len(kinds)]) for i in range(count)]


FAULTS = faults(SEED, 60, 3.0, 1.5) if LONG else faults(SEED, 9, 1.5, 0.6)


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    scene: Scene
    stored: Stored
    rate: float
    told: list[str]
    deaths: list[str]


def run_through(scene: Scene, stream: Sequence[Record], history: Sequence[Planned] = (), *, flaw: str | None = None) -> Outcome:
    """Publish the stream as fast as the broker takes it while faults happen; wait until all is dealt with."""
    rng = random.Random(SEED)
    rates: list[float] = []
    told: list[str] = []
    with Steps(scene.tree, scene.folder, forked=True, flaw=flaw) as running:
        publisher = threading.Thread(target=lambda: rates.append(publish(scene.settings, stream)))
        began = time.monotonic()
        publisher.start()
        for planned in history:
            while time.monotonic() - began < planned.at_s:
                running.look_after()
                time.sleep(0.02)
            told.append(running.hit(planned.fault, planned.step, rng, FREEZE_S))
        publisher.join()
        wait_until_done(scene.settings, scene.engine, running, 300)
    return Outcome(scene, stored(scene.engine, scene.references), rates[0], told, running.deaths)


@pytest.fixture(scope="module")
def stream() -> list[Record]:
    return records(PLAN)


@pytest.fixture(scope="module")
def undisturbed(bootstrap: str, stream: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("undisturbed")
    with set_scene(bootstrap, f"sqlite:///{folder / 'driftline.db'}", folder, references()) as scene:
        yield run_through(scene, stream)


def test_undisturbed_the_stream_comes_to_what_the_log_holds(undisturbed: Outcome) -> None:
    count = undisturbed.scene.count()
    found = undisturbed.stored
    assert undisturbed.deaths == []
    assert of_mappings("panes", counted(count), found.panes) == []
    assert of_mappings("closings", expected_closings(count, found), found.closings) == []
    assert len(found.closings) > 2 * 2 * PLAN.days * 24 * 0.97
    assert [(e["model"], e["status"]) for e in found.episodes.values()] == [(CLICKS, "opened")]
    assert len(found.triggers) == 1


def test_nothing_is_lost_or_double_whatever_happens_to_the_processes(
    bootstrap: str, database_url: str, tmp_path: Path, stream: list[Record], undisturbed: Outcome
) -> None:
    with set_scene(bootstrap, database_url, tmp_path / "disturbed", references()) as scene:
        disturbed = run_through(scene, stream, FAULTS if LONG or scene.engine.dialect.name == "sqlite" else FAULTS[:5])
        told = f"{disturbed.told}\nrate {disturbed.rate:.0f}/s\ndeaths {disturbed.deaths}"
        assert differences(undisturbed.stored, disturbed.stored) == [], told
        assert published_is_stored(scene.settings, disturbed.stored, scene.references) == [], told
        assert dead_letters_are(scene.settings, scene.count(), exactly_once=False) == [], told
    # Slower than this, real faults have hidden; the short form runs on machines that are busy with other tests.
    assert disturbed.rate > (15_000 if LONG else 3_000)


def test_commits_that_go_too_far_are_found(bootstrap: str, tmp_path: Path, stream: list[Record], undisturbed: Outcome) -> None:
    """The control: a summarise that commits at the tip in place of block starts must not come through its kills.

    Whether a kill falls between a commit and the end of its block is chance: several histories are tried, and one that bites is enough.
    """
    features = {k: v for k, v in undisturbed.stored.panes.items() if k.kind == "features"}
    for attempt in range(_CONTROLS):
        history = [Planned(0.6 + 0.1 * attempt + 0.4 * i, "kill", "summarise") for i in range(6)]
        folder = tmp_path / f"flawed-{attempt}"
        with set_scene(bootstrap, f"sqlite:///{tmp_path / f'driftline-{attempt}.db'}", folder, references()) as scene:
            flawed = run_through(scene, stream, history, flaw="commits_at_the_tip")
        if any("differ" in line for line in of_mappings("panes", features, flawed.stored.panes)):
            return
    pytest.fail(f"{_CONTROLS} histories of kills, and commits that go too far were never found")
