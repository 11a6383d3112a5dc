"""A training starts once the join has read all there is, though the log ends with what no join will ever read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.retrain import world

from driftline.contracts.summaries import Progress
from driftline.retrain.handling import Handling
from driftline.store import detection, join
from driftline.store.database import migrate, open_database
from driftline.store.detect_rows import DetectChange
from driftline.store.join import JoinChange


class _Child:
    """A training that goes on and on."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.stdin = open("/dev/null", "wb")  # noqa: SIM115, PTH123 - closed with the child

    def poll(self) -> None:
        """Still at it."""

    def terminate(self) -> None:
        """As it is told."""

    def wait(self, _seconds: float = 0) -> None:
        """At once."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_database(f"sqlite:///{tmp_path / 'joined'}.db")
    migrate(opened)
    # Ten records, and then the marker of the transaction that wrote them: the log ends at 11.
    join.apply(opened, JoinChange(source="label-events", partition=0, expected_next=None, next_offset=10), lambda _: [])
    yield opened
    opened.dispose()


def _starts(engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch, told: int) -> bool:
    """Say whether a training starts at once where the join has told detect that it is so far."""
    source = Progress("join/label-events", 0, 2, told, 900, 0, idle=True, newest=900)
    detection.commit(engine, DetectChange(q=0, expected_next=None, next_offset=1, watermark=0, sources=[source]))
    monkeypatch.setattr("driftline.retrain.handling.subprocess.Popen", _Child)
    settings = world.settings_of(folder, str(engine.url))
    one = Handling(engine, settings, world.trigger_at(1_000), owner="o", event_ends=lambda: {("label-events", 0): 11})
    for now in range(0, 1_000, 50):
        one.step(now)
    started = one._child is not None
    one.abandon(1_000)
    return started


def test_a_marker_at_the_end_of_the_log_is_not_waited_for(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _starts(engine, tmp_path, monkeypatch, told=11)


def test_a_record_that_the_join_has_not_read_is(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not _starts(engine, tmp_path, monkeypatch, told=10)
