"""What a summaries partition concludes is a function of its records: not of polls, checkpoints, deaths, or what has been folded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.streams.detect.summaries import PANE, T0, WINDOW, Stream, built
from tests.streams.records import Record

from driftline.contracts.settings import Settings, build_settings
from driftline.store import closings, decisions, detection, episodes, findings, outbox, panes, references
from driftline.store.database import migrate, open_database
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect import episode_keeper, folding, series
from driftline.streams.detect.partition import DetectPartition

REFERENCE = built()
RECORDS = Stream(REFERENCE, seconds=420, shift_at=200).records()
MODEL = {"pane": "5s", "window": "1m", "allowed_lateness": "5s", "alarm_budget": "1 per 1h", "label_wait": "20s"}


def _settings(**worker: str) -> Settings:
    return build_settings({"defaults": MODEL, "worker": {"block_size": 16, **worker}})


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = open_database(url)
    try:
        migrate(engine)
        references.put(engine, REFERENCE, [])
        yield engine
    finally:
        engine.dispose()


@contextmanager
def database(folder: Path, name: str) -> Iterator[Engine]:
    with opened(f"sqlite:///{folder / name}.db") as engine:
        yield engine


def run(engine: Engine, settings: Settings, polls: Sequence[Sequence[Record]], deaths: frozenset[int] = frozenset()) -> None:
    """Feed the polls; after those in ``deaths`` the memory is lost, and reading goes on from where SQL is."""
    partition = DetectPartition(engine, settings, 0)
    for i, poll in enumerate(polls):
        partition.apply(poll)
        if i in deaths:
            partition = DetectPartition(engine, settings, 0)
            again = [r for p in polls[: i + 1] for r in p if r.offset >= (partition.next_offset or 0)]
            partition.apply(again)
    partition.checkpoint()


def concluded(engine: Engine, *, with_panes: bool = True) -> dict[str, Any]:
    def bare(message: msgspec.Struct) -> dict[str, Any]:
        return {k: v for k, v in msgspec.to_builtins(message).items() if k not in {"revision", "offsets"}}

    return {
        "findings": {f.finding_id: bare(f) for f in findings.history(engine, limit=10_000)},
        "closings": {c.closing_id: bare(c) for c in closings.history(engine, "m")},
        "alerts": {a.alert_id: bare(a) for a in episodes.alerts(engine, limit=10_000)},
        "decisions": {d.decision_id: bare(d) for d in decisions.history(engine, "m", limit=10_000)},
        "panes": [(r.kind, r.width, r.start, r.late, r.closed, r.payload) for r in panes.panes(engine, "m")] if with_panes else [],
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with database(tmp_path_factory.mktemp("whole"), "whole") as engine:
        run(engine, _settings(checkpoint_interval="1ms"), [RECORDS[i : i + 5] for i in range(0, len(RECORDS), 5)])
        return concluded(engine)


def test_the_stream_has_something_to_conclude(expected: dict[str, Any]) -> None:
    assert len(expected["closings"]) > 2 * (420 * 1000 // PANE - 10)
    assert [a["status"] for a in expected["alerts"].values()][:1] == ["opened"]
    assert len(expected["findings"]) >= 420 * 1000 // WINDOW - 1
    assert expected["decisions"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_polls_checkpoints_and_deaths_change_nothing(expected: dict[str, Any], tmp_path: Path, data: st.DataObject) -> None:
    interval = data.draw(st.sampled_from(["1ms", "1h"]))
    cuts = sorted({0, len(RECORDS), *data.draw(st.lists(st.integers(0, len(RECORDS)), max_size=60))})
    polls = [RECORDS[a:b] for a, b in pairwise(cuts)]
    deaths = data.draw(st.frozensets(st.integers(0, len(polls) - 1), max_size=6))
    for path in tmp_path.glob("again*"):
        path.unlink()
    with database(tmp_path, "again") as engine:
        run(engine, _settings(checkpoint_interval=interval), polls, deaths)
        assert concluded(engine) == expected


def test_memory_runs_ahead_of_sql_until_something_has_to_be_said(database_url: str) -> None:
    with opened(database_url) as engine:
        partition = DetectPartition(engine, _settings(checkpoint_interval="1h"), 0)
        at = next(i for i in range(len(RECORDS)) if partition.apply(RECORDS[i : i + 1]))
        [first] = [c for c in closings.history(engine, "m") if c.kind == "features"]
        assert first.start == (first.start // PANE) * PANE
        assert at > 20
        assert partition.stored == partition.next_offset == detection.positions(engine)[0].next_offset == at + 1
        assert not partition.apply(RECORDS[at + 1 : at + 3])
        assert (partition.stored, partition.next_offset) == (at + 1, at + 3)
        assert [row.topic for row in outbox.pending(engine, "detect:0")] == ["pane-closings"]
        assert partition.checkpoint()
        assert partition.stored == at + 3
        assert not partition.checkpoint()


def since_the_beginning(engine: Engine) -> list[tuple[int, int, int, list[int]]]:
    """Return (width, start, n, counts) of what an episode would be measured on that opened now and began with the stream."""
    keeper = DetectPartition(engine, _settings(), 0)._monitor("m")._episodes
    last = PaneKey("m", REFERENCE.reference_id, "features", PANE, T0 + 400_000, late=False)
    return [(key.width, key.start, cell.pane.n, cell.pane.counts.tolist()) for key, cell in keeper._since(last, T0)]


@pytest.fixture
def short_reach(monkeypatch: pytest.MonkeyPatch) -> int:
    for module in (folding, series, episode_keeper):
        monkeypatch.setattr(module, "LONGEST", 12)
    return 12


def test_folded_or_not_the_same_is_concluded_and_folded_panes_are_gone(
    short_reach: int, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = [RECORDS[i : i + 50] for i in range(0, len(RECORDS), 50)]
    with opened(database_url) as engine:
        run(engine, _settings(), polls, frozenset(range(0, len(polls), 7)))
        folded = concluded(engine, with_panes=False)
        kept = panes.panes(engine, "m", width=PANE)
        windows = {(r.kind, r.start, r.late): r.payload for r in panes.panes(engine, "m", width=WINDOW)}
        looked_back = since_the_beginning(engine)
    never: Callable[..., int] = lambda *_: 0  # noqa: E731
    monkeypatch.setattr("driftline.streams.detect.windows.horizon", never)
    with database(tmp_path, "whole") as engine:
        run(engine, _settings(), polls)
        assert concluded(engine, with_panes=False) == folded
        assert len(panes.panes(engine, "m", width=PANE)) > 2 * 80
        assert since_the_beginning(engine) == looked_back
        assert {(r.kind, r.start, r.late): r.payload for r in panes.panes(engine, "m", width=WINDOW)} == windows
    assert {width for width, *_ in looked_back} == {WINDOW, PANE}
    per_minute = WINDOW // PANE
    assert len({r.start for r in kept}) <= short_reach + 4 * per_minute


def test_what_comes_for_a_folded_pane_counts_in_its_window_and_opens_no_pane_again(short_reach: int, tmp_path: Path) -> None:
    assert short_reach < 420_000 // PANE
    with database(tmp_path, "late") as engine:
        run(engine, _settings(), [RECORDS[i : i + 50] for i in range(0, len(RECORDS), 50)])
        partition = DetectPartition(engine, _settings(), 0)
        again = msgspec.structs.replace(_decoded(RECORDS[1]), sequence=10_000)  # the first delta of outcomes once more, as of a later transaction
        before = {(r.width, r.start, r.late): r.payload for r in panes.panes(engine, "m", kind="outcomes")}
        closed = len(closings.history(engine, "m"))
        partition.apply([Record(len(RECORDS), _encoded(again), topic="summaries")])
        partition.checkpoint()
        after = {(r.width, r.start, r.late): r.payload for r in panes.panes(engine, "m", kind="outcomes")}
        assert before.keys() == after.keys()
        assert {key[0] for key in before if before[key] != after[key]} == {WINDOW}
        assert len(closings.history(engine, "m")) == closed


def _decoded(record: Record) -> Any:
    from driftline.contracts.summaries import decode_summary

    return decode_summary(record.value)


def _encoded(message: Any) -> bytes:
    from driftline.contracts.summaries import encode_summary

    return encode_summary(message)
