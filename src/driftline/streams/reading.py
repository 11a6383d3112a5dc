"""Records of `inference-events` turned into columnar rows, each with its reference and its lateness. Pure but for the references it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.alike_decoding import AlikeDecoder
from driftline.contracts.alike_events import AlikeEvents
from driftline.contracts.cloudevents import Headers, is_structured
from driftline.contracts.columnar_decoding import EventColumns, declared_bytes, decode_columnar, is_columnar
from driftline.contracts.columnar_fields import MAX_DECODED_BYTES
from driftline.contracts.errors import DecodeError
from driftline.contracts.events import MAX_HEADERS, InferenceEvent, decode_inference
from driftline.contracts.reference import Reference
from driftline.contracts.times import DAY_MS
from driftline.contracts.typed_events import TypedEvent
from driftline.detectors.rows import Held, Rows
from driftline.streams.alike_rows import alike_rows
from driftline.streams.columnar_rows import columnar_rows
from driftline.streams.json_rows import JsonEvent, TolerantRows, bad_features, json_rows, score_of, shape_of, typed_columns
from driftline.streams.packed import Packed
from driftline.streams.records import OTHER_VERSION, Bare, Content, Decoded, Record, Rejected, alone, bare
from driftline.streams.references import ReferenceBook
from driftline.streams.runs import Group, groups_of, run_of, unfit_records

__all__ = ["FAR_AHEAD", "Decoded", "ModelRows", "Reader", "Record", "Rejected", "decode", "score_of"]

#: An event this much further ahead of its append time than the allowed skew is a dead letter: a pane of its own would stay open until then.
FAR_AHEAD = DAY_MS
#: Records decoded at once. What is made of them (a kilobyte or two each) should still be in the processor's cache when it is counted, and let go of.
AT_ONCE = 1_024
#: In place of what was given out already, and may be forgotten.
_GONE = DecodeError("given out")

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ModelRows:
    """Rows of one model that meet one reference (None: the model is learning)."""

    model: str
    reference: Reference | None
    rows: Rows


@dataclass
class Reader:
    """Turns a run of records of one partition into rows.

    ``watermark`` is the greatest event time of the partition before the run; a row is late when it lies more than the model's allowed lateness behind
    the greatest event time before it. An event further ahead of its append time than ``allowed_skew`` (ms) moves no watermark.
    """

    references: ReferenceBook
    lateness_of: Mapping[str, int]
    default_lateness: int
    allowed_skew: int
    max_features: int = 500
    #: What lies further behind its partition's greatest event time (ms) is a dead letter: its pane is gone.
    horizon: int = 90 * DAY_MS
    _decoder: AlikeDecoder = field(default_factory=AlikeDecoder)

    def __post_init__(self) -> None:
        self._tolerant = TolerantRows(self._decoder, self.max_features)

    def decode(self, records: Sequence[Record]) -> Decoded:
        """Decode each record, as the references met so far let expect; one that can't be used keeps its error."""
        (whole,) = self._pieces(records, budget=None)
        return whole

    def pieces(self, records: Sequence[Record], budget: int = MAX_DECODED_BYTES) -> Iterator[Decoded]:
        """Decode records piece by piece: as many at once as stay near the processor, and of columns no more than ``budget`` decompressed bytes.

        A record of a few kilobytes may hold 64 MiB, and a poll brings thousands.
        """
        start, plain = 0, bare(records)
        while start < len(records):
            # They end where blocks do, or nearly so: what is counted in one go is a piece of a block.
            end = start + AT_ONCE - plain[start].offset % AT_ONCE
            yield from self._pieces(records[start:end], budget)
            start = end

    def _pieces(self, records: Sequence[Record], budget: int | None) -> Iterator[Decoded]:
        plain = bare(records)
        raws = plain_values(plain)
        read, unfit = self._decoder.decode(raws)
        contents: list[Content] = read  # type: ignore[assignment]  # every None is replaced, before it is given out
        start = held = 0
        for i in unfit:
            raw = plain[i].value
            if budget is not None and is_columnar(raw):
                size = declared_bytes(raw or b"")
                if held and held + size > budget:
                    yield Decoded(records[start:i], contents[start:i], np.arange(start, i))
                    contents[start:i] = [_GONE] * (i - start)
                    start, held = i, 0
                held += size
            contents[i] = content_of(plain[i], self.max_features)
        yield Decoded(records, contents).part(start)

    def read(self, items: Decoded, watermark: int) -> tuple[list[ModelRows], list[Rejected], int, int]:
        """Return the rows, the rejected records, the new watermark and the greatest event time met (skewed ones included)."""
        rejected: list[Rejected] = []
        if DecodeError in items.kinds:
            rejected = [Rejected(r, c) for r, c in zip(items.records, items.contents, strict=True) if isinstance(c, DecodeError)]
            items = items.chosen([i for i, c in enumerate(items.contents) if not isinstance(c, DecodeError)])
        run = run_of(items)
        times = run.times
        if not len(times):
            return [], rejected, watermark, 0
        skewed = times > run.appended + self.allowed_skew
        reached = np.maximum.accumulate(np.where(skewed, 0, times))
        before = np.maximum(np.concatenate(([0], reached[:-1])), watermark)
        ahead, behind = times > run.appended + self.allowed_skew + FAR_AHEAD, times < before - self.horizon
        unfit = ahead | behind | run.flawed
        if unfit.any():
            rejected += unfit_records(items, run, ahead, unfit)
        rows: list[ModelRows] = []
        for group in groups_of(items, run, ~unfit):
            if not len(group.places):
                continue
            times_here = times[group.places]
            late = times_here < before[group.places] - self.lateness_of.get(group.model, self.default_lateness)
            for reference, part in self._by_reference(group.model, group.version, times_here):
                quality = self._quality(group, skewed[group.places[part]])
                inside, columns = run.inside[group.places[part]], group.columns
                if isinstance(columns, EventColumns):
                    built = columnar_rows(columns, inside, late[part], reference, quality, self.max_features)
                elif columns is not None and reference is not None and self._of_its_shape(reference, columns, len(inside)):
                    built = alike_rows(columns, group.version, inside, late[part], quality)
                else:
                    owners = run.owners[group.places[part]].tolist()
                    built, bad = self._json(reference, items, owners, times_here[part], late[part], quality)
                    rejected += bad
                if len(built):
                    rows.append(ModelRows(group.model, reference, built))
        return rows, rejected, max(watermark, int(reached[-1])), int(times[~unfit].max(initial=0))

    def _quality(self, group: Group, skewed: Bools) -> dict[str, Ints]:
        quality = {"clock_skew": skewed.astype(np.int64)} if skewed.any() else {}
        if self.references.has(group.model) and not self.references.knows(group.model, group.version):
            quality["unknown_version"] = np.ones(len(skewed), np.int64)
        return quality

    def _by_reference(self, model: str, version: str, times: Ints) -> Iterator[tuple[Reference | None, Ints]]:
        turns, references = self.references.timeline(model, version)
        if len(references) <= 1:
            yield (references[0] if references else None), np.arange(len(times))
            return
        which = np.searchsorted(np.array(turns, np.int64), times, side="right")
        for i in np.unique(which):
            yield references[i], np.flatnonzero(which == i)

    def _of_its_shape(self, reference: Reference, events: AlikeEvents, n: int) -> bool:
        shape = shape_of(reference)
        if events.shape != shape:
            return False
        self._tolerant.expect(reference, shape, 0, n)
        return True

    def _json(  # noqa: PLR0917  # the event's columns one by one
        self, reference: Reference | None, items: Decoded, owners: Sequence[int], times: Ints, late: Bools, quality: Mapping[str, Ints]
    ) -> tuple[Rows, list[Rejected]]:
        events: list[JsonEvent] = [alone(items.contents[i], items.records[i]) for i in owners]  # type: ignore[misc]  # the group is one of JSON events
        if reference is not None:
            shape = shape_of(reference)
            alike = len(set(map(type, events))) == 1
            unfit = sum(isinstance(event, InferenceEvent) for event in (events if not alike else events[:1]))
            if events[0].version != OTHER_VERSION:  # these may have been read by themselves although they were fit
                self._tolerant.expect(reference, shape, len(events) if alike and unfit else unfit, len(events))
            if alike and isinstance(events[0], TypedEvent) and events[0].shape == shape:
                return json_rows(events, times, late, typed_columns(events, shape), quality), []  # type: ignore[arg-type]  # all of one type
        records = [items.records[i] for i in owners]
        features: Mapping[str, Held] | Sequence[Mapping[str, object]]
        if reference is not None:
            features, counts, bad = self._tolerant.columns(reference, events, records)
        else:
            (features, bad), counts = self._tolerant.fields(events, records), {}
        rejected = [Rejected(records[i], bad_features(events[i])) for i in bad]
        if bad:
            fine = np.setdiff1d(np.arange(len(events)), np.array(bad, np.int64))
            events, times, late = [events[i] for i in fine.tolist()], times[fine], late[fine]
            quality = {name: values[fine] for name, values in quality.items()}
        return json_rows(events, times, late, features, {**quality, **counts}), rejected


def decode(records: Sequence[Record]) -> Decoded:
    """Decode each record without expecting anything."""
    return Decoded(records, [content_of(record, 500) for record in bare(records)])


def plain_values(records: Sequence[Bare]) -> Sequence[bytes | None]:
    """Return the values of those records whose headers leave them as they are, nothing for each other."""
    if isinstance(records, Packed):
        plain: dict[bytes, bool] = {}  # many records have the same headers
        others = []
        for i in records.with_headers():
            raw = records.raw_headers(i)
            if raw not in plain:
                plain[raw] = _are_plain(records.headers_of(i))
            if not plain[raw]:
                others.append(i)
        return records.values_but(others)
    return [record.value if not record.headers or _are_plain(record.headers) else None for record in records]


def _are_plain(headers: Headers) -> bool:
    return len(headers) <= MAX_HEADERS and not is_structured(headers)


def content_of(record: Bare, max_features: int) -> InferenceEvent | EventColumns | DecodeError:
    """Return what a record holds, read without expecting anything; or why it can't be used."""
    try:
        if record.value is not None and is_columnar(record.value):
            return decode_columnar(record.value, max_features=max_features)
        return decode_inference(record.value, record.headers)
    except DecodeError as error:
        return error
