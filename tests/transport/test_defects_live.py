"""The laws of ``test_defects.py`` that are about whole processes, on a real broker.

=== ============================================================== ============================================
law what has to hold                                               defect of stock Faust
=== ============================================================== ============================================
D   a worker that joins does nothing over again                    all that was not committed yet is done twice
E   a record whose step failed is not committed past               it counts as done
G   a record that nobody can decode reaches the step               it is passed over, and counts as done
H   nothing is done after a failure before the failure is mended   a restarted agent goes on behind it
I   a process that is stuck ends                                   it hangs, for good, with its partitions
=== ============================================================== ============================================
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.transport.apps.harness import Reader, commit, create_topics, publish
from tests.transport.desk import KINDS, Kind, lives_up

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def topic(bootstrap: str, topic_prefix: str) -> str:
    name = f"{topic_prefix}in"
    create_topics(bootstrap, name)
    publish(bootstrap, name, [b'{"n": %d}' % n for n in range(5)] + [b"\xff not JSON"] + [b'{"n": %d}' % n for n in range(6, 10)])
    return name


@pytest.fixture
def settings(bootstrap: str, topic_prefix: str, topic: str) -> dict[str, Any]:
    """A group of its own that reads ten records of ``topic``; the sixth of them is no JSON."""
    return {"bootstrap": bootstrap, "group": topic_prefix, "topics": [topic], "max_poll_records": 1}


def settled(reader: Reader, topic: str) -> None:
    """Wait until the process has ended, or has nothing more to do."""
    reader.wait_for(lambda r: r.process.poll() is not None or 9 in r.offsets(topic), ended_is_fine=True)
    time.sleep(1.0)  # some commits


@every_kind
def test_d_a_worker_that_joins_does_nothing_over_again(
    kind: Kind, settings: dict[str, Any], bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    wide = f"{topic_prefix}wide"
    create_topics(bootstrap, wide, partitions=2)
    for partition in range(2):
        publish(bootstrap, wide, [b"v"] * 200, partition)
    settings |= {"topics": [wide], "max_poll_records": 50, "options": {"broker_commit_interval": 60.0}}

    def all_read(*readers: Reader) -> list[tuple[int, int]]:
        return [(p, offset) for reader in readers for p in range(2) for offset in reader.offsets(wide, p)]

    with Reader(tmp_path, "a", kind, **settings) as a:
        a.wait_for(lambda r: len(all_read(r)) == 400)
        with Reader(tmp_path, "b", kind, **settings) as b:
            b.wait_for(lambda r: r.events("assigned") and len(r.events("assigned")[-1]["tps"]) == 1)
            publish(bootstrap, wide, [b"v"], 0)
            publish(bootstrap, wide, [b"v"], 1)
            b.wait_for(lambda r: {(0, 200), (1, 200)} <= set(all_read(a, r)))
            done = all_read(a, b)
    assert set(done) == {(p, o) for p in range(2) for o in range(201)}
    assert lives_up(kind, len(done) == len(set(done)))


@every_kind
def test_e_a_record_whose_step_failed_is_not_committed_past(kind: Kind, settings: dict[str, Any], bootstrap: str, topic: str, tmp_path: Path) -> None:
    with Reader(tmp_path, "r", kind, **settings, fail_at=5) as reader:
        settled(reader, topic)
    found = commit(bootstrap, settings["group"], topic)
    assert 5 not in reader.offsets(topic)
    assert lives_up(kind, found is None or found[0] <= 5)


@every_kind
def test_g_a_record_that_nobody_can_decode_reaches_the_step(kind: Kind, settings: dict[str, Any], bootstrap: str, topic: str, tmp_path: Path) -> None:
    with Reader(tmp_path, "r", kind, **settings, codec="json") as reader:
        settled(reader, topic)
    found = commit(bootstrap, settings["group"], topic)
    assert found is not None
    assert found[0] == 10
    assert lives_up(kind, reader.offsets(topic) == list(range(10)))


@every_kind
def test_h_nothing_is_done_after_a_failure_before_the_failure_is_mended(
    kind: Kind, settings: dict[str, Any], bootstrap: str, topic: str, tmp_path: Path
) -> None:
    with Reader(tmp_path, "r", kind, **settings, ack="noack", fail_at=5) as reader:
        settled(reader, topic)
        assert reader.process.poll() == {"ours": 70, "stock": None}[kind]
    assert lives_up(kind, reader.offsets(topic) == list(range(5)))
    publish(bootstrap, topic, [b'{"n": 10}'])
    with Reader(tmp_path, "mended", kind, **settings, ack="noack") as mended:
        mended.wait_for(lambda r: 10 in r.offsets(topic))
    assert lives_up(kind, set(reader.offsets(topic) + mended.offsets(topic)) == set(range(11)))


def test_i_a_process_that_is_stuck_ends(settings: dict[str, Any], topic_prefix: str, topic: str, tmp_path: Path) -> None:
    settings |= {"hang_at": 5, "transport": {"patience_s": 5.0}}
    with Reader(tmp_path, "stock", "stock", **{**settings, "group": f"{topic_prefix}stock"}) as stock, Reader(tmp_path, "ours", **settings) as ours:
        stock.wait_for(lambda r: 4 in r.offsets(topic))
        assert ours.wait_for_exit() == 70
        time.sleep(5.0)  # as long again as ours had patience
        assert stock.process.poll() is None
    assert f"{topic}[0] has stood at offset 5" in ours.output.read_text()
