"""Records as a consumer hands them over, and what was found in them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.alike_events import AlikeEvents
from driftline.contracts.columnar_decoding import EventColumns
from driftline.contracts.errors import DecodeError
from driftline.contracts.events import InferenceEvent, decode_inference
from driftline.contracts.typed_events import TypedEvent
from driftline.streams.packed import Packed
from driftline.streams.received import Records


class Bare(Protocol):
    """A record without its topic and partition."""

    @property
    def offset(self) -> int:
        """Where it stood."""
        ...

    @property
    def timestamp(self) -> int:
        """When it was appended, or made (ms)."""
        ...

    @property
    def key(self) -> bytes | None:
        """Its key."""
        ...

    @property
    def value(self) -> bytes | None:
        """Its bytes."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Its headers."""
        ...


class Record(Bare, Protocol):
    """What a consumer hands over: bytes, and where they stood."""

    @property
    def topic(self) -> str:
        """Where it stood."""
        ...

    @property
    def partition(self) -> int:
        """Where it stood."""
        ...


def bare(records: Sequence[Record]) -> Sequence[Bare]:
    """Return the records in the form in which a column of them is read soonest."""
    return records.bare if isinstance(records, Records) else records


def value_sizes(records: Sequence[Record]) -> list[int]:
    """Return how many bytes the value of each record has."""
    if isinstance(packed := bare(records), Packed):
        sizes: list[int] = packed.sizes.tolist()
        return sizes
    return [len(record.value or b"") for record in bare(records)]


def timestamps(records: Sequence[Bare]) -> NDArray[np.int64]:
    """Return when each record was appended, or made (ms)."""
    return records.timestamps if isinstance(records, Packed) else np.array([record.timestamp for record in records], np.int64)


def timestamp_at(records: Sequence[Bare], i: int) -> int:
    """Return that of one of them."""
    return int(records.timestamps[i]) if isinstance(records, Packed) else records[i].timestamp


def in_a_row(runs: Sequence[Sequence[Record]]) -> Sequence[Record]:
    """Return runs of records of one partition, which follow each other, as one; none of them is empty."""
    if len(runs) == 1:
        return runs[0]
    first, plain = runs[0][0], [bare(run) for run in runs]
    packed = [run for run in plain if isinstance(run, Packed)]
    return Records(first.topic, first.partition, Packed.in_one(packed) if len(packed) == len(plain) else [record for run in plain for record in run])


@dataclass(frozen=True)
class Part:
    """A part of a columnar record: ``value`` holds some of its rows, all else is the record's."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]

    @classmethod
    def of(cls, record: Record, value: bytes) -> Part:
        """Return a part of a record."""
        return cls(record.topic, record.partition, record.offset, record.timestamp, record.key, value, record.headers)


@dataclass(frozen=True)
class Rejected:
    """A record that can't be used, or the rows of it that can't, with the reason."""

    record: Record
    error: DecodeError


#: What was in a record: one event, read into a struct of its model's or not, or many; the events that its own is one of; or why there is nothing.
Content = TypedEvent | InferenceEvent | EventColumns | AlikeEvents | DecodeError
_offset = attrgetter("offset")


#: The version under which those are counted that are one too many.
OTHER_VERSION = "__other__"


def alone(content: Content, record: Bare) -> Content:
    """Return what was in a record by itself: of events written alike, its own."""
    return decode_inference(record.value, record.headers) if isinstance(content, AlikeEvents) else content


def before(records: Sequence[Record], offset: int) -> int:
    """Return how many of some records in offset order stand before an offset."""
    held = bare(records)
    if isinstance(held, Packed):
        return int(np.searchsorted(held.offsets, offset))
    i = offset - held[0].offset if held else 0
    if 0 <= i < len(held) and held[i].offset == offset:  # no gap before it
        return i
    return bisect_left(held, offset, key=_offset)


@dataclass(frozen=True)
class Decoded:
    """Records in offset order, and what was in each.

    ``places`` says where each stood among those that were decoded together, which is how the rows of ``AlikeEvents`` are found; None: they are those.
    """

    records: Sequence[Record]
    contents: Sequence[Content]
    places: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.records)

    def before(self, offset: int) -> int:
        """Return how many of the records stand before an offset."""
        return before(self.records, offset)

    def part(self, start: int, stop: int | None = None) -> Decoded:
        """Return the records from one place to another."""
        if start == 0 and (stop is None or stop >= len(self)):
            return self
        return Decoded(self.records[start:stop], self.contents[start:stop], self.stood[start:stop])

    def chosen(self, index: Sequence[int]) -> Decoded:
        """Return the records at some places, which are in order."""
        return Decoded([self.records[i] for i in index], [self.contents[i] for i in index], self.stood[np.array(index, np.int64)])

    @property
    def stood(self) -> NDArray[np.int64]:
        """Return where each record stood among those decoded together."""
        return np.arange(len(self)) if self.places is None else self.places

    @cached_property
    def kinds(self) -> set[type]:
        """What there is."""
        return set(map(type, self.contents))

    def alike(self) -> Iterator[tuple[AlikeEvents, NDArray[np.int64]]]:
        """Yield the events that are written alike, each with the places of the records that hold them."""
        first = self.contents[0] if AlikeEvents in self.kinds else None
        if isinstance(first, AlikeEvents) and self.contents.count(first) == len(self):
            yield first, np.arange(len(self))
            return
        places: dict[AlikeEvents, list[int]] = {}
        for i, content in enumerate(self.contents if AlikeEvents in self.kinds else ()):
            if isinstance(content, AlikeEvents):
                places.setdefault(content, []).append(i)
        for events, index in places.items():
            yield events, np.array(index, np.int64)

    def versions(self) -> set[tuple[str, str]]:
        """Return the (model, version) pairs that the records name."""
        kinds = self.kinds - {DecodeError}
        if len(kinds) == 1 and issubclass(kind := next(iter(kinds)), TypedEvent):
            model = str(kind.__struct_config__.tag)
            return {(model, content.version) for content in self.contents if isinstance(content, TypedEvent)}
        found = {(events.model, version) for events, index in self.alike() for version in events.versions_of(self.stood[index])}
        if kinds == {AlikeEvents}:
            return found
        single = (content for content in self.contents if not isinstance(content, DecodeError))
        return found | {(content.model, content.version) for content in single if not isinstance(content, AlikeEvents)}
