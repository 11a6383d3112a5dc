"""What was fetched, handed over a whole batch of the log at a time: aiokafka makes and counts each record by itself, in Python.

Which batches are read (of transactions that were not taken back, and no control batches) is aiokafka's rule, unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException

from driftline.streams.packed import Packed
from driftline.streams.received import Records
from driftline.streams.transport.records import ReadableBatch, ReadableRecords
from driftline.streams.transport.unpacked import unpacking

#: After so many records of packed topics a process has code compiled to find them.
_WORTH_IT: Final = 2_048

#: Records that follow each other, as objects or where they lie.
Run = list[Any] | Packed


class WholeBatches(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka ships no types
    """aiokafka's ``PartitionRecords``, of which runs of records are taken."""

    #: Topics whose records nobody looks at one by one: they are left where they lie, once that is worth it.
    packed_topics: ClassVar[frozenset[str]] = frozenset()
    _seen: ClassVar[int] = 0

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        # aiokafka's own way to read refers to this object, which refers to it: some MiB would stay until the collector comes, which is seldom.
        self._records_iterator = None
        self._held: Run = []
        self._held_end = 0

    def take(self, most: int | None) -> Records:
        """Return the next records, at most so many; none when there are no more. ``next_fetch_offset`` is then the place after them."""
        taken: list[Run] = []
        n = 0
        while most is None or n < most:
            if not self._held:
                batch = self._read()
                if batch is None:
                    break
                self._held, self._held_end = batch
            room = len(self._held) if most is None else most - n
            part, self._held = self._held[:room], self._held[room:]
            taken.append(part)
            n += len(part)
            # Of a compacted batch the last offsets may be gone: the next fetch has to begin after them all the same.
            self.next_fetch_offset = part[-1].offset + 1 if self._held else self._held_end
        return Records(self._tp.topic, self._tp.partition, _in_one(taken))

    def _read(self) -> tuple[Run, int] | None:
        """Return the records of the next batch that has some to be read, and the offset after it; None where there is none."""
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if not self._taken_back(batch) and not batch.is_control_batch:
                found = self._found(batch)
                if len(found) and found[0].offset < self.next_fetch_offset:
                    found = _from(found, self.next_fetch_offset)
                if len(found):
                    return found, batch.next_offset
            self.next_fetch_offset = batch.next_offset
        return None

    def _found(self, batch: ReadableBatch) -> Run:
        packed = self._tp.topic in self.packed_topics
        if packed and self._seen >= _WORTH_IT and unpacking.ready() and (found := batch.where_they_lie()) is not None:
            return found
        records = batch.records()
        if packed:
            WholeBatches._seen += len(records)
        return records

    def _taken_back(self, batch: Any) -> bool:
        """Say whether a batch belongs to a transaction that was aborted."""
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return bool(batch.is_transactional) and batch.producer_id in self._aborted_producers


def _in_one(parts: Sequence[Run]) -> Run:
    """Return the records of one fetch that follow each other."""
    if len(parts) == 1:
        return parts[0]
    alike = [part for part in parts if isinstance(part, Packed)]
    if alike and len(alike) == len(parts):
        return Packed.in_one(alike)
    return [record for part in parts for record in part]


def _from(records: Run, offset: int) -> Run:
    """Return the records from an offset on: a batch is fetched whole."""
    if isinstance(records, Packed):
        return records[int(np.searchsorted(records.offsets, offset)) :]
    return [record for record in records if record.offset >= offset]


class Fetched(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka ships no types
    """aiokafka's ``FetchResult``, which gives out runs of records."""

    def __init__(self, tp: Any, *, assignment: Any, partition_records: WholeBatches, backoff: float) -> None:
        super().__init__(tp, assignment=assignment, partition_records=partition_records, backoff=backoff)
        self._whole = partition_records

    def getall(self, max_records: int | None = None) -> Records | list[Any]:
        """Return the records that are there, at most so many."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        records: Records = self._whole.take(max_records)
        self._update_position()
        if max_records is None or len(records) < max_records:
            self._partition_records = None  # there is no more
        return records


def install(packed_topics: frozenset[str]) -> None:
    """Have aiokafka's fetcher read this way, in this process; leave the records of some topics where they lie."""
    WholeBatches.packed_topics = packed_topics
    fetcher.MemoryRecords = ReadableRecords
    fetcher.PartitionRecords = WholeBatches
    fetcher.FetchResult = Fetched
