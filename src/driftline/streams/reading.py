"""Records of `inference-events` turned into columnar rows, each with its reference and its lateness. Pure but for the references it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.errors import DecodeError
from driftline.contracts.events import InferenceEvent, decode_inference
from driftline.contracts.ids import sample_hash
from driftline.contracts.json_values import FeatureDecoder
from driftline.contracts.reference import CategoricalColumn, NumericColumn, Reference
from driftline.contracts.times import DAY_MS
from driftline.detectors.rows import Rows
from driftline.streams.references import ReferenceBook


class Record(Protocol):
    """What a consumer hands over: bytes, and where they stood."""

    @property
    def topic(self) -> str:
        """Where it stood."""
        ...

    @property
    def partition(self) -> int:
        """Where it stood."""
        ...

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
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """Its headers."""
        ...


@dataclass(frozen=True)
class Rejected:
    """A record that can't be used, with the reason."""

    record: Record
    error: DecodeError


#: An event this much further ahead of its append time than the allowed skew is a dead letter: a pane of its own would stay open until then.
FAR_AHEAD = DAY_MS
_AHEAD = DecodeError("event_time is more than a day ahead of the time at which the record was appended")
_BEHIND = DecodeError("event_time lies further back than panes are kept")


class Item(NamedTuple):
    """A record and what was in it."""

    record: Record
    content: InferenceEvent | DecodeError


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
    _decoders: dict[str, FeatureDecoder] = field(default_factory=dict)

    def read(self, items: Sequence[Item], watermark: int) -> tuple[list[ModelRows], list[Rejected], int, int]:
        """Return the rows, the rejected records, the new watermark and the greatest event time met (skewed ones included)."""
        rejected = [Rejected(i.record, i.content) for i in items if isinstance(i.content, DecodeError)]
        events = [i.content for i in items if isinstance(i.content, InferenceEvent)]
        kept = [i.record for i in items if isinstance(i.content, InferenceEvent)]
        if not events:
            return [], rejected, watermark, 0
        times = np.fromiter((e.event_time for e in events), np.int64, len(events))
        appended = np.fromiter((r.timestamp for r in kept), np.int64, len(kept))
        skewed = times > appended + self.allowed_skew
        reached = np.maximum.accumulate(np.where(skewed, 0, times))
        before = np.maximum(np.concatenate(([0], reached[:-1])), watermark)
        ahead, behind = times > appended + self.allowed_skew + FAR_AHEAD, times < before - self.horizon
        if ahead.any() or behind.any():
            rejected += [Rejected(kept[i], _AHEAD if ahead[i] else _BEHIND) for i in np.flatnonzero(ahead | behind)]
        groups: dict[tuple[str, str], list[int]] = {}
        for i, event in enumerate(events):
            if ahead[i] or behind[i]:
                continue
            groups.setdefault((event.model, event.version), []).append(i)
        rows: list[ModelRows] = []
        for (model, version), members in groups.items():
            index = np.array(members, np.int64)
            late = times[index] < before[index] - self.lateness_of.get(model, self.default_lateness)
            for reference, part in self._by_reference(model, version, times[index]):
                chosen = index[part]
                quality = {"clock_skew": skewed[chosen].astype(np.int64)} if skewed[chosen].any() else {}
                if self.references.has(model) and not self.references.knows(model, version):
                    quality["unknown_version"] = np.ones(len(chosen), np.int64)
                built, bad = self._rows(reference, [events[i] for i in chosen], times[chosen], late[part], quality)
                rejected += [Rejected(kept[chosen[i]], error) for i, error in bad]
                if len(built):
                    rows.append(ModelRows(model, reference, built))
        return rows, rejected, max(watermark, int(reached[-1])), int(times[~(ahead | behind)].max(initial=0))

    def _by_reference(self, model: str, version: str, times: NDArray[np.int64]) -> Iterator[tuple[Reference | None, NDArray[np.int64]]]:
        turns, references = self.references.timeline(model, version)
        if len(references) <= 1:
            yield (references[0] if references else None), np.arange(len(times))
            return
        which = np.searchsorted(np.array(turns, np.int64), times, side="right")
        for i in np.unique(which):
            yield references[i], np.flatnonzero(which == i)

    def _rows(
        self,
        reference: Reference | None,
        events: list[InferenceEvent],
        times: NDArray[np.int64],
        late: NDArray[np.bool_],
        quality: dict[str, NDArray[np.int64]],
    ) -> tuple[Rows, list[tuple[int, DecodeError]]]:
        batch = self._decoder(reference).decode([e.features for e in events])
        errors = [(i, DecodeError("features can't be read", bytes(memoryview(events[i].features)))) for i in batch.bad]
        if batch.bad:
            fine = np.setdiff1d(np.arange(len(events)), np.array(batch.bad, np.int64))
            events, times, late = [events[i] for i in fine], times[fine], late[fine]
            quality = {name: counts[fine] for name, counts in quality.items()}
        if reference is not None:
            quality |= {name: _spread(c, len(events)) for name, c in (("missing_fields", batch.missing), ("extra_fields", batch.extra)) if c}
        rows = Rows(
            event_ids=[e.event_id for e in events],
            places=np.fromiter((sample_hash(e.event_id) for e in events), np.int64, len(events)),
            times=times,
            late=late,
            versions=[e.version for e in events],
            features=batch.columns,
            predictions=[e.prediction for e in events],
            scores=[score_of(e) for e in events],
            quality=quality,
        )
        return rows, errors

    def _decoder(self, reference: Reference | None) -> FeatureDecoder:
        name = reference.reference_id if reference else ""
        decoder = self._decoders.get(name)
        if decoder is None:
            columns = [c for c in reference.columns if c.role == "feature"] if reference else []
            decoder = self._decoders[name] = FeatureDecoder(
                [c.name for c in columns if isinstance(c, NumericColumn)],
                [c.name for c in columns if isinstance(c, CategoricalColumn)],
                keep_unknown=0 if reference is not None else self.max_features,
            )
        return decoder


def _spread(counts: Mapping[int, int], n: int) -> NDArray[np.int64]:
    spread = np.zeros(n, np.int64)
    spread[list(counts)] = list(counts.values())
    return spread


def score_of(event: InferenceEvent) -> float | None:
    """Return the score of an event: as published, or the probability of the predicted class."""
    if event.score is not None or event.probabilities is None:
        return event.score
    return event.probabilities.get(str(event.prediction))


def decode(records: Sequence[Record]) -> list[Item]:
    """Decode each record; one that can't be used keeps its error."""
    return [Item(record, _content(record)) for record in records]


def versions_in(items: Sequence[Item]) -> set[tuple[str, str]]:
    """Return the (model, version) pairs that the items name."""
    return {(i.content.model, i.content.version) for i in items if isinstance(i.content, InferenceEvent)}


def _content(record: Record) -> InferenceEvent | DecodeError:
    try:
        return decode_inference(record.value, record.headers)
    except DecodeError as error:
        return error
