from __future__ import annotations

from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, Table
from tests.store.builders import (
    T0,
    alert,
    applied,
    block,
    change,
    closing,
    decision,
    finding,
    outbox_row,
    pane,
    progress,
    trigger,
)

from driftline.contracts.errors import StaleState
from driftline.contracts.summaries import Progress
from driftline.store import closings, decisions, detection, episodes, findings, outbox, panes, runs, tables
from driftline.store.detect_rows import SLID, Applied, BlockKey, BlockRow, DetectImage, PaneKey, PaneRow, Position


def test_a_partition_never_read_has_nothing(engine: Engine) -> None:
    assert detection.load(engine, 0) == DetectImage()


def test_what_is_committed_is_loaded(engine: Engine) -> None:
    detection.commit(
        engine,
        change(
            None,
            5,
            sources=[progress(1, idle=True), progress(0), progress(0, source="join/label-events", newest=T0 + 3)],
            applied=[applied(9)],
            blocks=[block(1024, final=True), block(0)],
            panes=[pane(5_000), pane(0, late=True), pane(0, revision=2), pane(0, width=9), pane(10_000, closed=True)],
            model_states={"n": b"\x00", "m": b"state"},
        ),
    )
    assert detection.load(engine, 0) == DetectImage(
        next_offset=5,
        watermark=T0 + 5,
        sources=[progress(0, source="join/label-events", newest=T0 + 3), progress(0), progress(1, idle=True)],
        applied=[applied(9)],
        blocks=[block(0), block(1024, final=True)],
        panes=[pane(0, width=9), pane(0, revision=2), pane(0, late=True), pane(5_000)],
        model_states={"m": b"state", "n": b"\x00"},
    )
    assert detection.sources(engine, 0)[1:] == [progress(0), progress(1, idle=True)]


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (tables.detect_sources, Progress),
        (tables.detect_applied, Applied),
        (tables.blocks, BlockRow),
        (tables.panes, PaneRow),
    ],
)
def test_the_tables_have_a_column_for_each_field(table: Table, row: type[msgspec.Struct]) -> None:
    passing = {"quiet", "woken_from"} if row is Progress else set()  # told again by its owner, and soon over: not kept
    fields = {*row.__struct_fields__} - passing
    assert {c.name for c in table.c} == {"q", *fields}


def test_later_rows_take_the_place_of_earlier_ones_and_others_stay(engine: Engine) -> None:
    detection.commit(engine, change(None, 1, blocks=[block(0), block(8)], panes=[pane(0)], applied=[applied(1)]))
    newer = block(0, next=99, payload=b"newer")
    detection.commit(engine, change(1, 2, blocks=[newer], panes=[pane(0, payload=b"x")], applied=[applied(2)]))
    image = detection.load(engine, 0)
    assert image.blocks == [newer, block(8)]
    assert image.panes == [pane(0, payload=b"x")]
    assert image.applied == [applied(2)]


def test_dropped_rows_are_gone_but_a_row_dropped_and_given_stays(engine: Engine) -> None:
    both = [pane(0), pane(0, late=True)]
    detection.commit(engine, change(None, 1, blocks=[block(0), block(8)], panes=both, model_states={"m": b"1", "n": b"2"}))
    detection.commit(
        engine,
        change(
            1,
            2,
            dropped_blocks=[BlockKey("m", 0, 0), BlockKey("m", 0, 8)],
            blocks=[block(8)],
            dropped_panes=[PaneKey("m", "r", "features", 5_000, 0, late=True)],
            dropped_models=["n"],
        ),
    )
    image = detection.load(engine, 0)
    assert image.blocks == [block(8)]
    assert image.panes == [pane(0)]
    assert image.model_states == {"m": b"1"}


def test_partitions_are_apart(engine: Engine) -> None:
    detection.commit(engine, change(None, 1, blocks=[block(0)]))
    detection.commit(engine, change(None, 7, q=1, blocks=[block(0, payload=b"other")]))
    assert detection.load(engine, 0).blocks == [block(0)]
    assert detection.load(engine, 1).blocks == [block(0, payload=b"other")]
    assert detection.positions(engine) == [
        Position(q=0, next_offset=1, watermark=T0 + 1),
        Position(q=1, next_offset=7, watermark=T0 + 7),
    ]


def test_a_zombie_is_refused_and_writes_nothing(engine: Engine) -> None:
    detection.commit(engine, change(None, 5, blocks=[block(0)]))
    before = detection.load(engine, 0)
    everything = change(
        4,
        6,
        blocks=[block(0, payload=b"zombie")],
        dropped_blocks=[BlockKey("m", 0, 0)],
        findings=[finding()],
        alerts=[alert()],
        triggers=[trigger()],
        outbox=[outbox_row()],
    )
    for expected in (4, 6, None):
        with pytest.raises(StaleState):
            detection.commit(engine, msgspec.structs.replace(everything, expected_next=expected))
    assert detection.load(engine, 0) == before
    assert findings.latest(engine, "m") is None
    assert episodes.history(engine) == []
    assert runs.open_triggers(engine) == []
    assert outbox.pending(engine, "o") == []


