"""Rows into parts of panes: what one block of events, or one transaction of outcomes, adds to each pane. Integers only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.reference import NumericColumn, Reference
from driftline.contracts.summaries import LEARNING, PaneKind, PanePart, SampleRow
from driftline.detectors.binning import CategorySlots, GridCells, Ints, NumericBins, binners, numbers_of, standardised
from driftline.detectors.layout import Layout, layout_of
from driftline.detectors.outcomes import Outcome, outcome_columns
from driftline.detectors.rows import Rows, Values
from driftline.detectors.sample import bottom_k, kept_features, scalar
from driftline.detectors.values import canonical_text

#: The reference an outcome meets, and whether its label was late; None: it counts nowhere.
Judged = Callable[[Outcome], tuple[Reference, bool] | None]

_EMPTY = Layout.of(())
# Layouts whose bins are kept ready.
_READY = 256


class _Tally:
    """What one pane gains. Slots of rows are only listed until there are more of them than a dense count would take."""

    def __init__(self, layout: Layout) -> None:
        self.n = 0
        self.first = 0
        self.last = 0
        self.versions: Counter[str] = Counter()
        self.quality: Counter[str] = Counter()
        self.sample: list[SampleRow] = []
        self._slots = layout.slots
        self._sums = np.zeros(2 * len(layout.numeric), np.int64)
        self._counts: Ints | None = None
        self._listed: list[tuple[int, Ints]] = []
        self._length = 0

    def count(self, slots: Ints, sums: Ints, sign: int = 1) -> None:
        """Add (or take back) rows: ``slots`` of any shape, -1 for none; ``sums`` of shape (2 x numeric columns, rows)."""
        self._listed.append((sign, slots))
        self._length += slots.size
        self._sums += sign * sums.sum(axis=1)
        if self._length > self._slots:
            self._counts = self._dense()
            self._listed, self._length = [], 0

    def part(self, reference_id: str, kind: PaneKind, start: int, *, late: bool) -> PanePart:
        """Return what there is so far."""
        counts = self._dense()
        filled = np.flatnonzero(counts)
        return PanePart(
            reference_id, kind, start, late, self.n, filled.astype("<u4").tobytes(), counts[filled].astype("<i8").tobytes(),
            self._sums.astype("<i8").tobytes(), self.first, self.last, {v: n for v, n in sorted(self.versions.items()) if n},
            list(self.sample), {q: n for q, n in sorted(self.quality.items()) if n},
        )  # fmt: skip

    def _dense(self) -> Ints:
        counts = np.zeros(self._slots, np.int64) if self._counts is None else self._counts.copy()
        for sign in (1, -1):
            listed = [slots.ravel() for s, slots in self._listed if s == sign]
            if listed:
                # -1 for none is counted first, and left out.
                counts += sign * np.bincount(np.concatenate(listed) + 1, minlength=self._slots + 1)[1:]
        return counts


class PartBuilder:
    """Accumulates the rows of one block into parts.

    ``sample_rows`` rows of each pane are kept as a sample, ``learning_rows`` while the model has no reference; ``keep`` holds the rules for features.
    """

    def __init__(self, pane_ms: int, sample_rows: int, learning_rows: int, keep: Mapping[str, str], secret: bytes = b"") -> None:
        self._pane = pane_ms
        self._sample_rows = sample_rows
        self._learning_rows = learning_rows
        self._keep = keep
        self._secret = secret
        self._tallies: dict[tuple[str, int, bool], _Tally] = {}

    def add(self, reference: Reference | None, rows: Rows) -> None:
        """Count rows that meet a reference; without one, sample them."""
        if not len(rows):
            return
        name, most = (reference.reference_id, self._sample_rows) if reference is not None else (LEARNING, self._learning_rows)
        layout = layout_of(reference, "features") if reference is not None else _EMPTY
        slots, sums = _binned(layout, _feature_values(layout, rows), len(rows))
        for code, index in _groups(rows.times // self._pane * 2 + rows.late):
            key = (name, code // 2 * self._pane, bool(code % 2))
            tally = self._tallies.get(key)
            if tally is None:
                tally = self._tallies[key] = _Tally(layout)
            whole = len(index) == len(rows)
            tally.count(slots if whole else slots[:, index], sums if whole else sums[:, index])
            self._describe(tally, rows, index, most)

    def parts(self) -> list[PanePart]:
        """Return the parts so far, in order; the same rows in any order and batching give the same bytes."""
        return [tally.part(name, "features", start, late=late) for (name, start, late), tally in sorted(self._tallies.items())]

    def _describe(self, tally: _Tally, rows: Rows, index: Ints, most: int) -> None:
        times = rows.times[index]
        first = int(times.min())
        tally.first = min(tally.first, first) if tally.n else first
        tally.last = max(tally.last, int(times.max())) if tally.n else int(times.max())
        tally.n += len(index)
        tally.versions.update([rows.versions[i] for i in index.tolist()])
        for name, counts in rows.quality.items():
            tally.quality[name] += int(counts[index].sum())
        wanted = _least(index, rows.places[index], most, tally.sample)
        if len(wanted):
            tally.sample = bottom_k([*tally.sample, *(self._row(rows, i) for i in wanted.tolist())], most)

    def _row(self, rows: Rows, i: int) -> SampleRow:
        features = {name: values[i] for name, values in rows.features.items()}
        prediction = rows.predictions[i]
        shown = scalar(prediction) if isinstance(prediction, int | float) and not isinstance(prediction, bool) else canonical_text(prediction)
        kept = kept_features(features, self._keep, self._secret)
        score = scalar(rows.scores[i])
        return SampleRow(
            int(rows.places[i]), rows.event_ids[i], int(rows.times[i]), rows.versions[i], kept,
            float(shown) if isinstance(shown, int) else shown, float(score) if isinstance(score, int | float) else None,
        )  # fmt: skip


def outcome_parts(judged: Judged, changes: Sequence[tuple[Outcome | None, Outcome | None]], pane_ms: int) -> list[PanePart]:
    """Return what changed outcomes do to their panes: the old is taken back, the new added. Parts that come to nothing are left out."""
    groups: dict[str, tuple[Reference, list[tuple[Outcome, bool, int]]]] = {}
    for old, new in changes:
        for outcome, sign in ((old, -1), (new, 1)):
            verdict = judged(outcome) if outcome is not None else None
            if outcome is not None and verdict is not None:
                groups.setdefault(verdict[0].reference_id, (verdict[0], []))[1].append((outcome, verdict[1], sign))
    parts = []
    for reference_id in sorted(groups):
        reference, signed = groups[reference_id]
        parts += _signed_parts(reference, signed, pane_ms)
    return parts


def _signed_parts(reference: Reference, signed: list[tuple[Outcome, bool, int]], pane_ms: int) -> list[PanePart]:
    layout = layout_of(reference, "outcomes")
    outcomes = [outcome for outcome, _, _ in signed]
    columns = outcome_columns(reference.task, [o.prediction for o in outcomes], [o.score for o in outcomes], [o.label for o in outcomes])
    slots, sums = _binned(layout, columns, len(outcomes))
    tallies: dict[tuple[int, bool], _Tally] = {}
    # Pane, lateness and sign in one integer.
    codes = np.array([o.event_time // pane_ms * 4 + 2 * late + (sign > 0) for o, late, sign in signed], np.int64)
    for code, index in _groups(codes):
        key, sign = (code // 4 * pane_ms, bool(code // 2 % 2)), 1 if code % 2 else -1
        tally = tallies.get(key)
        if tally is None:
            tally = tallies[key] = _Tally(layout)
        tally.count(slots[:, index], sums[:, index], sign)
        tally.n += sign * len(index)
        for i in index.tolist():
            tally.versions[outcomes[i].version] += sign
    parts = [tally.part(reference.reference_id, "outcomes", start, late=late) for (start, late), tally in sorted(tallies.items())]
    return [part for part in parts if part.n or part.slots or any(part.sums) or part.versions]


def _feature_values(layout: Layout, rows: Rows) -> dict[str, Values]:
    """Return the values of each of the reference's columns."""
    values: dict[str, Values] = {}
    for column in layout.columns:
        if column.role == "prediction":
            values[column.name] = rows.predictions
        elif column.role == "score":
            values[column.name] = rows.scores
        else:
            values[column.name] = rows.features[column.name] if column.name in rows.features else [None] * len(rows)
    return values


