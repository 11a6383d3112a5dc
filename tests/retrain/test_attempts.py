"""A training that takes its worker along, each time."""

from __future__ import annotations

from pathlib import Path

from tests.retrain import world

from driftline.contracts.times import parse_duration
from driftline.retrain.handling import Handling
from driftline.store import runs, versions
from driftline.store.database import migrate, open_database


def test_after_many_workers_that_ended_the_run_has_failed_and_holds_up_nothing(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'driftline.db'}")
    migrate(engine)
    settings = world.settings_of(tmp_path, str(engine.url))
    world.register(engine, settings)
    trigger, lease = world.trigger_at(1_000), parse_duration(settings.retrain.lease)
    # None of them says goodbye: each one's lease has to run out.
    owners = [Handling(engine, settings, trigger, owner=f"o{n}", event_ends=dict) for n in range(21)]
    settled = [owner.step(1_000 + n * (lease + 1)) for n, owner in enumerate(owners)]
    assert settled == [False] * 20 + [True]
    run = runs.get(engine, trigger.trigger_id)
    assert run is not None
    assert (run.status, run.attempt) == ("failed", 21)
    champion = versions.current(engine, world.MODEL)
    assert champion is not None
    assert "20 workers ended before they had done it" in run.detail.decode()
    engine.dispose()
