"""A model whose events end has one episode that stays open; nobody is woken by a night, a restart, or a log read twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from sqlalchemy import Engine
from tests.streams.detect.summaries import T0, Stream, built
from tests.streams.records import Record

from driftline.contracts.findings import Alert
from driftline.contracts.reference import Reference
from driftline.contracts.settings import build_settings
from driftline.contracts.summaries import OutcomeDelta, Progress, SummaryMessage, decode_summary, encode_summary
from driftline.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS
from driftline.detectors.silence import KNOWN_MS, longest_silence
from driftline.store import episodes, references
from driftline.store.database import migrate, open_database
from driftline.streams.detect.clock import SourceClock
from driftline.streams.detect.partition import DetectPartition

REFERENCE = built()
SECONDS = 130
STREAM = Stream(REFERENCE, seconds=SECONDS, shift_at=10_000, rate=4).messages()
LAST = T0 + SECONDS * 1000
MODEL: dict[str, Any] = {"pane": "5s", "window": "1m", "allowed_lateness": "5s", "alarm_budget": "1 per 30d", "label_wait": "20s"}


def _settings(**model: Any) -> Any:
    return build_settings({"defaults": {**MODEL, **model}, "worker": {"block_size": 16, "checkpoint_interval": "1h"}})


@contextmanager
def database(path: Path, reference: Reference = REFERENCE) -> Iterator[Engine]:
    """A database that holds a reference."""
    opened = open_database(f"sqlite:///{path}.db")
    migrate(opened)
    references.put(opened, reference, [])
    try:
        yield opened
    finally:
        opened.dispose()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with database(tmp_path / "detect") as opened:
        yield opened


def quiet(millis: int, position: int = SECONDS * 16) -> list[SummaryMessage]:
    """What a source says that has been read to its end for so long; later and later."""
    sources = ("summarise", "join/inference-events", "join/label-events")
    return [Progress(s, 0, 1, position, LAST - 1, 0, idle=True, newest=LAST - 1, quiet=millis) for s in sources]


def _records(messages: list[SummaryMessage]) -> list[Record]:
    return [Record(i, encode_summary(message), topic="summaries") for i, message in enumerate(messages)]


def _alerts(engine: Engine, messages: list[SummaryMessage], *, deaths: int = 0, settings: Any = None) -> list[Alert]:
    """Feed the messages, the memory lost ``deaths`` times on the way, and return what was said, in order."""
    records, chosen = _records(messages), settings or _settings()
    partition = DetectPartition(engine, chosen, 0)
    for i in range(0, len(records), 7):
        partition.apply(records[i : i + 7])
        if deaths and i // 7 % max(len(records) // 7 // deaths, 1) == 0:
            partition = DetectPartition(engine, chosen, 0)
            partition.apply([r for r in records[: i + 7] if r.offset >= (partition.next_offset or 0)])
    partition.checkpoint()
    return sorted(episodes.alerts(engine, limit=1000), key=lambda a: (a.at, a.revision))


#: Told each minute for two days, as an owner does that never restarts.
TWO_DAYS = [m for minute in range(1, 48 * 60, 9) for m in quiet(minute * MINUTE_MS)]


def test_the_end_of_all_events_is_one_episode_that_stays_open(engine: Engine) -> None:
    [alert] = _alerts(engine, [*STREAM, *TWO_DAYS])
    assert (alert.status, alert.severity, alert.n) == ("opened", "warning", 0)
    assert [(c.column, c.term, c.direction) for c in alert.causes] == [("volume", "silence", "down")]
    assert alert.onset == LAST
    assert HOUR_MS <= alert.at - LAST <= HOUR_MS + 11 * MINUTE_MS
    assert alert.at % MINUTE_MS == 0
    assert alert.sentence.startswith("m has gone quiet since ")
    assert "no event for 6" in alert.sentence


def test_whoever_reads_the_log_again_says_the_same_however_often_it_died(engine: Engine, tmp_path: Path) -> None:
    straight = _alerts(engine, [*STREAM, *TWO_DAYS])
    with database(tmp_path / "again") as other:
        assert [msgspec.to_builtins(a) for a in _alerts(other, [*STREAM, *TWO_DAYS], deaths=9)] == [msgspec.to_builtins(a) for a in straight]


def test_events_that_come_again_end_it_at_the_next_window(engine: Engine) -> None:
    hours = 5
    second = Stream(REFERENCE, seconds=SECONDS, shift_at=10_000, seed=2, rate=4)
    again = [_later(message, hours * HOUR_MS, SECONDS * 16) for message in second.messages()]
    opened, resolved = _alerts(engine, [*STREAM, *quiet(90 * MINUTE_MS), *again])[:2]
    assert (opened.status, resolved.status) == ("opened", "resolved")
    assert opened.episode_id == resolved.episode_id
    assert resolved.sentence.startswith("Events of m come again after ")
    assert resolved.at - T0 >= hours * HOUR_MS


#: A second's events every five minutes.
EVERY = 5 * MINUTE_MS
A_DAY = DAY_MS // EVERY
#: Of 15 days with as many events.
KNOWN = built(rows=17_280, apart=75_000, all_events=True)


def nights(times: int, hours: int = 26) -> list[SummaryMessage]:
    """The events of a whole day at once, and then not a word for so many hours: the next day's are published when it is over."""
    told: list[SummaryMessage] = []
    for message in Stream(KNOWN, seconds=times * A_DAY, shift_at=1_000_000, rate=4).messages():
        if isinstance(message, OutcomeDelta):
            continue
        second = message.position // 16 - 1 if isinstance(message, Progress) else message.start // 16
        spread = _later(message, second * (EVERY - 1_000), 0)
        told.append(spread)
        if isinstance(spread, Progress) and spread.source == "join/label-events" and second % A_DAY == A_DAY - 1:
            told += [
                msgspec.structs.replace(progress, idle=True, quiet=minute * MINUTE_MS)
                for minute in range(1, hours * 60, 20)
                for progress in cast("list[Progress]", told[-3:])
            ]
    return told


