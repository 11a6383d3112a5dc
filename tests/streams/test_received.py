"""Records as one sequence: the same records, whichever way one looks at them; and fetched batches cut anywhere give all of them, once."""

from __future__ import annotations

import gc
import weakref
from bisect import bisect_left
from contextlib import suppress
from typing import Any

import crc32c
import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from driftline.streams.packed import Packed
from driftline.streams.reading import plain_values
from driftline.streams.received import Received, Records
from driftline.streams.records import before, in_a_row, timestamps, value_sizes
from driftline.streams.transport.fetching import WholeBatches
from driftline.streams.transport.records import ReadableRecords
from driftline.streams.transport.unpacked import unpacking

TP = TopicPartition("t", 3)
HEADER = [("kind", b"x")]
#: Offsets that a log left out before each record; where a batch ends; and whether it is compressed.
logs = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=1, max_size=40)


def log(shape: list[tuple[int, bool, bool]]) -> tuple[bytes, list[int]]:
    """Return batches as a broker sends them, and the offsets of the records in them."""
    raw, offsets, offset = b"", [], 0
    builder, base = None, 0
    for gap, ends, compressed in shape:
        offset += gap
        if builder is None:
            builder, base = DefaultRecordBatchBuilder(2, 1 if compressed else 0, 0, -1, -1, -1, 1 << 20), offset
        builder.append(offset - base, 1000 + offset, None if gap else b"k", b"v%d" % offset, HEADER if ends else [])
        offsets.append(offset)
        offset += 1
        if ends:
            raw, builder = raw + placed(builder, base), None
    return raw + (placed(builder, base) if builder is not None else b""), offsets


def placed(builder: Any, base: int) -> bytes:
    content = bytearray(builder.build())
    content[:8] = base.to_bytes(8, "big")  # not under the checksum
    return bytes(content)


def opened(raw: bytes, first: int = 0, records: Any = ReadableRecords, kind: Any = WholeBatches) -> Any:
    return kind(TP, records(raw), [], first, None, None, True, fetcher.READ_COMMITTED)


class PackedBatches(WholeBatches):
    """All records are left where they lie."""

    packed_topics = frozenset({TP.topic})
    _seen = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    assert unpacking.wait()


@pytest.mark.parametrize("kind", [WholeBatches, PackedBatches])
@given(shape=logs, most=st.integers(1, 9), first=st.integers(0, 12))
def test_what_was_fetched_is_what_aiokafka_reads_wherever_it_is_cut(
    kind: type[WholeBatches], shape: list[tuple[int, bool, bool]], most: int, first: int
) -> None:
    raw, offsets = log(shape)
    theirs_read = opened(raw, first, MemoryRecords, fetcher.PartitionRecords)
    theirs = list(theirs_read)
    ours_read, ours, ends = opened(raw, first, kind=kind), [], []
    while len(taken := ours_read.take(most)):
        assert len(taken) <= most
        assert isinstance(taken.bare, Packed) == (kind is PackedBatches)
        ours += list(taken)
        ends.append(ours_read.next_fetch_offset)
    assert [r.offset for r in ours] == [r.offset for r in theirs]
    assert first or [r.offset for r in ours] == offsets
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.topic, mine.partition, mine.timestamp, mine.key, mine.value, mine.headers) == (
            other.topic, other.partition, other.timestamp, other.key, other.value, other.headers,
        )  # fmt: skip
    assert ends == sorted(ends)
    assert ours_read.next_fetch_offset == theirs_read.next_fetch_offset
    assert list(whole := opened(raw, first, kind=kind).take(None)) == ours
    assert value_sizes(whole) == [len(record.value) for record in theirs]
    assert timestamps(whole.bare).tolist() == [record.timestamp for record in theirs]
    assert [before(whole, offset) for offset in range(60)] == [bisect_left([record.offset for record in theirs], offset) for offset in range(60)]


