"""Rows so late that they open a window of before anything that goes on now."""

from __future__ import annotations

from pathlib import Path

import msgspec
from tests.streams.detect.summaries import PANE, T0, WINDOW, Stream, built
from tests.streams.records import Record

from driftline.contracts.settings import build_settings
from driftline.contracts.summaries import BlockSummary, encode_summary
from driftline.store import episodes, findings, references
from driftline.store.database import migrate, open_database
from driftline.streams.detect.partition import DetectPartition

REFERENCE = built()
MODEL = {"pane": "5s", "window": "1m", "allowed_lateness": "5s", "alarm_budget": "1 per 1h", "label_wait": "20s"}


def test_a_row_from_long_before_an_open_episode_is_counted_and_says_nothing_of_it(tmp_path: Path) -> None:
    messages = Stream(REFERENCE, seconds=425, shift_at=200).messages()
    cut = next(i for i, m in enumerate(messages) if isinstance(m, BlockSummary) and m.start == 420 * 16)
    long_ago = T0 - 20 * WINDOW
    old = messages[cut]
    assert isinstance(old, BlockSummary)
    part = msgspec.structs.replace(old.panes[0], start=long_ago // PANE * PANE, late=True, first_time=long_ago, last_time=long_ago)
    late = BlockSummary("m", 1, 0, 0, 16, final=True, panes=[part])
    engine = open_database(f"sqlite:///{tmp_path / 'late'}.db")
    migrate(engine)
    references.put(engine, REFERENCE, [])
    partition = DetectPartition(engine, build_settings({"defaults": MODEL, "worker": {"block_size": 16}}), 0)
    records = [Record(i, encode_summary(m), topic="summaries") for i, m in enumerate([*messages[:cut], late, *messages[cut:]])]
    partition.apply(records[:cut])
    partition.checkpoint()
    (before,) = episodes.history(engine, "m", open_only=True)
    partition.apply(records[cut:])
    partition.checkpoint()
    (after,) = episodes.history(engine, "m", open_only=True)
    assert (after.episode_id, after.status, after.onset) == (before.episode_id, before.status, before.onset)
    counted = {f.window_start: f.n for f in findings.history(engine, "m", limit=100)}
    assert counted[long_ago // WINDOW * WINDOW] == part.n
    engine.dispose()