@lru_cache(maxsize=_READY)
def _ready(layout: Layout) -> tuple[tuple[NumericBins | CategorySlots | GridCells, ...], NDArray[np.float64], NDArray[np.float64]]:
    """Return what bins the columns, and the centers and scales of the numeric ones."""
    numeric = [c for c in layout.columns if isinstance(c, NumericColumn)]
    return binners(layout.columns), np.array([c.center for c in numeric], np.float64), np.array([c.scale for c in numeric], np.float64)


def _binned(layout: Layout, values: Mapping[str, Values], n: int) -> tuple[Ints, Ints]:
    """Return slots of the layout, shape (columns, n), -1 for none, and the fixed-point numbers, shape (2 x numeric columns, n)."""
    bins, centers, scales = _ready(layout)
    slots = np.empty((len(bins), n), np.int64)
    numbers = np.empty((len(centers), n), np.float64)
    kinds = np.empty((len(centers), n), np.int8)
    i = 0
    for j, (column, own) in enumerate(zip(layout.columns, bins, strict=True)):
        if isinstance(own, NumericBins):
            numbers[i], kinds[i] = numbers_of(values[column.name])
            slots[j] = own.slots(numbers[i], kinds[i])
            i += 1
        else:
            slots[j] = own.slots(values[column.name])
        slots[j] += layout.offsets[column.name]
        if isinstance(own, GridCells):
            slots[j, slots[j] < layout.offsets[column.name]] = -1
    sums = np.empty((2 * len(centers), n), np.int64)
    sums[0::2], sums[1::2] = standardised(numbers, kinds, centers, scales)
    return slots, sums


def _groups(codes: Ints) -> Iterator[tuple[int, Ints]]:
    """Yield each code, in order, with the places where it stands."""
    if (codes == codes[0]).all():
        yield int(codes[0]), np.arange(len(codes))
        return
    order = np.argsort(codes, kind="stable")
    found, starts = np.unique(codes[order], return_index=True)
    yield from zip(found.tolist(), np.split(order, starts[1:]), strict=True)


def _least(index: Ints, places: Ints, most: int, sample: list[SampleRow]) -> Ints:
    """Return the rows that can belong to a sample of ``most`` events; an event that came often counts once."""
    if most <= 0:
        return index[:0]
    if len(sample) >= most:
        chosen = places <= sample[-1].place
        index, places = index[chosen], places[chosen]
    if len(index) <= most:
        return index
    distinct = np.unique(places)
    least: Ints = index[places <= distinct[min(most, len(distinct)) - 1]]
    return least
