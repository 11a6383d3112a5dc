from __future__ import annotations

import pytest
from kafka import KafkaProducer
from tests.producers.conftest import Read

from driftline.contracts.errors import TopicError
from driftline.producers.replay import replay


def test_a_range_is_published_again_as_it_was(bootstrap: str, prefix: str, read: Read) -> None:
    source, target = prefix + "inference-events", prefix + "label-events"
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for i in range(1200):
        producer.send(
            source, key=b"k%d" % i, value=None if i == 5 else b"v%d" % i, headers=[("ce_id", b"%d" % i)], partition=i % 2, timestamp_ms=10**12 + i
        )
    producer.close()
    assert replay(source, target, {0: (2, 7), 1: (590, 10_000)}, bootstrap_servers=bootstrap) == {0: 5, 1: 10}
    wanted = [r for r in read(source) if r[0] == 0][2:7] + [r for r in read(source) if r[0] == 1][590:]
    assert sorted(read(target), key=lambda r: (r[0], r[4])) == wanted
    assert replay(source, target, {0: (3, 3)}, bootstrap_servers=bootstrap) == {0: 0}


def test_a_partition_that_the_target_lacks_is_an_error(bootstrap: str, prefix: str) -> None:
    with pytest.raises(TopicError, match="model-versions has no partition 1"):
        replay(prefix + "alerts", prefix + "model-versions", {0: (0, 1), 1: (0, 1)}, bootstrap_servers=bootstrap)
