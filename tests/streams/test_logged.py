"""Rows of a stretch of the log: what is kept depends on the events alone."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.streams.columnar_log import Log, logs
from tests.streams.records import PANE, T0, Record, event

from driftline.contracts.ids import sample_hash
from driftline.contracts.settings import build_settings
from driftline.contracts.summaries import SampleRow
from driftline.streams.logged import LoggedRows
from driftline.streams.references import ReferenceBook
from driftline.streams.summarising import reader_of

SETTINGS = build_settings({})
UNTIL = T0 + 2 * PANE


def read(kept: LoggedRows, records: list[Record], cuts: list[int]) -> LoggedRows:
    """Feed records of one partition in pieces."""
    reader, watermark = reader_of(SETTINGS, ReferenceBook()), 0
    edges = [0, *sorted(cut % (len(records) + 1) for cut in cuts), len(records)]
    for start, stop in pairwise(edges):
        for piece in reader.pieces(records[start:stop]):
            found, rejected, watermark, _ = reader.read(piece, watermark)
            kept.take(found, rejected)
    return kept


events: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(
        dict,
        event_id=st.sampled_from([f"e{i}" for i in range(40)]),
        at=st.integers(T0 - PANE, T0 + 3 * PANE),
        version=st.sampled_from(["1", "2"]),
        model=st.sampled_from(["m", "m", "other"]),
        score=st.sampled_from([0.25, 0.75]),
        features=st.fixed_dictionaries({"x": st.integers(0, 2)}),
    ),
    max_size=80,
)


@settings(max_examples=60)
@given(events, st.lists(st.integers(0, 100), max_size=3), st.integers(1, 50), st.sampled_from([None, "1"]), st.integers(0, 9))
def test_the_least_places_of_the_events_that_fit_are_kept(
    made: list[dict[str, Any]], cuts: list[int], most: int, version: str | None, seed: int
) -> None:
    records = [event(i, appended=T0 + PANE, **one) for i, one in enumerate(made)]
    kept = read(LoggedRows("m", T0, UNTIL, version, most), records, cuts)
    fits = [one for one in made if one["model"] == "m" and T0 <= one["at"] < UNTIL and version in (None, one["version"])]
    ids = {str(one["event_id"]) for one in fits}
    assert kept.events == len(fits)
    assert {row.event_id for row in kept.rows()} == set(sorted(ids, key=sample_hash)[:most])
    assert kept.sampled == (len(ids) > most)
    assert [row.event_time for row in kept.rows()] == sorted(row.event_time for row in kept.rows())
    shuffled = list(made)
    random.Random(seed).shuffle(shuffled)
    again = [event(i, appended=T0 + PANE, **one) for i, one in enumerate(shuffled)]
    assert read(LoggedRows("m", T0, UNTIL, version, most), again, []).rows() == kept.rows()


@settings(max_examples=40)
@given(logs(), st.integers(1, 20))
def test_columnar_records_and_json_events_of_the_same_rows_keep_the_same(log: Log, most: int) -> None:
    n = len(log.ids)
    columnar = read(LoggedRows(log.model, T0, UNTIL, None, most), [log.columnar(0, n, 0)], [])
    single = read(LoggedRows(log.model, T0, UNTIL, None, most), [log.json(i, i) for i in range(n)], [])
    assert [_bare(row) for row in columnar.rows()] == [_bare(row) for row in single.rows()]
    assert columnar.events == single.events


def _bare(row: SampleRow) -> tuple[object, ...]:
    return row.event_id, row.event_time, row.version, row.prediction, row.score, sorted(row.features)


def test_more_rows_than_are_wanted_take_no_more_memory_than_these() -> None:
    kept = LoggedRows("m", T0, UNTIL, None, 100)
    records = [event(i, T0 + i % PANE) for i in range(20_000)]
    read(kept, records, [])
    assert len(kept._held) <= 100 + 25 + 4_096
    assert len(kept.rows()) == 100
    assert kept.sampled
    assert kept.events == 20_000


def test_what_can_not_be_used_is_counted_and_what_else_there_is_is_noted() -> None:
    junk = [Record(0, None), Record(1, b"{"), Record(2, b"ARROW1\0\0junk"), event(3, T0 + 90 * PANE), event(4, T0, model="other", version="7")]
    far = event(5, T0 + 10 * 86_400_000, appended=T0)
    kept = read(LoggedRows("m", T0, UNTIL, "1", 10), [*junk, far], [])
    assert not kept.rows()
    assert sum(kept.rejected.values()) == 4
    assert kept.rejected["time_ahead"] == 1
    assert {name: (e.events, e.first) for name, e in kept.models.items()} == {"m": (1, T0 + 90 * PANE), "other": (1, T0)}
