from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.producers.conftest import Read

from driftline.producers import Publisher
from driftline.producers.buffer import Buffer, Outgoing


@pytest.fixture
def nowhere() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("where", ["nowhere", "silent"])
def test_publishing_never_waits_even_if_no_broker_ever_existed(request: pytest.FixtureRequest, where: str) -> None:
    address: str = request.getfixturevalue(where)
    publisher = Publisher(bootstrap_servers=address, model="m", max_events=500, delivery_timeout=1.0, close_timeout=0)
    took = []
    for i in range(3000):
        began = time.perf_counter()
        publisher.publish({"x": i, "kind": "a"}, score=0.5)
        took.append(time.perf_counter() - began)
        if i % 30 == 0:
            time.sleep(0.02)  # a service serves now and then: for two seconds, so that all that the other thread tries is tried
    took.sort()
    # The mark, 1 ms for 999 of 1,000, is measured by benchmarks/publisher.py; a busy machine is granted more here. Kafka's own client waits a second.
    assert took[2970] < 0.02
    assert took[-1] < 0.5
    stats = publisher.stats
    assert stats.published == 3000
    assert stats.lost["the buffer is full"] > 0
    publisher.close()


def test_what_eight_threads_publish_is_counted_exactly(bootstrap: str, prefix: str, read: Read) -> None:
    refused = threading.Barrier(8)
    lost: list[str] = []
    publisher = Publisher(bootstrap_servers=bootstrap, topic_prefix=prefix, model="m", max_events=2000, on_loss=lambda i, _: lost.append(i))
    ids: list[list[str]] = [[] for _ in range(8)]

    def serve(mine: list[str]) -> None:
        refused.wait()
        mine.extend(publisher.publish({"x": i}) for i in range(1000))

    threads = [threading.Thread(target=serve, args=(mine,)) for mine in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert publisher.flush(60)
    stats = publisher.stats
    assert stats.delivered + stats.lost.get("the buffer is full", 0) == 8000 == stats.published
    assert (stats.waiting, stats.waiting_bytes) == (0, 0)
    arrived = [key.decode() for _, key, _, _, _ in read(prefix + "inference-events") if key]
    assert Counter(arrived) + Counter(lost) == Counter(event_id for mine in ids for event_id in mine)
    publisher.close()


def test_losses_are_logged_by_the_thread_that_sends_and_never_by_the_service(nowhere: str, caplog: pytest.LogCaptureFixture) -> None:
    publisher = Publisher(bootstrap_servers=nowhere, model="m", max_events=1, max_block_ms=100, close_timeout=0)
    for i in range(10):
        publisher.publish({"x": i})
    deadline = time.monotonic() + 30
    while "9 events lost" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.05)
    said = [record for record in caplog.records if record.name == "driftline.producers.losses"]
    assert any(record.getMessage() == "driftline publisher: the buffer is full (9 events lost so far)" for record in said)
    assert {record.threadName for record in said} == {"driftline-publisher"}
    publisher.close()


_steps = st.lists(st.one_of(st.integers(1, 40).map(lambda size: ("put", size)), st.just(("done", 0)), st.just(("flush", 0))), max_size=40)


@given(_steps, st.integers(1, 5), st.integers(1, 100))
def test_a_buffer_holds_what_is_put_and_not_done_within_its_bounds(steps: list[tuple[str, int]], most: int, most_bytes: int) -> None:
    buffer = Buffer(most, most_bytes)
    model: list[int] = []
    taken: list[Outgoing] = []
    for step, size in steps:
        if step == "put":
            fits = len(model) < most and sum(model) + size <= most_bytes
            assert buffer.put(Outgoing("t", None, b"x" * size, ("a", "b"))) is fits
            model += [size] * fits
        elif step == "done" and model:
            record = buffer.take(0)
            assert record is not None
            taken.append(record)
            assert len(record.value) == model.pop(0)
            buffer.done(record)
        elif step == "flush":
            assert buffer.flush(0) is (not model)
        assert (buffer.events, buffer.size) == (2 * len(model), sum(model))
    if not model:
        assert buffer.take(0) is None


def test_a_flush_waits_for_what_was_put_before_it_and_for_nothing_after() -> None:
    buffer = Buffer(10, 100)
    for i in range(3):
        buffer.put(Outgoing("t", None, b"x", (str(i),)))
    flushed: list[bool] = []
    waiter = threading.Thread(target=lambda: flushed.append(buffer.flush(30)))
    waiter.start()
    deadline = time.monotonic() + 10
    while buffer._epoch == 0 and time.monotonic() < deadline:
        time.sleep(0.001)
    buffer.put(Outgoing("t", None, b"x", ("later",)))
    for _ in range(3):
        assert not flushed
        record = buffer.take(0)
        assert record is not None
        buffer.done(record)
    waiter.join(10)
    assert flushed == [True]
    assert buffer.events == 1
    assert not buffer.flush(0.01)
