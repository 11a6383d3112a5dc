"""The join against pandas on the same events: any order, any batching, repeats, corrections, withdrawals, and transactions that come to nothing."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.streams.records import PANE, T0, Record, event, label, reference

from driftline.contracts.settings import build_settings
from driftline.contracts.summaries import OutcomeDelta, decode_summary
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane
from driftline.store import join, outbox, outcomes
from driftline.store.database import migrate, open_database
from driftline.store.join import JoinChange
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import OutcomeChange
from driftline.streams.joining import CountedAs, delta_rows, read_labels
from driftline.streams.predictions import PredictionReader
from driftline.streams.references import ReferenceBook

SETTINGS = build_settings({"defaults": {"pane": "5s", "label_wait": "1m", "outcome_sample": 0.75}})
_run = itertools.count()


class CrashError(Exception):
    pass


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = open_database(database_url)
    migrate(opened)
    yield opened
    opened.dispose()


def _joined(engine: Engine, model: str, batches: Sequence[tuple[str, list[Record]]], crashes: Sequence[bool]) -> None:
    """Do what the step does; where a crash is due the transaction fails at its end, and the batch comes again."""
    book = ReferenceBook()
    book.add([reference(model=model)])
    reader, position = PredictionReader(), dict[str, int | None]()
    for (topic, records), crash in zip(batches, crashes, strict=False):
        source = f"{model}/{topic}"
        poll = reader(records, SETTINGS) if topic == "inference-events" else read_labels(records, SETTINGS)
        at = position.get(source)
        following = (at or 0) + len(records)
        change = JoinChange(source=source, partition=0, expected_next=at, next_offset=following, predictions=poll.predictions, labels=poll.labels)

        def said(changes: list[OutcomeChange], source: str = source, sequence: int = following) -> list[OutboxRow]:
            return delta_rows(changes, owner=model, source=source, partition=0, sequence=sequence, book=book)

        def fails(_: list[OutcomeChange]) -> list[OutboxRow]:
            raise CrashError

        if crash:
            with pytest.raises(CrashError):
                join.apply(engine, change, fails, CountedAs(SETTINGS, book))
        join.apply(engine, change, said, CountedAs(SETTINGS, book))
        position[source] = following


_events = st.integers(0, 7)
_labels = st.tuples(_events, st.integers(1, 90_000), st.sampled_from([0, 1, None]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    predicted=st.lists(_events, max_size=12),
    told=st.lists(_labels, max_size=16, unique_by=lambda one: one[1]),
    order=st.randoms(use_true_random=False),
    crashes=st.lists(st.booleans(), min_size=40, max_size=40),
)
def test_the_join_is_the_join_of_pandas(
    engine: Engine, predicted: list[int], told: list[tuple[int, int, int | None]], order: object, crashes: list[bool]
) -> None:
    model = f"m{next(_run)}"
    made = [("inference-events", event(i, T0 + 1_000 * e, event_id=f"e{e}", model=model, score=e / 8)) for i, e in enumerate(predicted)]
    made += [("label-events", label(i, f"e{e}", T0 + 1_000 * e + delay, value, model)) for i, (e, delay, value) in enumerate(told)]
    made += made[::3]
    order.shuffle(made)  # type: ignore[attr-defined]
    cut = [made[i : i + 3] for i in range(0, len(made), 3)]
    _joined(engine, model, [(topic, [r for t, r in part if t == topic]) for part in cut for topic in ("inference-events", "label-events")], crashes)

    kept = {f"e{e}" for e in range(8) if PredictionReader()([event(0, T0, event_id=f"e{e}", model=model)], SETTINGS).predictions}
    predictions = (
        pd.DataFrame({"event_id": [f"e{e}" for e in predicted], "time": [T0 + 1_000 * e for e in predicted]})
        .drop_duplicates()
        .astype({"event_id": "str", "time": "int64"})
    )
    labels = pd.DataFrame(told, columns=["e", "delay", "label"]).astype({"e": int, "delay": int, "label": float})
    labels["event_id"] = ("e" + labels["e"].astype("str")).astype("str")
    labels = labels.sort_values("delay").drop_duplicates("event_id", keep="last")
    expected = predictions.merge(labels, on="event_id").dropna(subset=["label"])
    expected = expected[expected["event_id"].isin(kept)]

    joined: list[dict[Any, Any]] = expected.to_dict("records")

    found = outcomes.ripe_rows(engine, model, since=0, until=1 << 60, known_by=1 << 60)
    assert {(o.event_id, o.event_time, o.label, o.label_time) for o in found} == {
        (r["event_id"], r["time"], r["label"], r["time"] + r["delay"]) for r in joined
    }
    counts: dict[tuple[int, bool], Pane] = {}
    for row in outbox.pending(engine, model):
        delta = decode_summary(row.value)
        assert isinstance(delta, OutcomeDelta)
        for part in delta.panes:
            counts.setdefault((part.start, part.late), Pane(layout_of(reference(model=model), "outcomes"))).add(part)
    panes = Counter((r["time"] // PANE * PANE, r["delay"] > 60_000) for r in joined)
    assert {key: pane.n for key, pane in counts.items() if pane.n} == dict(panes)
    assert all(np.all(pane.counts >= 0) for pane in counts.values())
    assert all(pane.quality == ({"sampled:0.75": pane.n} if pane.n else {}) for pane in counts.values())
