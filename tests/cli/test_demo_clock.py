"""The replay clock says what it waits for, and names who died or never came to rest."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from driftline.cli.demo import clock
from driftline.cli.lag import Lag, PartitionLag

BEHIND = Lag((PartitionLag("summarise", "inference-events", 2, 0, 251, 251, 0, idle=False),), {"versions": 1}, ("t1",))
DONE = Lag((), {}, ())


def _watch(*lags: Lag) -> Any:
    left = list(lags)
    return SimpleNamespace(look=lambda: left.pop(0) if len(left) > 1 else left[0])


def _workers(*dead: Any) -> Any:
    return SimpleNamespace(dead=lambda: list(dead), logs=Path("logs"))


def test_a_long_wait_is_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_TELL_S", 0.0)
    said: list[str] = []
    assert clock.wait_for_rest(_watch(BEHIND, BEHIND, DONE), _workers(), said.append) >= 0
    assert said
    assert all("summarise is 251 records behind in inference-events[2]" in line and "trigger t1 is open" in line and "logs" in line for line in said)


def test_a_short_wait_is_not() -> None:
    said: list[str] = []
    clock.wait_for_rest(_watch(BEHIND, DONE), _workers(), said.append)
    assert said == []


def test_who_died_and_who_lags_are_named() -> None:
    dead = SimpleNamespace(name="worker-2", process=SimpleNamespace(returncode=-9), log=Path("logs/worker-2.log"))
    with pytest.raises(clock.DayNeverEnded, match=r"worker-2 \(exit -9"):
        clock.wait_for_rest(_watch(BEHIND), _workers(dead))
    with pytest.raises(clock.DayNeverEnded, match="1 records of versions wait to be published"):
        clock.wait_for_rest(_watch(BEHIND), _workers(), deadline_s=0.0)
