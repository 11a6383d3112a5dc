from __future__ import annotations

import itertools
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tests.transport.apps.harness import Reader, admin, commit, create_topics, publish, publish_transactions, read_to


def test_records_arrive_as_batches_in_order_and_a_commit_s_metadata_comes_back_after_a_restart(
    bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    topic, echo = f"{topic_prefix}in", f"{topic_prefix}echo"
    create_topics(bootstrap, topic, partitions=3)
    create_topics(bootstrap, echo)
    for partition in range(3):
        publish(bootstrap, topic, [b"v", None] * 500, partition)
    settings: dict[str, Any] = {"bootstrap": bootstrap, "group": f"{topic_prefix}g", "topics": [topic], "echo": echo}
    with Reader(tmp_path, "one", **settings) as reader:
        reader.wait_for(lambda r: sum(len(r.offsets(topic, p)) for p in range(3)) >= 3000)
        assert reader.stop() == 0
    for partition in range(3):
        assert reader.offsets(topic, partition) == list(range(1000))
    batches = reader.events("batch")
    assert sum(b["nulls"] for b in batches) == 1500
    assert max(len(b["offsets"]) for b in batches) > 100
    for partition in range(3):
        of = [b for b in batches if b["tp"] == [topic, partition]]
        assert [b["follows"] for b in of] == [None, *(b["offsets"][-1] + 1 for b in of[:-1])]
        assert commit(bootstrap, settings["group"], topic, partition) == (1000, "é1000")
    publish(bootstrap, topic, [b"v"], 1)
    with Reader(tmp_path, "two", **settings) as again:
        again.wait_for(lambda r: r.offsets(topic, 1))
        assert again.events("start")[0] | {"at": 0} == {
            "at": 0, "event": "start", "tp": [topic, 1], "epoch": again.events("start")[0]["epoch"],
            "offset": 1000, "metadata": "é1000", "lost": 0,
        }  # fmt: skip
    assert again.offsets(topic, 1) == [1000]
    assert not again.offsets(topic, 0)


def test_what_was_not_committed_comes_again_after_kill_9(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    blocks, never = f"{topic_prefix}blocks", f"{topic_prefix}never"
    settings: dict[str, Any] = {"bootstrap": bootstrap, "max_poll_records": 60}
    create_topics(bootstrap, blocks, never)
    for topic in (blocks, never):
        publish(bootstrap, topic, [b"v"] * 250)
    for topic, how, begins in ((blocks, "blocks", 200), (never, "never", 0)):
        own = settings | {"group": topic, "topics": [topic], "commit": how}
        with Reader(tmp_path, f"{how}1", **own) as reader:
            reader.wait_for(read_to(topic, 250))
            while begins and commit(bootstrap, topic, topic) != (200, "é200"):
                time.sleep(0.05)
            reader.kill()
        with Reader(tmp_path, f"{how}2", **own) as again:
            again.wait_for(read_to(topic, 250))
            again.kill()
        assert again.offsets(topic) == list(range(begins, 250))
        assert again.events("start")[0]["metadata"] == ("é200" if begins else "")


def test_transaction_markers_and_every_codec_are_read_through_to_the_end(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    codecs = ["gzip", "snappy", "lz4", "zstd"]
    transactions, compressed = f"{topic_prefix}transactions", [topic_prefix + codec for codec in codecs]
    create_topics(bootstrap, transactions, *compressed)
    publish_transactions(bootstrap, transactions, transactions=40, records=10)
    for codec, topic in zip(codecs, compressed, strict=True):
        publish(bootstrap, topic, [b"v" * 300] * 400, compression_type=codec, linger_ms=20)
    settings: dict[str, Any] = {"bootstrap": bootstrap, "group": topic_prefix, "topics": [transactions, *compressed]}

    def idle(reader: Reader) -> set[str]:
        return {e["tp"][0] for e in reader.events("idle") if e["after"] >= e["end"]}

    with Reader(tmp_path, "reader", **settings) as reader:
        reader.wait_for(lambda r: idle(r) == {transactions, *compressed})
        reader.stop()
    assert reader.offsets(transactions) == [o for o in range(440) if o % 11 != 10]
    assert commit(bootstrap, topic_prefix, transactions) == (439, "é439")
    last = [e for e in reader.events("idle") if e["tp"][0] == transactions][-1]
    assert (last["next"], last["after"], last["end"]) == (439, 440, 440)
    for topic in compressed:
        assert reader.offsets(topic) == list(range(400))
        assert commit(bootstrap, topic_prefix, topic) == (400, "é400")


@pytest.mark.parametrize("partitions", [1, 2])
def test_a_full_buffer_stops_the_reader_no_longer_than_the_agent_needs(bootstrap: str, topic_prefix: str, tmp_path: Path, partitions: int) -> None:
    # With one partition all are paused; with two, the reader waits for the idle one while the busy one is paused.
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic, partitions=partitions)
    publish(bootstrap, topic, [b"v"] * 1500)
    with Reader(
        tmp_path, "reader", bootstrap=bootstrap, group=topic_prefix, topics=[topic], work_s=0.02, max_poll_records=10,
        options={"stream_buffer_maxsize": 2},
    ) as reader:  # fmt: skip
        reader.wait_for(read_to(topic, 1500))
    at = [e["at"] for e in reader.events("batch")]
    pauses = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert len(at) >= 150
    assert max(pauses) < 0.5
    assert sum(pauses) < 150 * 0.02 * 2 + 1
    # What waits, what is at work, and what the reader is about to put down.
    assert max(e["in_hand"] for e in reader.events("batch")) <= (2 + 1 + 1) * 10


def test_sql_decides_where_reading_begins_and_what_retention_took_is_counted(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic, partitions=3)
    for partition in range(3):
        publish(bootstrap, topic, [b"v"] * 100, partition)
    with admin(bootstrap) as client:
        client.delete_records({_tp(topic, 1): 60, _tp(topic, 2): 60})
    held = {"0": 70, "1": 50}
    with Reader(tmp_path, "reader", bootstrap=bootstrap, group=topic_prefix, topics=[topic], held=held) as reader:
        reader.wait_for(lambda r: all(r.offsets(topic, p)[-1:] == [99] for p in range(3)))
        reader.stop()
    starts = {e["tp"][1]: (e["offset"], e["lost"]) for e in reader.events("start")}
    assert starts == {0: (70, 0), 1: (60, 10), 2: (60, 0)}
    assert "10 offsets before 60 are gone" in reader.output.read_text()


def test_records_that_retention_takes_from_under_a_reader_are_counted_too(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic)
    publish(bootstrap, topic, [b"v"] * 10)
    with Reader(tmp_path, "reader", bootstrap=bootstrap, group=topic_prefix, topics=[topic]) as reader:
        reader.wait_for(read_to(topic, 10))
        while commit(bootstrap, topic_prefix, topic) != (10, "é10"):
            time.sleep(0.05)
        reader.process.send_signal(signal.SIGSTOP)
        publish(bootstrap, topic, [b"v"] * 90)
        with admin(bootstrap) as client:
            client.delete_records({_tp(topic, 0): 60})
        reader.process.send_signal(signal.SIGCONT)
        reader.wait_for(read_to(topic, 100))
    assert reader.offsets(topic)[10:] == list(range(60, 100))
    assert [e["lost"] for e in reader.events("start")] == [0, 50]


def test_a_position_beyond_the_log_s_end_stops_the_worker_with_a_sentence(bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    topic = f"{topic_prefix}in"
    create_topics(bootstrap, topic)
    publish(bootstrap, topic, [b"v"] * 10)
    with Reader(tmp_path, "r", bootstrap=bootstrap, group=topic_prefix, topics=[topic], held={"0": 11}) as reader:
        assert reader.wait_for_exit() == 70
    assert "ends at 10, but the state in SQL goes on at 11" in reader.output.read_text()


def _tp(topic: str, partition: int) -> Any:
    from kafka.structs import TopicPartition

    return TopicPartition(topic, partition)
