from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from tests.guard import main as guard

_made: list[str] = []


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_gets_an_empty_database(database_url: str, turn: int) -> None:
    assert database_url not in _made
    _made.append(database_url)
    engine = create_engine(database_url)
    assert inspect(engine).get_table_names() == []
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE left_behind (turn INTEGER)"))
        connection.execute(text("INSERT INTO left_behind VALUES (:turn)"), {"turn": turn})
    engine.dispose()


def test_the_guard_clears_away_once_its_run_is_gone(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "broker").mkdir(parents=True)
    run = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    watching = subprocess.Popen([sys.executable, "-m", "tests.guard", str(run.pid), str(shared)], cwd=Path(__file__).parents[1])
    time.sleep(1.5)
    assert shared.exists()
    run.kill()
    run.wait()
    assert watching.wait(timeout=30) == 0
    assert not shared.exists()


def test_the_guard_leaves_when_the_run_has_cleared_away_itself(tmp_path: Path) -> None:
    guard(os.getpid(), tmp_path / "gone")
