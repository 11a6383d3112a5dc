"""What comes out of its order, beside its time, or not at all: an idle partition that goes on, a canary beside its champion, labels that stop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.streams.detect.summaries import BLOCK, T0, WINDOW, Stream, built
from tests.streams.detect.test_partition import concluded, opened, run
from tests.streams.records import Record

from driftline.contracts.reference import Reference, seal
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.summaries import BlockSummary, OutcomeDelta, Progress, SummaryMessage, encode_summary
from driftline.store import decisions, episodes, references
from driftline.streams.detect.partition import DetectPartition

REFERENCE = built()
MODEL = {"pane": "5s", "window": "1m", "allowed_lateness": "5s", "alarm_budget": "1 per 1h", "label_wait": "20s"}
SETTINGS: Settings = build_settings({"defaults": MODEL, "worker": {"block_size": 16}})
WAIT = 20_000


def recorded(messages: Sequence[SummaryMessage]) -> list[Record]:
    return [Record(i, encode_summary(m), topic="summaries") for i, m in enumerate(messages)]


def second_of(message: SummaryMessage) -> int:
    """The second of the stream that a message tells of."""
    if isinstance(message, BlockSummary):
        return message.start // BLOCK
    return message.sequence - 1 if isinstance(message, OutcomeDelta) else (message.watermark - T0) // 1_000


# -- a partition that was idle goes on further back


@pytest.mark.parametrize("deaths", [frozenset[int](), frozenset({60, 61, 62, 63, 64, 65})])
def test_panes_that_were_overtaken_correct_their_window_and_reach_no_detector(tmp_path: Path, deaths: frozenset[int]) -> None:
    messages = Stream(REFERENCE, seconds=300, shift_at=400).messages()
    idle = [replace(m, partition=1) for m in messages if isinstance(m, BlockSummary) and 50 <= second_of(m) < 55]
    rest = [m for m in messages if not (isinstance(m, BlockSummary) and 50 <= second_of(m) < 55)]
    resumed = next(i for i, m in enumerate(rest) if second_of(m) == 150)
    n = sum(part.n for block in idle for part in block.panes)
    found = []
    for name, log in (("never", rest), ("resumed", [*rest[:resumed], *idle, *rest[resumed:]])):
        records = recorded(log)
        with opened(f"sqlite:///{tmp_path / name}.db") as engine:
            run(engine, SETTINGS, [records[i : i + 20] for i in range(0, len(records), 20)], deaths)
            found.append(concluded(engine, with_panes=False))
    never, after = found
    assert after["closings"] == never["closings"]
    assert after["alerts"] == never["alerts"]
    assert sum(f["n"] for f in after["findings"].values()) == sum(f["n"] for f in never["findings"].values()) + n
    evidence = [[f["evidence"] for f in sorted(one["findings"].values(), key=lambda f: f["window_start"])] for one in found]
    assert evidence[0] == evidence[1]


def test_they_are_counted(tmp_path: Path) -> None:
    messages = Stream(REFERENCE, seconds=100, shift_at=400).messages()
    idle = [m for m in messages if isinstance(m, BlockSummary) and 50 <= second_of(m) < 55]
    rest = [m for m in messages if m not in idle]
    with opened(f"sqlite:///{tmp_path / 'counted'}.db") as engine:
        partition = DetectPartition(engine, SETTINGS, 0)
        partition.apply(recorded(rest))
        before = partition.counters.overtaken
        offset = len(rest)
        partition.apply([replace_offset(r, offset + i) for i, r in enumerate(recorded([replace(m, partition=1) for m in idle]))])
        assert partition.counters.overtaken - before == sum(not part.late for m in idle for part in m.panes)


def replace_offset(record: Record, offset: int) -> Record:
    return Record(offset, record.value, topic=record.topic)


# -- a canary beside the champion


def of_version(version: str, since: int) -> Reference:
    return seal(replace(REFERENCE, version=version, effective_from=T0 + since * 1_000))


def canary_stream(other: Reference, since: int, until: int, seconds: int) -> list[SummaryMessage]:
    """Version 1, shifted from second 60 on, gets events until ``until``; the other version some of them from ``since`` on, of partition 1."""
    beside = [
        replace(m, partition=1)
        for m in Stream(other, seconds=seconds, shift_at=10_000, seed=5).messages()
        if isinstance(m, BlockSummary) and second_of(m) >= since
    ]
    told: list[SummaryMessage] = []
    for message in Stream(REFERENCE, seconds=seconds, shift_at=60).messages():
        if isinstance(message, BlockSummary):
            told += [m for m in beside if m.start == message.start and m.next == message.next]
        if isinstance(message, Progress) or second_of(message) < until:
            told.append(message)
    return told


def statuses(tmp_path: Path, other: Reference, messages: Sequence[SummaryMessage]) -> list[str]:
    """Where the episodes of version 1 stand."""
    with opened(f"sqlite:///{tmp_path / 'canary'}.db") as engine:
        references.put(engine, other, [])
        run(engine, SETTINGS, [recorded(messages)])
        found = [e for e in episodes.history(engine, "m") if e.reference_id == REFERENCE.reference_id]
        return ["open" if e.resolved_at is None else e.status for e in found]


def test_a_canary_leaves_the_open_episodes_of_the_version_beside_it_alone(tmp_path: Path) -> None:
    canary = of_version("2", 150)
    assert statuses(tmp_path, canary, canary_stream(canary, 150, 10_000, 320)) == ["open"]


def test_a_version_that_takes_over_ends_them_once_the_older_one_has_dried_up(tmp_path: Path) -> None:
    canary = of_version("2", 150)
    assert statuses(tmp_path, canary, canary_stream(canary, 150, 180, 400)) == ["superseded"]


def test_a_reference_of_the_same_version_ends_them_at_its_first_pane(tmp_path: Path) -> None:
    again = of_version("1", 150)
    assert statuses(tmp_path, again, canary_stream(again, 150, 152, 175)) == ["superseded"]


# -- a join that is behind


def answers(tmp_path: Path, behind: int) -> dict[int, str]:
    """What the policy said, by the second at which it was asked, where all that the join tells comes so many seconds after the features."""
    policy = {"drift_persists": "1m", "drift_importance": 0, "cooldown": "1s"}
    told: list[tuple[int, SummaryMessage]] = []
    for message in Stream(REFERENCE, seconds=420, shift_at=60, one_category_at=200).messages():
        of_join = isinstance(message, OutcomeDelta) or (isinstance(message, Progress) and message.source != "summarise")
        told.append((second_of(message) + (behind if of_join else 0), message))
    log = [message for _, message in sorted(told, key=lambda pair: pair[0])]
    with opened(f"sqlite:///{tmp_path / str(behind)}.db") as engine:
        records = recorded(log)
        asked_for = build_settings({"defaults": {**MODEL, "policy": policy}, "worker": {"block_size": 16}})
        run(engine, asked_for, [records[i : i + 50] for i in range(0, len(records), 50)])
        return {(d.at - T0) // 1_000: d.sentence for d in decisions.history(engine, "m", limit=1_000)}


def test_what_the_policy_is_told_of_an_episode_is_what_was_known_at_its_moment(tmp_path: Path) -> None:
    beside, later = answers(tmp_path, 0), answers(tmp_path, 150)
    assert later == beside
    drifts = [sentence for sentence in beside.values() if sentence.startswith("Drift in")]
    assert any("Drift in x, which" in s for s in drifts)
    assert any("c" in s.partition("which")[0] for s in drifts)


# -- labels that stop


def asked(tmp_path: Path, messages: Sequence[SummaryMessage], name: str = "labels") -> list[int]:
    """When the policy was asked: seconds of the stream."""
    with opened(f"sqlite:///{tmp_path / name}.db") as engine:
        records = recorded(messages)
        run(engine, SETTINGS, [records[i : i + 50] for i in range(0, len(records), 50)])
        return sorted((d.at - T0) // 1_000 for d in decisions.history(engine, "m", limit=1_000))


def without_labels(messages: Sequence[SummaryMessage], since: int) -> list[SummaryMessage]:
    return [m for m in messages if not (isinstance(m, OutcomeDelta) and second_of(m) >= since)]


DUE = [i * WINDOW // 1_000 + WAIT // 1_000 for i in range(7)]  # the first of them: rows late from before the stream


def test_a_model_whose_labels_stop_while_others_go_on_is_asked_in_its_time(tmp_path: Path) -> None:
    messages = Stream(REFERENCE, seconds=420, shift_at=1_000).messages()
    whole = asked(tmp_path, messages, "whole")
    assert whole == [at for at in DUE if at < 420]
    assert asked(tmp_path, without_labels(messages, 130)) == whole


def test_and_when_it_is_asked_does_not_depend_on_how_far_the_join_is_behind(tmp_path: Path) -> None:
    messages = without_labels(Stream(REFERENCE, seconds=420, shift_at=1_000).messages(), 130)
    behind = sorted(
        enumerate(messages), key=lambda im: (second_of(im[1]) + 70 * (isinstance(im[1], Progress) and im[1].source != "summarise"), im[0])
    )
    assert asked(tmp_path, [m for _, m in behind]) == [at for at in DUE if at < 420]


def labels_end(messages: Sequence[SummaryMessage], at: int, *, join_stops: bool = False) -> list[SummaryMessage]:
    """No label comes from a second on, and their topic has been read to its end; with ``join_stops`` the predictions are not joined either."""
    told: list[SummaryMessage] = []
    for m in without_labels(messages, at):
        if isinstance(m, Progress) and second_of(m) >= at and (m.source.endswith("label-events") or (join_stops and m.source != "summarise")):
            if second_of(m) == at and m.source.endswith("label-events"):
                told.append(replace(m, idle=True))
            continue
        told.append(m)
    return told


def test_where_no_label_comes_at_all_any_more_the_policy_is_asked_three_windows_later(tmp_path: Path) -> None:
    messages = labels_end(Stream(REFERENCE, seconds=420, shift_at=1_000).messages(), 130)
    assert asked(tmp_path, messages) == [at for at in DUE if at + 3 * WINDOW // 1_000 < 420 or at <= 130]


def test_a_join_that_is_only_behind_has_nobody_asked(tmp_path: Path) -> None:
    messages = labels_end(Stream(REFERENCE, seconds=420, shift_at=1_000).messages(), 130, join_stops=True)
    assert asked(tmp_path, messages) == [at for at in DUE if at <= 130]
