from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer
from sqlalchemy import Engine, event
from tests.store import builders

from driftline.cli.lag import Ends, Lag, LagWatch, caught_up, measure
from driftline.cli.ports import free_port
from driftline.cli.topics import ensure_topics
from driftline.contracts.errors import SetupError, TopicError
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.summaries import Progress
from driftline.store import detection, outbox, triggers
from driftline.store.database import migrate, open_database
from driftline.store.detect_rows import Position

SOURCES = {"summarise": "inference-events", "join/inference-events": "inference-events", "join/label-events": "label-events"}


def told(partition: int, position: int, source: str = "summarise", **changed: object) -> Progress:
    return builders.progress(partition, source=source, position=position, **changed)


def ends_of(inference: int = 0, label: int = 0, summaries: int = 0) -> Ends:
    return {("inference-events", 0): inference, ("label-events", 0): label, ("summaries", 0): summaries, ("summaries", 1): summaries}


def everywhere(position: int) -> list[Progress]:
    return [told(0, position, source) for source in SOURCES]


def at(*offsets: int) -> list[Position]:
    return [Position(q=q, next_offset=n, watermark=builders.T0) for q, n in enumerate(offsets)]


def test_nothing_published_is_nothing_to_wait_for() -> None:
    lag = measure(ends_of(), [], {0: [], 1: []}, {}, [])
    assert lag.caught_up
    assert lag.behind == 0


def test_a_source_counts_as_read_when_every_detect_partition_has_been_told() -> None:
    ends = ends_of(inference=10, label=10, summaries=5)
    lag = measure(ends, at(5, 5), {0: everywhere(10), 1: everywhere(8)}, {}, [])
    assert not lag.caught_up
    assert (lag.of("summarise"), lag.of("join"), lag.of("detect")) == (2, 4, 0)
    assert measure(ends, at(5, 5), {0: everywhere(10), 1: everywhere(10)}, {}, []).caught_up


def test_a_detect_partition_that_was_told_nothing_holds_all_back() -> None:
    lag = measure(ends_of(inference=10), at(0), {0: everywhere(10), 1: []}, {}, [])
    assert lag.of("summarise") == 10


@pytest.mark.parametrize("change", [{"outbox": {"detect:0": 1}}, {"open_triggers": ["t"]}, {"positions": at(5, 4)}])
def test_summaries_to_read_records_to_publish_and_open_triggers_are_waited_for(change: dict[str, object]) -> None:
    fields: dict[str, object] = {"ends": ends_of(10, 10, 5), "positions": at(5, 5), "outbox": {}, "open_triggers": []}
    fields["sources"] = {0: everywhere(10), 1: everywhere(10)}
    assert measure(**fields).caught_up  # type: ignore[arg-type]
    assert not measure(**(fields | change)).caught_up  # type: ignore[arg-type]


@given(position=st.integers(0, 100), end=st.integers(0, 100))
def test_behind_is_never_negative_and_zero_only_at_the_end(position: int, end: int) -> None:
    lag = measure(ends_of(inference=end), [], {0: everywhere(position), 1: everywhere(position)}, {}, [])
    assert lag.of("summarise") == max(end - position, 0)
    assert all(p.behind >= 0 for p in lag.partitions)


def test_the_watermark_of_a_step_is_its_slowest_partition_s_that_is_not_idle() -> None:
    def progress(watermarks: dict[int, int], idle: int) -> list[Progress]:
        return [told(p, 1, watermark=w, idle=p == idle) for p, w in watermarks.items()]

    ends: Ends = {("inference-events", p): 1 for p in range(3)}
    lag = measure(ends, [], {0: progress({0: 50, 1: 70, 2: 20}, idle=2)}, {}, [])
    assert lag.watermark("summarise") == 50
    assert lag.watermark("detect") is None


@pytest.fixture
def settings(bootstrap: str, topic_prefix: str, tmp_path: Path) -> Settings:
    kafka = {"bootstrap_servers": bootstrap, "topic_prefix": topic_prefix, "partitions": 2}
    return build_settings({"kafka": kafka, "database": f"sqlite:///{tmp_path / 'd.db'}"})


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = open_database(settings.database)
    migrate(engine)
    yield engine
    engine.dispose()


def test_a_watch_sees_what_is_published_and_what_is_done(settings: Settings, engine: Engine) -> None:
    ensure_topics(settings)
    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)
    with LagWatch(settings, engine) as watch:
        assert watch.look().caught_up
        producer.send(f"{settings.kafka.topic_prefix}inference-events", b"{}", partition=1).get(timeout=20)
        lag = watch.look()
        assert [(p.step, p.topic, p.partition) for p in lag.partitions if p.behind] == [
            ("summarise", "inference-events", 1),
            ("join", "inference-events", 1),
        ]
        told_now = [told(p, p, source, partitions=2) for source in ("summarise", "join/inference-events") for p in (0, 1)]
        for q in (0, 1):
            detection.commit(engine, builders.change(None, 0, q=q, sources=told_now))
        assert watch.look().caught_up
        outbox.add(engine, [builders.outbox_row(owner="versions")])
        triggers.record(engine, [builders.trigger()])
        lag = watch.wait(0.2)
        assert (lag.outbox, lag.open_triggers, lag.caught_up) == ({"versions": 1}, ("t",), False)
    producer.close()


def _sockets() -> set[str]:
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            found.add(str(link.readlink()))
    return {name for name in found if name.startswith("socket:")}


def test_looks_share_their_connections(settings: Settings, engine: Engine) -> None:
    ensure_topics(settings)
    opened: list[object] = []
    with LagWatch(settings, engine) as watch:
        watch.look()
        event.listen(engine, "connect", lambda *made: opened.append(made))
        before = _sockets()
        for _ in range(20):
            watch.look()
        assert _sockets() == before
    assert not opened


def test_without_a_broker_or_topics_it_says_so(settings: Settings, engine: Engine) -> None:
    with pytest.raises(TopicError, match="inference-events is missing; run"):
        caught_up(settings, engine)
    nowhere = build_settings({"kafka": {"bootstrap_servers": f"127.0.0.1:{free_port()}"}})
    with pytest.raises(SetupError, match=r"no broker answers at 127\.0\.0\.1"):
        caught_up(nowhere, engine)


def test_lag_is_what_json_readers_expect() -> None:
    import msgspec

    lag = measure(ends_of(inference=3), [], {0: [], 1: []}, {}, [])
    decoded = msgspec.json.decode(msgspec.json.encode(lag), type=Lag)
    assert decoded == lag
