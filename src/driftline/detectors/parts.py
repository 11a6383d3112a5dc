"""Rows into parts of panes: what one block of events, or one transaction of outcomes, adds to each pane. Integers only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from driftline.contracts.reference import Reference
from driftline.contracts.summaries import LEARNING, Counted, PaneKind, PanePart, SampleRow
from driftline.detectors.binning import Ints
from driftline.detectors.counting import Table, binned
from driftline.detectors.distinct import Sketches, counted_columns
from driftline.detectors.layout import Layout, layout_of
from driftline.detectors.outcomes import Outcome, outcome_columns, sampled_at
from driftline.detectors.repeats import Repeats
from driftline.detectors.rows import Held, Numbers, Rows, listed, taken
from driftline.detectors.sample import Kept, always_fits, bottom_k, bounded, kept_features, scalar, scalars
from driftline.detectors.values import MISSING, canonical_text
from driftline.detectors.views import viewed

#: The reference an outcome meets, and whether its label was late; None: it counts nowhere.
Judged = Callable[[Outcome], tuple[Reference, bool] | None]

#: The reference's id, the start of the pane, and whether the rows were late.
PartKey = tuple[str, int, bool]

_EMPTY = Layout.of(())
# So many rows are counted all at once; of fewer each slot is listed, for there may be many panes of few rows each.
_MANY = 48


class _Tally:
    """What one pane gains. Slots of rows are only listed until there are more of them than a dense count would take."""

    def __init__(self, layout: Layout) -> None:
        self.n = 0
        self.first = 0
        self.last = 0
        self.versions: Counter[str] = Counter()
        self.quality: Counter[str] = Counter()
        self.sample: list[SampleRow] = []
        self.distinct = Sketches()
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

    def count_all(self, table: Table) -> None:
        """Add rows."""
        if table.n < _MANY:
            self.count(*table.slots())
            return
        counts, sums = table.counts()
        self._sums += sums
        self._counts = counts if self._counts is None else self._counts + counts

    def part(self, reference_id: str, start: int, *, late: bool, kind: PaneKind = "features", again: int = 0) -> PanePart:
        """Return what there is so far; ``again`` of the rows had the id of another one."""
        counts = self._dense()
        quality = self.quality if not again else self.quality + Counter(duplicates=again)
        filled = np.flatnonzero(counts)
        return PanePart(
            reference_id, kind, start, late, self.n, filled.astype("<u4").tobytes(), counts[filled].astype("<i8").tobytes(),
            self._sums.astype("<i8").tobytes(), self.first, self.last, {v: n for v, n in sorted(self.versions.items()) if n},
            list(self.sample), {q: n for q, n in sorted(quality.items()) if n}, self.distinct.encoded(),
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

    With ``repeats`` events that came again in the block are counted: the one count that depends on how a log is cut into blocks.
    ``sample_rows`` rows of each pane are kept as a sample, ``learning_rows`` while the model has no reference; ``keep`` holds the rules for features.
    """

    def __init__(
        self, pane_ms: int, sample_rows: int, learning_rows: int, keep: Mapping[str, str], secret: bytes = b"", *, repeats: bool = False
    ) -> None:
        self._pane = pane_ms
        self._sample_rows = sample_rows
        self._learning_rows = learning_rows
        self._keep = keep
        self._secret = secret
        self._tallies: dict[PartKey, _Tally] = {}
        self._repeats = Repeats() if repeats else None

    def add(self, reference: Reference | None, rows: Rows) -> None:
        """Count rows that meet a reference; without one, sample them."""
        if not len(rows):
            return
        name, most = (reference.reference_id, self._sample_rows) if reference is not None else (LEARNING, self._learning_rows)
        layout = layout_of(reference, "features") if reference is not None else _EMPTY
        table = Table.of(layout, _feature_values(layout, rows), len(rows), rows.features)
        codes = rows.times // self._pane * 2 + rows.late
        if self._repeats is not None:
            self._repeats.note(name, rows.places, codes)
        for code, index in _groups(codes):
            key = (name, code // 2 * self._pane, bool(code % 2))
            tally = self._tallies.get(key)
            if tally is None:
                tally = self._tallies[key] = _Tally(layout)
            tally.count_all(table if len(index) == len(rows) else table.take(index))
            self._describe(tally, rows, index, most)
            for column in counted_columns(layout):
                if column.feature in rows.features:
                    tally.distinct.add(column.name, taken(rows.features[column.feature], index))

    def parts(self) -> list[PanePart]:
        """Return the parts so far, in order; the same rows in any order and batching give the same bytes."""
        repeats = self._repeats.counts().items() if self._repeats is not None else ()
        again = {(name, code // 2 * self._pane, bool(code % 2)): n for (name, code), n in repeats}
        return [tally.part(*key[:2], late=key[2], again=again.get(key, 0)) for key, tally in sorted(self._tallies.items())]

    def _describe(self, tally: _Tally, rows: Rows, index: Ints, most: int) -> None:
        whole = len(index) == len(rows)
        times = rows.times if whole else rows.times[index]
        first = int(times.min())
        tally.first = min(tally.first, first) if tally.n else first
        tally.last = max(tally.last, int(times.max())) if tally.n else int(times.max())
        tally.n += len(index)
        tally.versions.update(rows.versions if whole else [rows.versions[i] for i in index.tolist()])
        for name, counts in rows.quality.items():
            tally.quality[name] += int(counts[index].sum())
        wanted = _least(index, rows.places[index], most, tally.sample)
        if len(wanted):
            tally.sample = bottom_k([*tally.sample, *self._rows(rows.take(wanted))], most)

    def _rows(self, rows: Rows) -> Iterator[SampleRow]:
        known = zip(rows.places.tolist(), rows.event_ids, rows.times.tolist(), rows.versions, strict=True)
        said = zip(self._kept(rows), listed(rows.predictions), listed(rows.scores), strict=True)
        for (place, event_id, time, version), (kept, prediction, score) in zip(known, said, strict=True):
            number = isinstance(prediction, int | float) and not isinstance(prediction, bool)
            shown = scalar(prediction) if number else canonical_text(prediction)
            sure = scalar(score)
            yield SampleRow(
                place, event_id, time, version, kept,
                float(shown) if isinstance(shown, int) else shown, float(sure) if isinstance(sure, int | float) else None,
            )  # fmt: skip

    def _kept(self, rows: Rows) -> Sequence[dict[str, Kept]]:
        """Return what ``kept_features`` leaves of each row, bounded; by columns, where no rule says otherwise."""
        if self._keep or rows.fields is not None or not rows.features:
            return [bounded(kept_features(fields, self._keep, self._secret)) for fields in rows.dicts()]
        names = list(rows.features)
        columns = [scalars(values) for values in rows.features.values()]
        kept = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        if any(MISSING in column for column, values in zip(columns, rows.features.values(), strict=True) if not isinstance(values, Numbers)):
            kept = [{name: value for name, value in row.items() if value is not MISSING} for row in kept]
        return kept if always_fits(names) else [bounded(row) for row in kept]


def outcome_parts(judged: Judged, changes: Sequence[tuple[Outcome | None, Outcome | None]], pane_ms: int) -> list[PanePart]:
    """Return what changed outcomes do to their panes: the old is taken back, the new added. Parts that come to nothing are left out."""
    references: dict[str, Reference] = {}
    signed = []
    for old, new in changes:
        for outcome, sign in ((old, -1), (new, 1)):
            verdict = judged(outcome) if outcome is not None else None
            if outcome is not None and verdict is not None:
                reference, late = verdict
                references[reference.reference_id] = reference
                signed.append((outcome, Counted(reference.reference_id, outcome.event_time // pane_ms * pane_ms, late), sign))
    return counted_parts(references, signed)


def counted_parts(references: Mapping[str, Reference], signed: Iterable[tuple[Outcome, Counted, int]]) -> list[PanePart]:
    """Return what outcomes add (sign 1) to the panes that they count in, or take back (-1). Parts that come to nothing are left out."""
    groups: dict[str, list[tuple[Outcome, Counted, int]]] = {}
    for one in signed:
        groups.setdefault(one[1].reference_id, []).append(one)
    return [part for reference_id in sorted(groups) for part in _signed_parts(references[reference_id], groups[reference_id])]


def _signed_parts(reference: Reference, signed: Sequence[tuple[Outcome, Counted, int]]) -> list[PanePart]:
    layout = layout_of(reference, "outcomes")
    outcomes = [outcome for outcome, _, _ in signed]
    columns = outcome_columns(reference.task, [o.prediction for o in outcomes], [o.score for o in outcomes], [o.label for o in outcomes])
    slots, sums = binned(layout, columns, len(outcomes), {name: [o.features.get(name) for o in outcomes] for name in layout.slicers})
    groups: dict[tuple[Counted, int], list[int]] = {}
    for i, (_, counted, sign) in enumerate(signed):
        groups.setdefault((counted, sign), []).append(i)
    tallies: dict[tuple[int, bool], _Tally] = {}
    for (counted, sign), rows in groups.items():
        key = (counted.start, counted.late)
        tally = tallies.get(key)
        if tally is None:
            tally = tallies[key] = _Tally(layout)
        tally.count(slots[:, rows], sums[:, rows], sign)
        tally.n += sign * len(rows)
        for version, n in Counter([outcomes[i].version for i in rows]).items():
            tally.versions[version] += sign * n
        if counted.sample < 1.0:
            tally.quality[sampled_at(counted.sample)] += sign * len(rows)
    parts = [tally.part(reference.reference_id, start, late=late, kind="outcomes") for (start, late), tally in sorted(tallies.items())]
    return [part for part in parts if part.n or part.slots or any(part.sums) or part.versions or part.quality]


def _feature_values(layout: Layout, rows: Rows) -> dict[str, Held]:
    """Return the values of each of the reference's columns."""
    values: dict[str, Held] = {}
    for column in layout.columns[: layout.whole]:
        if column.role == "prediction":
            values[column.name] = rows.predictions
        elif column.role == "score":
            values[column.name] = rows.scores
        else:
            feature = column.feature
            values[column.name] = viewed(column, rows.features[feature], rows.times) if feature in rows.features else [None] * len(rows)
    return values


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
