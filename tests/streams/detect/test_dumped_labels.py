"""Labels that come all at once, hours after what they tell of: an episode of errors ends as it would have had they come one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.streams.detect.summaries import BLOCK, PANE, T0, Stream, built
from tests.streams.records import Record

from driftline.contracts.settings import build_settings
from driftline.contracts.summaries import BlockSummary, Counted, OutcomeDelta, PanePart, Progress, SummaryMessage, encode_summary
from driftline.detectors.outcomes import Outcome
from driftline.detectors.parts import PartBuilder, counted_parts
from driftline.store import episodes, references
from driftline.store.database import migrate, open_database
from driftline.streams.detect.partition import DetectPartition

REFERENCE = built()
#: Events of a pane, panes of a window, and how long (ms) a label takes.
ROWS, WINDOW, DELAY = 60, 12, 10_000
#: Windows in which the scores are wrong, and of the whole stream.
WORSE, WINDOWS = range(4, 10), 32
#: Labels that come in dumps come with every eighth window, and those of the last six not yet.
EVERY, HELD = 8, 6
MODEL = {"pane": "5s", "allowed_lateness": "5s", "alarm_budget": "1 per 1d", "label_wait": "20s"}


def _pane(rng: np.random.Generator, i: int) -> tuple[BlockSummary, list[PanePart]]:
    """The block of one pane, and its outcomes."""
    start = T0 + i * PANE
    times, score = np.sort(rng.integers(start, start + PANE, ROWS)), np.round(rng.beta(2, 3, ROWS), 4)
    ids, right = [f"{i}-{k}" for k in range(ROWS)], i // WINDOW not in WORSE
    x, c = rng.normal(size=ROWS).tolist(), rng.choice(["a", "b"], ROWS).tolist()
    builder = PartBuilder(PANE, 4, 10, {})
    builder.add(REFERENCE, Stream._rows(ids, times, np.zeros(ROWS, np.bool_), x, c, score.tolist()))
    signed = []
    for name, at, p in zip(ids, times.tolist(), score.tolist(), strict=True):
        truth = int(rng.random() < (p if right else 1 - p))
        said = Outcome(event_id=name, model="m", version="1", event_time=at, prediction=None, score=p, label=truth, label_time=at + DELAY)
        signed.append((said, Counted(REFERENCE.reference_id, start, late=False), 1))
    block = BlockSummary("m", 0, i * BLOCK, i * BLOCK, (i + 1) * BLOCK, final=True, panes=builder.parts())
    return block, counted_parts({REFERENCE.reference_id: REFERENCE}, signed)


def _records(*, dumped: bool) -> list[Record]:
    rng, told = np.random.default_rng(1), list[SummaryMessage]()
    waiting: list[tuple[int, list[PanePart]]] = []
    labels = Progress("join/label-events", 0, 1, 0, 0, 0, idle=False, newest=0)
    for i in range(WINDOWS * WINDOW):
        block, outcomes = _pane(rng, i)
        waiting.append((i, outcomes))
        mark = T0 + (i + 1) * PANE - 1
        told += [
            block,
            *(Progress(s, 0, 1, (i + 1) * BLOCK, mark, i * BLOCK, idle=False, newest=mark) for s in ("summarise", "join/inference-events")),
        ]
        if not dumped or (i + 1) % (EVERY * WINDOW) == 0:
            given = len(waiting) - (HELD * WINDOW if dumped else 0)
            for at, parts in waiting[:given]:
                mark = T0 + (at + 1) * PANE - 1 + DELAY
                labels = Progress("join/label-events", 0, 1, at + 1, mark, 0, idle=False, newest=mark)
                told += [OutcomeDelta("m", "label-events", 0, at + 1, parts), labels]
            waiting = waiting[given:]
        elif i % (EVERY * WINDOW) == 3:
            told.append(Progress("join/label-events", 0, 1, labels.position, labels.watermark, 0, idle=True, newest=labels.newest, quiet=10_000))
    return [Record(i, encode_summary(message), topic="summaries") for i, message in enumerate(told)]


@pytest.mark.parametrize(("window", "deaths"), [({"window": "1m"}, 5), ({"window": "1m", "slide": "30s"}, 0)])
def test_an_episode_of_errors_ends_though_its_windows_were_overdue_when_their_labels_came(
    tmp_path: Path, window: dict[str, str], deaths: int
) -> None:
    settings = build_settings({"defaults": {**MODEL, **window}, "worker": {"block_size": BLOCK, "checkpoint_interval": "1h"}})
    said = {}
    for dumped in (False, True):
        engine = open_database(f"sqlite:///{tmp_path / f'{dumped}'}.db")
        migrate(engine)
        references.put(engine, REFERENCE, [])
        partition, records = DetectPartition(engine, settings, 0), _records(dumped=dumped)
        for i in range(0, len(records), 20):
            partition.apply(records[i : i + 20])
            if deaths and i // 20 % (len(records) // 20 // deaths) == 1:
                partition = DetectPartition(engine, settings, 0)
                partition.apply(records[: i + 20])
        partition.checkpoint()
        said[dumped] = sorted((a.at, a.status, a.n) for a in episodes.alerts(engine, limit=100))
        engine.dispose()
    assert [status for _, status, _ in said[False]][-1] == "resolved"
    # Those of the last windows have no labels yet.
    assert said[True] == said[False]
