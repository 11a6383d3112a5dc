"""A pane: the exact sum of parts. Addition is commutative and associative, and a newer part can take an older one's place."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from driftline.contracts.ids import content_hash
from driftline.contracts.summaries import PanePart, SampleRow
from driftline.detectors.distinct import united
from driftline.detectors.layout import Layout
from driftline.detectors.sample import bottom_k

#: Rows of sample that a pane or a window keeps at the most.
SAMPLE_ROWS = 512


_SampledRow = tuple[int, str, int, str, list[float | int | str | bool | None], float | str | None, float | None]


class _Rows(msgspec.Struct, array_like=True):
    """Rows of a sample that have the same features: the names once."""

    names: list[str]
    rows: list[_SampledRow]


class _Packed(msgspec.Struct, array_like=True):
    n: int
    late: int
    slots: bytes
    counts: bytes
    sums: bytes
    first: int
    last: int
    versions: dict[str, int]
    sample: list[SampleRow]
    quality: dict[str, int]
    #: Width in bytes of slots (0: every slot, in order) and counts; panes written before revision 0002 have neither these nor ``rows``.
    widths: tuple[int, int] = (4, 8)
    rows: list[_Rows] = []


class _PackedMany(_Packed, array_like=True):
    """Of a pane that has sketches; without any its bytes, and so its digest, are what they were before there were sketches."""

    distinct: dict[str, bytes] = {}


class Pane:
    """What is known of one stretch of event time. ``counts`` (slots) and ``sums`` (2 x numeric columns) are int64, in the order of the layout.

    Parts may come in any order and any split, if they sampled no fewer rows than the pane keeps: else the sample (and nothing but the sample) depends
    on the split. A count may be below zero for a while, where a correction overtook what it corrects.

    ``late`` of the ``n`` rows were late. ``first_time`` and ``last_time`` are 0 while no row told them.
    """

    def __init__(self, layout: Layout, sample_rows: int = SAMPLE_ROWS) -> None:
        self.layout = layout
        self.sample_rows = sample_rows
        self.n = 0
        self.late = 0
        self.counts: NDArray[np.int64] = np.zeros(layout.slots, np.int64)
        self.sums: NDArray[np.int64] = np.zeros(2 * len(layout.numeric), np.int64)
        self.first_time = 0
        self.last_time = 0
        self.versions: dict[str, int] = {}
        self.sample: list[SampleRow] = []
        self.quality: dict[str, int] = {}
        #: Sketches of the different values of columns that have very many.
        self.distinct: dict[str, bytes] = {}

    def add(self, part: PanePart) -> None:
        """Add a part."""
        self.replace(None, part)

    def replace(self, old: PanePart | None, new: PanePart | None) -> None:
        """Put ``new`` in the place of ``old``. Rows of an older revision are among those of the newer one, so samples need no subtraction."""
        distinct = (
            united(self.distinct, new.distinct) if new is not None and new.distinct else self.distinct
        )  # before anything is counted: it may fail
        for part, sign in ((old, -1), (new, 1)):
            if part is not None:
                self._count(part, sign)
        if new is None and self.n == 0:  # nothing is left: no rows, and no time that they had
            self.sample, self.first_time, self.last_time, distinct = [], 0, 0, {}
        self.distinct = distinct
        if new is not None:
            self._stretch(new.first_time, new.last_time)
            if new.sample:
                self.sample = bottom_k([*self.sample, *new.sample], self.sample_rows)

    def digest(self) -> str:
        """Return a hash of everything counted, equal for equal panes however they came about.

        Events that came again are counted by block, and where blocks end is no part of what was published: that count is left out.
        """
        return content_hash(self._packed({name: n for name, n in self.quality.items() if name != "duplicates"}))

    def encode(self) -> bytes:
        """Return the bytes that the store keeps; equal panes have equal bytes."""
        return self._packed(self.quality)

    def _packed(self, quality: dict[str, int]) -> bytes:
        slots, counts, widths = _packed_counts(self.counts)
        packed = _Packed(
            self.n, self.late, slots, counts,
            self.sums.astype("<i8").tobytes(), self.first_time, self.last_time, dict(sorted(self.versions.items())), [],
            dict(sorted(quality.items())), widths, _by_names(self.sample),
        )  # fmt: skip
        return _encoder.encode(_PackedMany(**msgspec.structs.asdict(packed), distinct=self.distinct) if self.distinct else packed)

    @classmethod
    def decode(cls, raw: bytes, layout: Layout, sample_rows: int = SAMPLE_ROWS) -> Pane:
        """Return the pane that ``encode`` wrote; ValueError when it was made with another layout."""
        packed = _decoder.decode(raw)
        pane = cls(layout, sample_rows)
        counts = np.frombuffer(packed.counts, f"<i{packed.widths[1]}")
        slots = np.frombuffer(packed.slots, f"<u{packed.widths[0]}") if packed.widths[0] else np.arange(len(counts))
        sums = np.frombuffer(packed.sums, "<i8")
        other = len(slots) != layout.slots if not packed.widths[0] else len(slots) and int(slots[-1]) >= layout.slots
        if len(sums) != len(pane.sums) or other:
            msg = f"a pane of another layout: {len(sums)} sums for {len(pane.sums)}"
            raise ValueError(msg)
        pane.n, pane.late = packed.n, packed.late
        pane.counts[slots] = counts
        pane.sums[:] = sums
        pane.first_time, pane.last_time = packed.first, packed.last
        pane.versions, pane.quality = packed.versions, packed.quality
        pane.sample = _rows_of(packed.rows) if packed.rows else packed.sample
        pane.distinct = packed.distinct
        return pane

    @classmethod
    def merged(cls, panes: Iterable[Pane], layout: Layout, sample_rows: int = SAMPLE_ROWS) -> Pane:
        """Return the sum of panes of one layout."""
        total = cls(layout, sample_rows)
        sample: list[SampleRow] = []
        for pane in panes:
            total.n += pane.n
            total.late += pane.late
            total.counts += pane.counts
            total.sums += pane.sums
            total._stretch(pane.first_time, pane.last_time)
            total.versions = _plus(total.versions, pane.versions, 1)
            total.quality = _plus(total.quality, pane.quality, 1)
            sample += pane.sample
            total.distinct = united(total.distinct, pane.distinct) if pane.distinct else total.distinct
        total.sample = bottom_k(sample, sample_rows)
        return total

    def _count(self, part: PanePart, sign: int) -> None:
        slots, sums = np.frombuffer(part.slots, "<u4"), np.frombuffer(part.sums, "<i8")
        if len(sums) != len(self.sums) or (len(slots) and int(slots.max()) >= len(self.counts)):
            msg = f"a part of another layout: {len(sums)} sums for {len(self.sums)}"
            raise ValueError(msg)
        self.n += sign * part.n
        self.late += sign * part.n * part.late
        self.counts[slots] += sign * np.frombuffer(part.counts, "<i8")
        self.sums += sign * sums
        self.versions = _plus(self.versions, part.versions, sign)
        self.quality = _plus(self.quality, part.quality, sign)

    def _stretch(self, first: int, last: int) -> None:
        if first:
            self.first_time = min(self.first_time, first) if self.first_time else first
        self.last_time = max(self.last_time, last)


def _plus(one: dict[str, int], other: dict[str, int], sign: int) -> dict[str, int]:
    # In order: a finding's sentence names them in theirs, and a set of names has another one in each process.
    total = {key: one.get(key, 0) + sign * other.get(key, 0) for key in sorted(one.keys() | other.keys())}
    return {key: n for key, n in total.items() if n}


def _packed_counts(counts: NDArray[np.int64]) -> tuple[bytes, bytes, tuple[int, int]]:
    """Return slots and counts as few bytes: those that are not zero, or all where that is shorter."""
    filled = np.flatnonzero(counts)
    width, place = _width(counts), 2 if len(counts) <= 1 << 16 else 4
    if len(filled) * (place + width) >= len(counts) * width:
        return b"", counts.astype(f"<i{width}").tobytes(), (0, width)
    return filled.astype(f"<u{place}").tobytes(), counts[filled].astype(f"<i{width}").tobytes(), (place, width)


def _width(counts: NDArray[np.int64]) -> int:
    """Return the bytes that the greatest count takes."""
    most = max(int(counts.max(initial=0)), -1 - int(counts.min(initial=0)))
    return next(width for width in (1, 2, 4, 8) if most < 1 << 8 * width - 1)


def _by_names(sample: list[SampleRow]) -> list[_Rows]:
    groups: dict[tuple[str, ...], list[_SampledRow]] = {}
    for r in sample:
        names = tuple(sorted(r.features))
        values = [r.features[name] for name in names]
        groups.setdefault(names, []).append((r.place, r.event_id, r.event_time, r.version, values, r.prediction, r.score))
    return [_Rows(list(names), rows) for names, rows in sorted(groups.items())]


def _rows_of(groups: list[_Rows]) -> list[SampleRow]:
    rows = [
        SampleRow(place, event_id, at, version, dict(zip(group.names, values, strict=True)), prediction, score)
        for group in groups
        for place, event_id, at, version, values, prediction, score in group.rows
    ]
    return sorted(rows, key=lambda row: (row.place, row.event_id))


_decoder = msgspec.msgpack.Decoder(_PackedMany)
_encoder = msgspec.msgpack.Encoder(order="deterministic")
