"""The join reads an event alone as it reads it among thousands that are alike: the quick way and the definition give the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.streams.records import T0, Record, event

from driftline.contracts.settings import build_settings
from driftline.contracts.times import DAY_MS, SECOND_MS
from driftline.streams import predictions
from driftline.streams.predictions import Poll, PredictionReader

ALLOWED = 300 * SECOND_MS + DAY_MS

times = st.integers(T0 - DAY_MS, T0 + DAY_MS) | st.sampled_from([T0 + 300 * SECOND_MS, T0 + 300 * SECOND_MS + 1, T0 + ALLOWED, T0 + ALLOWED + 1])
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
usual = st.builds(lambda at, name: event(0, at, event_id=name, appended=T0), times, ids)
odd = st.builds(lambda at, model, n: event(0, at, event_id=f"e{n}", model=model, appended=T0), times, st.sampled_from("mno"), st.integers(0, 9))
bad = st.sampled_from([Record(0, None), Record(0, b"junk"), Record(0, b'{"event_id":"a","model":"m","event_time":1600000000000,"features":[1]}')])
twice = st.just(Record(0, b'{"event_id":"a","event_id":"b","model":"m","event_time":1,"features":{},"event_time":1600000000001}'))


def numbered(records: Sequence[Record]) -> list[Record]:
    return [dataclasses.replace(record, offset=i) for i, record in enumerate(records)]


def one_by_one(records: Sequence[Record], share: float) -> Poll:
    """Return what a reader that has never seen anything makes of each record by itself."""
    own, whole = build_settings({"defaults": {"outcome_sample": share}}), Poll()
    for record in records:
        poll = PredictionReader()([record], own)
        whole.predictions += poll.predictions
        whole.watermark, whole.newest = max(whole.watermark, poll.watermark), max(whole.newest, poll.newest)
    return whole


@pytest.mark.parametrize("at_once", [3, 512])
@settings(max_examples=40, deadline=None)
@given(st.lists(usual, max_size=30), st.lists(usual | odd | bad | twice, max_size=30), st.sampled_from([1.0, 0.5, 0.1]))
def test_alike_or_mixed_alone_or_among_many_events_are_read_the_same(at_once: int, same: list[Record], mixed: list[Record], share: float) -> None:
    own = build_settings({"defaults": {"outcome_sample": share}})
    reader = PredictionReader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictions, "AT_ONCE", at_once)
        # Of a model with so many events the reader makes ready a struct.
        reader(numbered([event(0, T0, event_id=str(i)) for i in range(20)]), own)
        for records in (numbered(same), numbered(mixed), numbered(same + mixed)):
            poll, expected = reader(records, own), one_by_one(records, share)
            assert (poll.predictions, poll.watermark, poll.newest) == (expected.predictions, expected.watermark, expected.newest)