def test_what_is_said_is_kept_in_the_same_transaction(engine: Engine) -> None:
    detection.commit(
        engine,
        change(
            None,
            5,
            findings=[finding()],
            alerts=[alert("e", 0), alert("e", 1, "updated")],
            decisions=[decision()],
            triggers=[trigger()],
            closings=[closing()],
            outbox=[outbox_row()],
        ),
    )
    assert findings.latest(engine, "m") == finding()
    [episode] = episodes.history(engine, "m", open_only=True)
    assert (episode.status, episode.revision) == ("updated", 1)
    assert decisions.history(engine, "m") == [decision()]
    assert runs.open_triggers(engine, "m") == [trigger()]
    assert closings.history(engine, "m") == [closing()]
    assert [row.value for row in outbox.pending(engine, "o")] == [b"v"]


def test_panes_of_a_model_are_found_whatever_their_partition(engine: Engine) -> None:
    kept = [pane(0), pane(0, kind="outcomes"), pane(0, width=9_000, closed=True), pane(5, late=True), pane(9)]
    detection.commit(engine, change(None, 1, q=2, panes=[*kept[::-1], pane(0, model="n")]))
    assert panes.panes(engine, "m") == kept
    assert panes.panes(engine, "m", kind="features", width=5_000, since=1, until=9) == [kept[3]]


def test_panes_are_fetched_by_key_and_by_stretch_closed_or_not(engine: Engine) -> None:
    kept = [pane(start, late=late, closed=start < 50) for start in range(0, 100, 10) for late in (False, True)]
    kept += [pane(0, width=9_000), pane(0, reference_id="other"), pane(0, kind="outcomes"), pane(0, model="n")]
    detection.commit(engine, change(None, 1, panes=kept))

    absent = PaneKey("m", "r", "features", 5_000, 11, late=False)
    wanted = [*kept[4:9], *kept[-4:]]
    assert sorted(panes.fetch(engine, [absent, *(row.key for row in wanted)]), key=_key) == sorted(wanted, key=_key)
    assert panes.fetch(engine, []) == []
    stretch = panes.stretch(engine, "m", reference_id="r", kind="features", width=5_000, since=20, until=60)
    assert stretch == [row for row in kept[:20] if not row.late and 20 <= row.start < 60]


def _key(row: PaneRow) -> PaneKey:
    return row.key


def test_what_was_cut_by_count_is_told_apart_whole_or_slid_however_long(engine: Engine) -> None:
    like = pane(0).key
    whole = [like.whole(0, 30), like.whole(30, 60), like.whole(60, 5_060)]
    slid = [like.sliding(0, 30), like.sliding(0, 50), like.sliding(30, 60), like.sliding(60, 5_060)]
    assert [(k.start, k.end, k.length, k.counted, k.slid) for k in (whole[1], slid[2], like)] == [
        (30, 60, 30, True, False),
        (30, 60, 30, False, True),
        (0, 5_000, 5_000, False, False),
    ]
    kept = [pane(k.start, width=k.width) for k in (*whole, *slid, like._replace(start=60))]
    kept += [pane(0, width=whole[0].width, kind="outcomes"), pane(0, width=-30, late=True), pane(0, width=-30, reference_id="other")]
    detection.commit(engine, change(None, 1, panes=kept))
    assert set(panes.counted(engine, "m", "r")) == {*whole, *slid}
    assert [r.key for r in panes.stretch(engine, "m", reference_id="r", kind="features", width=None, since=0, until=60)] == whole[:2]
    # A row with the start of one that is asked for and the width of another is not.
    assert {r.key for r in panes.fetch(engine, [slid[1], slid[2], whole[2]])} == {slid[1], slid[2], whole[2]}
    # A step goes when it has ended, and not when its window has begun.
    gone = {
        k for k in panes.foldable(engine, "m", 5_000, {}, forgotten=50, limit=100) if (k.kind, k.late, k.reference_id) == ("features", False, "r")
    }
    assert gone == {*whole[:2], *slid[:2]}
    assert all(k.length < SLID for k in gone)


def test_panes_that_stand_in_their_windows_can_be_let_go_of_by_kind_and_a_few_at_a_time(engine: Engine) -> None:
    kept = [pane(start, late=late, kind=kind) for start in (0, 10, 20) for late in (False, True) for kind in ("features", "outcomes")]
    kept += [pane(0, width=9_000), pane(9_000, width=9_000), pane(0, model="n")]
    detection.commit(engine, change(None, 1, panes=kept))

    def starts(**asked: Any) -> list[tuple[str, int, int]]:
        fields: dict[str, Any] = {"folded": {}, "forgotten": 0, "limit": 100, **asked}
        return sorted({(k.kind, k.width, k.start) for k in panes.foldable(engine, "m", 5_000, **fields)})

    assert starts() == []
    assert starts(folded={(None, "features"): 20, (None, "outcomes"): 10}) == [
        ("features", 5_000, 0),
        ("features", 5_000, 10),
        ("outcomes", 5_000, 0),
    ]
    assert starts(folded={("another", "features"): 20}) == []
    assert starts(forgotten=1) == [("features", 5_000, 0), ("features", 9_000, 0), ("outcomes", 5_000, 0)]
    assert len(panes.foldable(engine, "m", 5_000, {(None, "features"): 20}, forgotten=0, limit=3)) == 3
