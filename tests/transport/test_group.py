from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition
from tests.transport.apps.harness import Reader, admin, commit, create_topics, publish, read_to

PARTITIONS = 4


class Traffic(threading.Thread):
    """Writes 10 records to each partition every 20 ms until it is told to stop."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        super().__init__()
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=5)
        self._topic = topic
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.02):
            for partition in range(PARTITIONS):
                for _ in range(10):
                    self._producer.send(self._topic, value=b"v", partition=partition)
        self._producer.flush()
        self._producer.close()


def ends(bootstrap: str, topic: str) -> list[int]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    try:
        tps = [TopicPartition(topic, p) for p in range(PARTITIONS)]
        found = consumer.end_offsets(tps)
        return [found[tp] for tp in tps]
    finally:
        consumer.close()


def owned(reader: Reader) -> int:
    assigned = reader.events("assigned")
    return len(assigned[-1]["tps"]) if assigned else 0


def assert_gapless(reader: Reader) -> None:
    """Within an epoch, a partition's batches follow one another from the epoch's start."""
    starts = {(*e["tp"], e["epoch"]): e["offset"] for e in reader.events("start")}
    for batch in reader.events("batch"):
        key = (*batch["tp"], batch["epoch"])
        assert batch["follows"] in (None, starts[key])
        assert batch["offsets"] == list(range(starts[key], batch["offsets"][-1] + 1))
        starts[key] = batch["offsets"][-1] + 1


def test_two_workers_share_join_leave_and_die_and_nothing_is_lost(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic, partitions=PARTITIONS)
    settings: dict[str, Any] = {
        "bootstrap": bootstrap,
        "group": topic_prefix,
        "topics": [topic],
        "max_poll_records": 50,
    }
    traffic = Traffic(bootstrap, topic)
    traffic.start()
    try:
        with Reader(tmp_path, "a", **settings) as a, Reader(tmp_path, "b", **settings) as b:
            for reader in (a, b):
                reader.wait_for(lambda r: owned(r) == 2)
            seen = len(a.events("batch"))
            a.wait_for(lambda r: len(r.events("batch")) > seen + 5)
            assert a.stop() == 0
            b.wait_for(lambda r: owned(r) == 4)
            with Reader(tmp_path, "c", **settings) as c:
                c.wait_for(lambda r: owned(r) == 2 and len(r.events("batch")) > 5)
                c.kill()
                b.wait_for(lambda r: owned(r) == 4)
                traffic.ended.set()
                traffic.join()
                expected = ends(bootstrap, topic)
                for partition, end in enumerate(expected):
                    b.wait_for(read_to(topic, end, partition))
            assert b.stop() == 0
    finally:
        traffic.ended.set()
        traffic.join()
    for reader in (a, b, c):
        assert_gapless(reader)
    for partition, end in enumerate(expected):
        processed = [offset for reader in (a, b, c) for offset in reader.offsets(topic, partition)]
        assert set(processed) == set(range(end))
        assert commit(bootstrap, topic_prefix, topic, partition) == (end, f"é{end}")
    # Whoever hands over in order commits before: only what the killed one did not commit is read twice.
    in_order = [(p, offset) for reader in (a, b) for p in range(PARTITIONS) for offset in reader.offsets(topic, p)]
    assert len(in_order) == len(set(in_order))


def test_workers_that_join_and_leave_while_batches_are_at_work_do_nothing_over_again(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic, partitions=PARTITIONS)
    for partition in range(PARTITIONS):
        publish(bootstrap, topic, [b"v"] * 600, partition)
    settings: dict[str, Any] = {
        "bootstrap": bootstrap, "group": topic_prefix, "topics": [topic], "max_poll_records": 20, "work_s": 0.1,
        "options": {"broker_commit_interval": 600.0},  # so that every commit is one of a hand-over
    }  # fmt: skip
    with Reader(tmp_path, "a", **settings) as a:
        a.wait_for(lambda r: len(r.events("batch")) > 5)
        with Reader(tmp_path, "b", **settings) as b:
            b.wait_for(lambda r: len(r.events("batch")) > 5)
            assert b.stop() == 0
        for partition in range(PARTITIONS):
            # Whoever of the two read the last of it: on a busy machine B comes when little is left.
            a.wait_for(lambda r, p=partition: 599 in r.offsets(topic, p) + b.offsets(topic, p))  # type: ignore[misc]  # mypy sees no type for p
    assert owned(b) == 2
    for partition in range(PARTITIONS):
        done = a.offsets(topic, partition) + b.offsets(topic, partition)
        assert sorted(done) == list(range(600))


def test_a_step_that_hangs_holds_a_rebalance_up_no_longer_than_the_deadline(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic, partitions=2)
    for partition in range(2):
        publish(bootstrap, topic, [b"v"] * 10, partition)
    settings: dict[str, Any] = {
        "bootstrap": bootstrap, "group": topic_prefix, "topics": [topic], "max_poll_records": 1, "transport": {"revoke_deadline_s": 1.0},
        # Kafka would wait so long for a member that does not come back.
        "options": {"broker_session_timeout": 60.0, "broker_request_timeout": 130.0, "broker_rebalance_timeout": 120.0},
    }  # fmt: skip
    with Reader(tmp_path, "a", **settings, hang_at=5) as a:
        a.wait_for(lambda r: 4 in r.offsets(topic, 0) + r.offsets(topic, 1))
        with Reader(tmp_path, "b", **settings) as b:
            b.wait_for(lambda r: owned(r) == 1, within_s=50.0)
            mine = b.events("assigned")[-1]["tps"][0][1]
            b.wait_for(read_to(topic, 10, mine))
    assert "Not waiting longer for" in a.output.read_text()
    done = [offset for reader in (a, b) for offset in reader.offsets(topic, mine)]
    assert sorted(done) == list(range(10))


def test_a_stop_under_load_is_done_soon_after_the_drain_though_commits_are_named_to_the_last(
    bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic, partitions=PARTITIONS)
    traffic = Traffic(bootstrap, topic)
    traffic.start()
    try:
        with Reader(
            tmp_path, "a", bootstrap=bootstrap, group=topic_prefix, topics=[topic], max_poll_records=5, work_s=0.05, names_late=True,
            transport={"drain_deadline_s": 20.0},
        ) as reader:  # fmt: skip
            reader.wait_for(lambda r: len(r.events("batch")) > 20)
            began = time.monotonic()
            assert reader.stop() == 0
            took = time.monotonic() - began
    finally:
        traffic.ended.set()
        traffic.join()
    assert took < 8.0, reader.output.read_text()[-3000:]  # two of it are a sleep of Faust's worker
    for partition in {e["tp"][1] for e in reader.events("batch")}:
        assert (commit(bootstrap, topic_prefix, topic, partition) or (0, ""))[0] == reader.offsets(topic, partition)[-1] + 1


def test_a_rewind_reads_again_from_the_commit_in_a_new_epoch(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic)
    publish(bootstrap, topic, [b"v"] * 1000)
    with Reader(
        tmp_path, "r", bootstrap=bootstrap, group=topic_prefix, topics=[topic], max_poll_records=50, rewind_at=500,
        commit="never",
    ) as reader:  # fmt: skip
        reader.wait_for(read_to(topic, 1000))
    assert_gapless(reader)
    assert reader.offsets(topic) == [*range(500), *range(1000)]
    before, after = (e["epoch"] for e in reader.events("start"))
    assert after == before + 1
    assert all(e["epoch"] == before for e in reader.events("stale"))


def test_a_step_that_fails_ends_the_worker_and_its_batch_comes_again(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic)
    publish(bootstrap, topic, [b"v"] * 100)
    settings: dict[str, Any] = {
        "bootstrap": bootstrap,
        "group": topic_prefix,
        "topics": [topic],
        "max_poll_records": 10,
    }
    with Reader(tmp_path, "one", **settings, fail_at=50) as reader:
        assert reader.wait_for_exit() == 70
    failure = json.loads(next(line for line in reader.output.read_text().splitlines() if line.startswith('{"time"')))
    assert (failure["step"], failure["message"]) == ("step", "this step fails")
    with Reader(tmp_path, "two", **settings) as again:
        again.wait_for(read_to(topic, 100))
    assert set(reader.offsets(topic)) | set(again.offsets(topic)) == set(range(100))
    assert 50 in again.offsets(topic)


def test_a_static_member_keeps_its_partitions_over_a_restart(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic)
    publish(bootstrap, topic, [b"v"] * 10)
    options = {"consumer_group_instance_id": "one", "broker_session_timeout": 10.0}
    settings: dict[str, Any] = {"bootstrap": bootstrap, "group": topic_prefix, "topics": [topic]}
    with Reader(tmp_path, "one", **settings, options=options) as reader:
        reader.wait_for(lambda r: len(r.offsets(topic)) == 10)
        reader.wait_for(lambda _: commit(bootstrap, topic_prefix, topic) == (10, "é10"))
        reader.kill()
    with admin(bootstrap) as client:
        members = client.describe_groups([topic_prefix])[topic_prefix]["members"]
    assert [m["group_instance_id"] for m in members] == ["one"]
    publish(bootstrap, topic, [b"v"])
    began = time.monotonic()
    with Reader(tmp_path, "two", **settings, options=options) as again:
        again.wait_for(lambda r: r.offsets(topic) == [10])
    assert time.monotonic() - began < 10.0  # not waiting for the session of the first