def test_a_batch_that_is_not_as_it_was_written_is_refused() -> None:
    raw, _ = log([(0, True, False)] * 3)
    spoilt = bytearray(raw)
    spoilt[-3] ^= 1
    with pytest.raises(CorruptRecordException):
        opened(bytes(spoilt)).take(None)
    assert len(opened(raw).take(None)) == 3
    assert ReadableRecords(raw).next_batch()._raw[17:21].tobytes() == crc32c.crc32c(raw[21 : len(raw) // 3]).to_bytes(4, "big")  # type: ignore[union-attr]


@given(shape=logs, cut=st.integers(0, 200), view=st.booleans())
def test_a_batch_that_the_fetch_cut_is_none(shape: list[tuple[int, bool, bool]], cut: int, view: bool) -> None:
    raw, _ = log(shape)
    raw = raw[: len(raw) - cut]
    ours, theirs = ReadableRecords(memoryview(raw) if view else raw), MemoryRecords(raw)
    assert ours.size_in_bytes() == theirs.size_in_bytes()
    while theirs.has_next():
        batch, other = ours.next_batch(), theirs.next_batch()
        assert batch is not None
        assert (batch.base_offset, batch.next_offset, batch.validate_crc()) == (other.base_offset, other.next_offset, True)
    assert not ours.has_next()
    assert ours.next_batch() is None


@pytest.mark.parametrize("most", [None, 1])
@pytest.mark.parametrize("kind", [WholeBatches, PackedBatches])
def test_what_was_fetched_is_let_go_of_without_the_collector(kind: type[WholeBatches], most: int | None) -> None:
    raw, _ = log([(0, True, False)] * 3)
    gc.disable()
    try:
        fetched = opened(raw, kind=kind)
        held = weakref.ref(fetched)
        taken = fetched.take(most)
        del fetched
        assert held() is None
        assert len(taken) == (most or 3)
    finally:
        gc.enable()


def test_a_part_of_the_records_is_records() -> None:
    bare = [Received("", 0, offset, 7, None, b"v", [("a", b"b")]) for offset in (3, 5, 6)]
    records = Records("t", 1, bare)
    assert records[1] == Received("t", 1, 5, 7, None, b"v", (("a", b"b"),)) == records[1:][0] == list(records)[1]
    assert [record.offset for record in records[-2:]] == [5, 6]
    assert [before(records, offset) for offset in (0, 3, 4, 5, 6, 7)] == [0, 0, 1, 1, 2, 3]


@given(shape=logs, where=st.integers(0, 4_000), byte=st.integers(0, 255))
def test_nothing_of_a_spoilt_batch_lies_outside_of_it(shape: list[tuple[int, bool, bool]], where: int, byte: int) -> None:
    raw, _ = log(shape)
    place = where % len(raw)
    if place % len(raw) not in range(8, 12):  # the length of a batch, which the fetcher has read by then
        raw = raw[:place] + bytes((byte,)) + raw[place + 1 :]
    records, found = ReadableRecords(raw), []
    with suppress(Exception):  # of a spoilt batch the checksum is looked at before; what was compressed can't be taken apart
        while (batch := records.next_batch()) is not None:
            found.append(batch.where_they_lie())
    for packed in found:
        for spans in (packed.keys, packed.values, packed.headers) if packed is not None else ():
            assert ((spans[:, 0] >= 0) & (spans[:, 1] >= spans[:, 0] - 1)).all()
            assert packed is None or (spans[:, 1] <= len(packed.content) - 16).all()


def test_of_packed_records_a_header_whose_name_is_no_text_can_be_read() -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    builder.append(0, 1, None, b"v", [("abcd", b"x")])
    raw = placed(builder, 0).replace(b"abcd", b"ab\xffd")
    (record,) = opened(raw, kind=Unchecked).take(None)
    assert record.headers == (("ab\\xffd", b"x"),)


class Unchecked(PackedBatches):
    """Without a look at checksums."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._check_crcs = False


def test_runs_that_are_read_together_stay_where_they_lie() -> None:
    raws = [log([(0, False, compressed)] * 3)[0] for compressed in (False, True)]
    runs = [opened(raw, kind=PackedBatches).take(None) for raw in raws]
    together = in_a_row(runs)
    assert isinstance(together.bare, Packed)  # type: ignore[attr-defined]  # they are Records
    assert list(together) == [record for run in runs for record in run]


def test_headers_that_many_records_have_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    structured = [("content-type", b"application/cloudevents+json")]
    for i in range(40):
        builder.append(i, 1, None, b"%d" % i, structured if i == 7 else HEADER if i % 2 else [])
    packed = opened(placed(builder, 0), kind=PackedBatches).take(None).bare
    looked: list[int] = []
    real = Packed.headers_of

    def headers_of(self: Packed, i: int) -> tuple[tuple[str, bytes | None], ...]:
        looked.append(i)
        return real(self, i)

    monkeypatch.setattr(Packed, "headers_of", headers_of)
    assert list(plain_values(packed)) == [b"" if i == 7 else b"%d" % i for i in range(40)]
    assert looked == [1, 7]
