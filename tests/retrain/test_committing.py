"""A trigger's offset is committed in the end, though the group be shared out anew at the moment when it is first tried.

The group is a stand-in here: a real one refuses a commit for some milliseconds, which no test can hit at will.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from kafka.errors import RebalanceInProgressError
from kafka.structs import TopicPartition

from driftline.contracts.settings import build_settings
from driftline.retrain.worker import _Worker

TRIGGERS = TopicPartition("retrain-triggers", 0)


class _Group:
    """A consumer whose group refuses so many commits."""

    def __init__(self, refusals: int, at: int) -> None:
        self.refusals, self.at = refusals, at
        self.committed: list[int] = []
        self.mine = {TRIGGERS}

    def assignment(self) -> set[TopicPartition]:
        return self.mine

    def commit(self, offsets: dict[TopicPartition, Any], timeout_ms: int) -> None:
        assert timeout_ms
        if self.refusals:
            self.refusals -= 1
            raise RebalanceInProgressError
        self.committed.append(offsets[TRIGGERS].offset)

    def position(self, _partition: TopicPartition, timeout_ms: int) -> int:
        assert timeout_ms
        return self.at

    def seek(self, _partition: TopicPartition, offset: int) -> None:
        self.at = offset


def _done_with_7(group: _Group) -> Any:
    """A worker that has just done with the trigger at offset 7."""
    worker = _Worker(engine=None, settings=build_settings({}), consumer=group, producer=None)  # type: ignore[arg-type]
    worker._done(SimpleNamespace(topic=TRIGGERS.topic, partition=0, offset=7))
    return worker


def test_what_a_rebalance_refused_is_committed_after_it() -> None:
    group = _Group(refusals=2, at=8)
    worker = _done_with_7(group)
    for _ in range(4):
        worker._commit()
    assert (group.committed, group.at) == ([8], 8)


def test_a_partition_that_came_back_at_an_older_place_goes_on_after_what_is_done() -> None:
    group = _Group(refusals=0, at=7)
    worker = _done_with_7(group)
    worker._commit()
    assert (group.committed, group.at) == ([8], 8)


def test_a_partition_that_another_worker_has_is_that_one_s_to_commit() -> None:
    group = _Group(refusals=1, at=8)
    worker = _done_with_7(group)
    worker._commit()
    group.mine = set()
    worker._commit()
    group.mine = {TRIGGERS}
    worker._commit()
    assert group.committed == []
