"""The join against pandas on the same events: any order, any batching, repeats, corrections, withdrawals, transactions that come to nothing and are
read again in other pieces, an id with several event times.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def _joined(engine: Engine, model: str, logs: Mapping[str, Sequence[Record]], polls: Iterable[tuple[str, int, bool]]) -> None:
    """Do what the step does, poll by poll: the next so many records of a topic. A crash has the transaction fail at its end; what comes of the topic
    then begins at the same record and ends wherever the next poll ends, after others of the other topic.
    """
    book = ReferenceBook()
    book.add([reference(model=model)])
    reader, position = PredictionReader(), dict[str, int | None]()
    # Whoever crashed comes back: in the end all is read.
    for topic, size, crash in itertools.chain(polls, ((topic, len(log), False) for topic, log in logs.items())):
        source = f"{model}/{topic}"
        at = position.get(source)
        records = logs[topic][at or 0 : (at or 0) + size]
        if not records:
            continue
        poll = reader(records, SETTINGS) if topic == "inference-events" else read_labels(records, SETTINGS)
        following = (at or 0) + len(records)
        change = JoinChange(source=source, partition=0, expected_next=at, next_offset=following, predictions=poll.predictions, labels=poll.labels)

        def said(changes: list[OutcomeChange], source: str = source, sequence: int = following, crash: bool = crash) -> list[OutboxRow]:
            if crash:
                raise CrashError
            return delta_rows(changes, owner=model, source=source, partition=0, sequence=sequence, book=book)

        if crash:
            with pytest.raises(CrashError):
                join.apply(engine, change, said, CountedAs(SETTINGS, book))
            continue
        join.apply(engine, change, said, CountedAs(SETTINGS, book))
        position[source] = following


_events = st.integers(0, 7)
#: An event, and by how much (ms) its clock was off: the same id comes with other event times, of which the earliest is the prediction's.
_predictions = st.tuples(_events, st.sampled_from([0, 0, 0, 700, 4_000, -6_000]))
_labels = st.tuples(_events, st.integers(1, 90_000), st.sampled_from([0, 1, None]))
_polls = st.tuples(st.sampled_from(["inference-events", "label-events"]), st.integers(1, 5), st.booleans())


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    predicted=st.lists(_predictions, max_size=12),
    told=st.lists(_labels, max_size=16, unique_by=lambda one: one[1]),
    order=st.randoms(use_true_random=False),
    polls=st.lists(_polls, max_size=40),
)
def test_the_join_is_the_join_of_pandas(
    engine: Engine,
    predicted: list[tuple[int, int]],
    told: list[tuple[int, int, int | None]],
    order: random.Random,
    polls: list[tuple[str, int, bool]],
) -> None:
    model = f"m{next(_run)}"
    logs = {
        "inference-events": [event(i, T0 + 1_000 * e + off, event_id=f"e{e}", model=model, score=e / 8) for i, (e, off) in enumerate(predicted)],
        "label-events": [label(i, f"e{e}", T0 + 1_000 * e + delay, value, model) for i, (e, delay, value) in enumerate(told)],
    }
    for log in logs.values():
        log.extend(log[::3])
        order.shuffle(log)
    _joined(engine, model, logs, polls)

    kept = {f"e{e}" for e in range(8) if PredictionReader()([event(0, T0, event_id=f"e{e}", model=model)], SETTINGS).predictions}
    predictions = pd.DataFrame({"e": [e for e, _ in predicted], "time": [T0 + 1_000 * e + off for e, off in predicted]}).astype("int64")
    predictions = predictions.groupby("e", as_index=False).min()
    labels = pd.DataFrame(told, columns=["e", "delay", "label"]).astype({"e": int, "delay": int, "label": float})
    labels["label_time"] = T0 + 1_000 * labels["e"] + labels["delay"]
    labels = labels.sort_values("label_time").drop_duplicates("e", keep="last")
    expected = predictions.merge(labels, on="e").dropna(subset=["label"])
    expected["event_id"] = [f"e{e}" for e in expected["e"]]
    expected = expected[expected["event_id"].isin(kept)]

    joined: list[dict[Any, Any]] = expected.to_dict("records")

    found = outcomes.ripe_rows(engine, model, since=0, until=1 << 60, known_by=1 << 60)
    assert {(o.event_id, o.event_time, o.label, o.label_time) for o in found} == {
        (r["event_id"], r["time"], r["label"], r["label_time"]) for r in joined
    }
    counts: dict[tuple[int, bool], Pane] = {}
    for row in outbox.pending(engine, model):
        delta = decode_summary(row.value)
        assert isinstance(delta, OutcomeDelta)
        for part in delta.panes:
            counts.setdefault((part.start, part.late), Pane(layout_of(reference(model=model), "outcomes"))).add(part)
    panes = Counter((r["time"] // PANE * PANE, r["label_time"] - r["time"] > 60_000) for r in joined)
    assert {key: pane.n for key, pane in counts.items() if pane.n} == dict(panes)
    assert all(np.all(pane.counts >= 0) for pane in counts.values())
    assert all(pane.quality == ({"sampled:0.75": pane.n} if pane.n else {}) for pane in counts.values())
