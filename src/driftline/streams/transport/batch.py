"""The message of this transport: what one poll brought from one partition."""

from __future__ import annotations

from faust.types import TP
from faust.types.tuples import ConsumerMessage

from driftline.streams.received import Records


class Batch(ConsumerMessage):
    """Records of one partition, in offset order and never none, as one Faust message.

    ``records`` hold raw bytes as they came (a value may be None). ``epoch`` names the seek that the batch belongs to:
    once the consumer has another one, the records come again, and this batch is to be left alone. ``follows`` is where
    the partition's previous batch ended, None for the first after a seek; offsets between ``follows`` and ``first``
    hold no records (transaction markers, compaction).
    """

    __slots__ = ("epoch", "follows", "records")

    def __init__(self, tp: TP, records: Records, epoch: int, follows: int | None, generation_id: int) -> None:
        last = records.bare[-1]
        # Faust counts, tracks and drops messages by offset: the last one is where the batch has brought the partition.
        super().__init__(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            headers=None,
            key=b"",
            value=records,  # type: ignore[arg-type]  # Faust's raw codec hands it on as it is
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=generation_id,
        )
        self.records = records
        self.epoch = epoch
        self.follows = follows

    @property
    def first(self) -> int:
        """Offset of the first record."""
        return int(self.records.bare[0].offset)

    @property
    def next(self) -> int:
        """Offset after the last record."""
        return self.offset + 1
