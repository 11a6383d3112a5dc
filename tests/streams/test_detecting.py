"""What detect holds in memory reaches SQL within a checkpoint interval, though nothing more comes. The app around it is a stand-in."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from faust.types import TP
from tests.streams.detect.test_partition import RECORDS, _settings, database

from driftline.store import detection
from driftline.streams.detecting import Detect
from driftline.streams.sql_thread import SqlThread

_INTERVAL_S = 0.2


def _app(tp: TP) -> Any:
    committed: list[int] = []
    consumer = SimpleNamespace(epoch=1, assignment=lambda: {tp}, commit_to=lambda _tp, offset, _epoch: committed.append(offset), committed=committed)
    return SimpleNamespace(consumer=consumer, telemetry=SimpleNamespace(views=[], count=lambda *_: Counter()))


def test_what_waits_is_saved_when_its_interval_is_over_and_not_before(tmp_path: Path) -> None:
    settings = _settings(checkpoint_interval=f"{int(_INTERVAL_S * 1000)}ms")
    tp = TP("summaries", 0)
    with database(tmp_path, "due") as engine:
        app = _app(tp)
        batch: Any = SimpleNamespace(tp=tp, records=RECORDS[:3], next=3, follows=None, epoch=1)
        detect = Detect(app, settings, engine, SqlThread())

        def stored() -> int:
            return next((p.next_offset for p in detection.positions(engine) if p.q == 0), 0)

        async def story() -> None:
            begun = time.monotonic()
            await detect.take(batch)
            at_once = stored()
            await detect.save_due()
            if time.monotonic() - begun < _INTERVAL_S:  # a machine that is slower than that has rightly saved by now
                assert (at_once, stored(), app.consumer.committed) == (0, 0, [])
            await asyncio.sleep(_INTERVAL_S)
            await detect.save_due()
            assert (stored(), app.consumer.committed[-1]) == (3, 3)
            saved = len(app.consumer.committed)
            await asyncio.sleep(_INTERVAL_S)
            await detect.save_due()
            assert len(app.consumer.committed) == saved  # there was nothing to save

        asyncio.run(story())
