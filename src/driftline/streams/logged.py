"""The events of one model in a stretch of event time, as the rows that a reference is built of. Pure.

What is kept is a function of the events alone, whatever their order and however they are cut into polls: of an id that came twice one row, and of
more events than are wanted those of the least places, which is an even sample (``detectors/sample.py``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from driftline.contracts.paths import parents_of
from driftline.contracts.summaries import SampleRow
from driftline.detectors.places import Ints
from driftline.detectors.rows import Rows, listed
from driftline.detectors.sample import bottom_k, kept_features, scalar
from driftline.detectors.values import canonical_text
from driftline.streams.reading import ModelRows, Rejected

#: Models and versions that are told apart: a stranger may have sent a million.
_NAMED = 1_000
#: Rows made at once: a columnar record may hold a million.
_AT_ONCE = 4_096


@dataclass
class Extent:
    """Events that the log holds, and from when to when (ms of event time)."""

    events: int
    first: int
    last: int


@dataclass
class LoggedRows:
    """Rows of ``model`` (of one ``version``, or of all) with ``since <= event_time < until``, ``most`` of them."""

    model: str
    since: int
    until: int
    version: str | None
    most: int
    #: Events that fit, those that came again among them.
    events: int = 0
    #: What else was met: by model, by version of this model within the stretch, and what could not be used by its code.
    models: dict[str, Extent] = field(default_factory=dict)
    versions: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    _held: list[SampleRow] = field(default_factory=list)
    #: No row beyond this place is among the least ones any more.
    _bound: int | None = None

    def take(self, found: Sequence[ModelRows], rejected: Sequence[Rejected] = ()) -> None:
        """Take in what was read."""
        self.rejected.update(one.error.code for one in rejected)
        for group in found:
            self._note(group.model, group.rows.times)
            if group.model == self.model:
                self._keep(group.rows)

    def rows(self) -> list[SampleRow]:
        """Return the rows by event time; equal times by the places of their ids."""
        return sorted(bottom_k(self._held, self.most), key=lambda row: (row.event_time, row.place, row.event_id))

    @property
    def sampled(self) -> bool:
        """Whether there were more events than are wanted."""
        return self._bound is not None or len(bottom_k(self._held, self.most + 1)) > self.most

    def _note(self, model: str, times: Ints) -> None:
        known = self.models.get(model)
        n, first, last = len(times), int(times.min()), int(times.max())
        if known is not None:
            known.events, known.first, known.last = known.events + n, min(known.first, first), max(known.last, last)
        elif len(self.models) < _NAMED or model == self.model:
            self.models[model] = Extent(n, first, last)

    def _keep(self, rows: Rows) -> None:
        index = np.flatnonzero((rows.times >= self.since) & (rows.times < self.until))
        for name, n in Counter(rows.versions[i] for i in index.tolist()).items():
            if name in self.versions or len(self.versions) < _NAMED:
                self.versions[name] += n
        if self.version is not None:
            index = index[[rows.versions[i] == self.version for i in index.tolist()]] if len(index) else index
        self.events += len(index)
        for start in range(0, len(index), _AT_ONCE):
            part = index[start : start + _AT_ONCE]
            if self._bound is not None:
                part = part[rows.places[part] <= self._bound]
            if len(part):
                self._held.extend(_sample_rows(rows.take(part)))
            if len(self._held) > self.most + self.most // 4 + _AT_ONCE:
                self._cut()

    def _cut(self) -> None:
        least = bottom_k(self._held, self.most + 1)
        self._held = least[: self.most]
        if len(least) > self.most:
            self._bound = self._held[-1].place


def _sample_rows(rows: Rows) -> Iterator[SampleRow]:
    """Yield the rows with all of their features: what is kept for people to see is another thing, with rules of its own."""
    known = zip(rows.places.tolist(), rows.event_ids, rows.times.tolist(), rows.versions, strict=True)
    said = zip(rows.dicts(), listed(rows.predictions), listed(rows.scores), strict=True)
    for (place, event_id, time, version), (fields, prediction, score) in zip(known, said, strict=True):
        number = isinstance(prediction, int | float) and not isinstance(prediction, bool)
        shown = scalar(prediction) if number else canonical_text(prediction)
        sure = scalar(score)
        yield SampleRow(
            place, event_id, time, version, kept_features(fields, {}),
            float(shown) if isinstance(shown, int) else shown, float(sure) if isinstance(sure, int | float) else None,
        )  # fmt: skip


def feature_names(rows: Sequence[SampleRow], kinds: Mapping[str, str]) -> list[str]:
    """Return the features of some rows by name; those to ``ignore`` are left out, and objects that were null now and then beside what lies in them.

    >>> feature_names([SampleRow(1, "a", 0, "1", {"user": None}), SampleRow(2, "b", 0, "1", {"user.age": 3, "id": 7})], {"id": "ignore"})
    ['user.age']
    """
    names = {name for row in rows for name in row.features}
    objects = {name for name in parents_of(names) & names if all(row.features.get(name) is None for row in rows)}
    return sorted(name for name in names - objects if kinds.get(name) != "ignore")