def test_who_publishes_once_a_night_is_said_to_be_silent_a_few_times_and_no_more(tmp_path: Path) -> None:
    with database(tmp_path / "known", KNOWN) as engine:
        told = _alerts(engine, nights(5), deaths=3, settings=_settings(window="1h"))
    opened = [alert for alert in told if alert.status == "opened"]
    assert [cause.term for alert in opened for cause in alert.causes] == ["silence"] * len(opened)
    # Twenty times the longest gap, looked at each twenty minutes; three times that; three times that again, and the next night is over sooner.
    hours = [alert.causes[0].high for alert in opened]
    assert len(hours) == 3
    assert all(3 * one <= other < 3 * one + 0.5 for one, other in pairwise([20 / 36, *hours]))
    assert sum(alert.status == "resolved" for alert in told) == 3


def test_after_a_silence_that_was_one_events_begin_at_its_end_and_teach_nothing_of_the_kind(engine: Engine) -> None:
    partition = DetectPartition(engine, _settings(), 0)
    again = [_later(message, 5 * HOUR_MS, SECONDS * 16) for message in STREAM]
    partition.apply(_records([*STREAM, *quiet(90 * MINUTE_MS), *again]))
    [track] = partition._states["m"].tracks.values()
    assert (track.patience, track.longest_gap > 4 * HOUR_MS) == (0, True)
    assert "silence" in {cause.term for alert in episodes.alerts(engine, limit=9) for cause in alert.causes}


def _later(message: SummaryMessage, by: int, offset: int) -> SummaryMessage:
    """The same, so much later in event time and so many offsets on."""
    if isinstance(message, Progress):
        return msgspec.structs.replace(
            message, position=message.position + offset, watermark=message.watermark + by, newest=message.newest + by,
            floor=message.floor + offset if message.source == "summarise" else 0,
        )  # fmt: skip
    panes = []
    for part in message.panes:
        sample = [msgspec.structs.replace(row, event_time=row.event_time + by) for row in part.sample]
        times = {name: getattr(part, name) + by for name in ("start", "first_time", "last_time")}
        panes.append(msgspec.structs.replace(part, sample=sample, **times))
    if hasattr(message, "sequence"):
        return msgspec.structs.replace(message, sequence=message.sequence + offset, panes=panes)
    return msgspec.structs.replace(
        message, start=message.start + offset, first=message.first + offset, next=message.next + offset, panes=panes
    )  # fmt: skip


def test_time_that_other_models_events_pass_counts_as_well(engine: Engine) -> None:
    passing = [
        Progress(s, 0, 1, SECONDS * 16 + minute, LAST + minute * MINUTE_MS, 0, idle=False, newest=LAST + minute * MINUTE_MS)
        for minute in range(1, 100)
        for s in ("summarise", "join/inference-events", "join/label-events")
    ]
    [alert] = _alerts(engine, [*STREAM, *passing])
    assert (alert.status, alert.causes[0].term) == ("opened", "silence")
    assert alert.at - LAST == HOUR_MS + MINUTE_MS - LAST % MINUTE_MS if LAST % MINUTE_MS else HOUR_MS


def test_a_weight_of_zero_mutes_it(engine: Engine) -> None:
    assert _alerts(engine, [*STREAM, *TWO_DAYS], settings=_settings(weights={"volume": 0})) == []


def test_time_passes_only_while_every_partition_has_been_read_to_its_end() -> None:
    clock = SourceClock()
    told = {"position": 5, "watermark": 1_000, "floor": 0, "newest": 1_000}
    clock.advance(Progress("summarise", 0, 2, **told, idle=True, quiet=700))
    assert clock.passed("summarise") == 0
    clock.advance(Progress("summarise", 1, 2, **{**told, "watermark": 900}, idle=True, quiet=500))
    assert clock.passed("summarise") == 1_500
    assert clock.watermark(["summarise"]) == (1_000, True)
    # Old news takes nothing back; a new owner counts from when it began, and says more than that later.
    clock.advance(Progress("summarise", 1, 2, **told, idle=True, quiet=20))
    assert clock.passed("summarise") == 1_500
    clock.advance(Progress("summarise", 1, 2, **{**told, "position": 6}, idle=False))
    assert clock.passed("summarise") == clock.watermark(["summarise"])[0]


def test_a_record_of_the_version_before_has_no_quiet() -> None:
    bare = msgspec.msgpack.decode(encode_summary(quiet(5)[0]))
    again = decode_summary(msgspec.msgpack.encode(bare[:-2]))
    assert isinstance(again, Progress)
    assert (again.quiet, again.idle, again.woken_from) == (0, True, None)


def test_each_false_silence_doubles_what_is_known_until_two_weekends_are() -> None:
    known, times = 5 * MINUTE_MS, 0
    while known < 3 * DAY_MS:
        bound = longest_silence(known, 1_000)
        assert bound >= min(known, HOUR_MS)
        known, times = known + max(bound, known), times + 1
    assert times <= 11
    # A night of 8 hours, then weekends of 62, before and after they have been seen.
    assert longest_silence(10 * DAY_MS, 8 * HOUR_MS) > 62 * HOUR_MS
    assert longest_silence(10 * DAY_MS, 1_000) == 3 * DAY_MS > 62 * HOUR_MS
    assert longest_silence(KNOWN_MS, 12 * MINUTE_MS) == 4 * HOUR_MS
