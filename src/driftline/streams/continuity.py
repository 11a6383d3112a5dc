"""Whether a batch follows the one before it: an agent must neither skip nor repeat, whatever the rebalance around it did."""

from __future__ import annotations

from enum import Enum

from faust.types import TP

from driftline.streams.transport import Batch, BatchConsumer


class Fit(Enum):
    """What to do with a batch."""

    NEXT = "it follows"
    VOID = "it was fetched before the last rebalance or rewind"
    LOST = "a batch before it was lost on the way"


class Continuity:
    """Where each partition's last batch of this epoch ended."""

    def __init__(self) -> None:
        self.epoch = -1
        self._next: dict[TP, int] = {}

    def judge(self, batch: Batch, consumer: BatchConsumer) -> Fit:
        """Judge a batch; one that was lost before it makes the consumer read again. A new epoch starts everything anew."""
        if batch.epoch != consumer.epoch:
            return Fit.VOID
        self.renew(batch.epoch)
        if self._next.get(batch.tp) != batch.follows:
            consumer.rewind(f"{batch.tp}: {Fit.LOST.value}")
            return Fit.LOST
        self._next[batch.tp] = batch.next
        return Fit.NEXT

    def renew(self, epoch: int) -> bool:
        """Forget what belongs to older epochs; True when this one is new."""
        if epoch == self.epoch:
            return False
        self._next, self.epoch = {}, epoch
        return True
