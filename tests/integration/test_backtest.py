"""A replay of the log equals live, id by id: with late events, an idle partition, and steps killed in the midst of it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy import text
from tests.integration.faults import Fault, Input
from tests.integration.inputs import publish
from tests.integration.invariants import wait_until_done
from tests.integration.processes import Steps
from tests.integration.scene import Scene, set_scene
from tests.integration.stream import CLICKS, PRICES, Plan, records, references
from typer.testing import CliRunner

from driftline.cli.main import app
from driftline.contracts.times import format_time

pytestmark = pytest.mark.timeout(300)

PLAN = Plan(days=6, clicks_per_hour=20, prices_per_hour=6, shift_day=3)


@pytest.fixture(scope="module")
def scene(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("backtest")
    rng = random.Random(5)
    with set_scene(bootstrap, f"sqlite:///{folder / 'driftline.db'}", folder, references(), idle_timeout="1s") as made:
        stream = records(PLAN)
        half, rest = stream[: len(stream) // 2], stream[len(stream) // 2 :]
        # One partition falls silent, until panes have closed without it; what it brings then comes after they did.
        silent = [r for r in rest if r.topic == "inference-events" and r.partition == 3][:60]
        kept_back = {id(r) for r in silent}
        with Steps(made.tree, folder, workers=1, forked=True) as steps:
            publish(made.settings, half, Input())
            for step in ("summarise", "join", "detect"):
                steps.hit(Fault(0.0, "kill", on=step), rng)
                time.sleep(0.3)
            publish(made.settings, [r for r in rest if id(r) not in kept_back], Input())
            time.sleep(2.5)
            steps.hit(Fault(0.0, "kill", on="detect"), rng)
            publish(made.settings, silent, Input())
            wait_until_done(made.settings, made.engine, steps, 120)
            assert not steps.deaths
        yield made


def _run(scene: Scene, *arguments: str) -> tuple[int, str]:
    told = CliRunner().invoke(app, ["--config", str(scene.folder / "driftline.yaml"), "backtest", *arguments])
    assert told.exception is None or isinstance(told.exception, SystemExit), (told.exception, told.stderr)
    return told.exit_code, told.stdout


@pytest.mark.parametrize("model", [CLICKS, PRICES])
def test_a_replay_equals_live_id_by_id(scene: Scene, model: str) -> None:
    code, printed = _run(scene, model, "--json")
    told = json.loads(printed)
    assert told["equal"], "\n".join([json.dumps(told["first"], indent=1)[:3000], *map(str, told["all"])])
    assert code == 0
    assert told["closings"] > 2 * 100
    assert told["findings"] >= PLAN.days - 1
    assert told["alerts"] >= (model == CLICKS)


def test_other_settings_tell_what_they_would_have_done(scene: Scene, tmp_path: Path) -> None:
    tree = {**scene.tree, "models": {**scene.tree["models"], CLICKS: {**scene.tree["models"][CLICKS], "tolerance": 5.0}}}
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(tree))
    code, printed = _run(scene, CLICKS, "--config", str(other), "--json")
    told = json.loads(printed)
    assert code == 0
    assert told["changed"] == {"tolerance": [0.2, 5.0]}
    assert told["live"]["alarms"]
    assert not told["other"]["alarms"]


def test_of_a_part_of_the_log_what_was_said_in_it(scene: Scene) -> None:
    shift = format_time(PLAN.shift_at)
    told = [json.loads(_run(scene, CLICKS, "--json", *which)[1]) for which in ((), ("--until", shift), ("--since", shift))]
    assert all(one["equal"] for one in told)
    whole, before, after = told
    assert {name: before[name] + after[name] for name in ("closings", "findings", "alerts")} == {
        n: whole[n] for n in ("closings", "findings", "alerts")
    }
    assert not before["alerts"]
    assert after["alerts"]
    code, _ = _run(scene, CLICKS, "--since", shift, "--until", shift)
    assert code


def test_a_finding_that_is_not_what_the_log_says_is_named(scene: Scene) -> None:
    with scene.engine.begin() as conn:
        [before] = conn.scalars(text("SELECT payload FROM findings WHERE model = 'clicks' ORDER BY window_end LIMIT 1"))
        changed = before.replace('"n":', '"n":1', 1)
        conn.execute(text("UPDATE findings SET payload = :new WHERE payload = :old"), {"new": changed, "old": before})
    try:
        code, told = _run(scene, CLICKS)
        assert code == 1
        assert "in 1 places" in told
        assert "finding" in told
    finally:
        with scene.engine.begin() as conn:
            conn.execute(text("UPDATE findings SET payload = :old WHERE payload = :new"), {"new": changed, "old": before})
