"""JSON events of one model and version as columns: straight from their structs where they were read into some, else through the tolerant decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from struct import Struct
from struct import error as StructError  # noqa: N812  # it is a class, with the name of a variable
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from driftline.contracts.alike_decoding import AlikeDecoder
from driftline.contracts.errors import DecodeError
from driftline.contracts.events import InferenceEvent, decode_inference
from driftline.contracts.json_values import FeatureDecoder, decode_features
from driftline.contracts.nested_values import NestedDecoder
from driftline.contracts.paths import flattened
from driftline.contracts.reference import Reference
from driftline.contracts.typed_events import Shape, TypedEvent
from driftline.detectors.places import places_of
from driftline.detectors.rows import Held, Numbers, Rows
from driftline.detectors.views import features_of
from driftline.streams.records import Record

Ints = NDArray[np.int64]
JsonEvent = TypedEvent | InferenceEvent
_NULL, _INFINITE = 1, 3


def shape_of(reference: Reference) -> Shape:
    """Return the features that a reference knows."""
    known = features_of(reference)
    return Shape(tuple(name for name, numeric in known.items() if numeric), tuple(name for name, numeric in known.items() if not numeric))


def json_rows(
    events: Sequence[JsonEvent],
    times: Ints,
    late: NDArray[np.bool_],
    features: Mapping[str, Held] | Sequence[Mapping[str, object]],
    quality: Mapping[str, Ints],
) -> Rows:
    """Return rows of events whose features are columns by now, or each row's own."""
    ids = [event.event_id for event in events]
    return Rows(
        event_ids=ids,
        places=places_of(ids),
        times=times,
        late=late,
        versions=[events[0].version] * len(events) if events else [],
        features=features if isinstance(features, Mapping) else {},
        fields=None if isinstance(features, Mapping) else features,
        predictions=[event.prediction for event in events],
        scores=[event.score if event.probabilities is None else score_of(event) for event in events],
        quality=quality,
    )


def score_of(event: JsonEvent) -> float | None:
    """Return the score of an event: as published, or the probability of the predicted class."""
    if event.score is not None or event.probabilities is None:
        return event.score
    return event.probabilities.get(str(event.prediction))


def typed_columns(events: Sequence[TypedEvent], shape: Shape) -> dict[str, Held]:
    """Return the columns of events that were read into structs of this shape."""
    rows = [event.features for event in events]
    k = len(shape.numeric)
    columns: dict[str, Held] = {}
    if k:
        table = np.ascontiguousarray(_packed(rows, k).reshape(len(rows), k).T)
        fine = np.isfinite(table)
        whole = bool(fine.all())
        for name, values, good in zip(shape.numeric, table, fine, strict=True):
            if whole or good.all():
                columns[name] = Numbers(values)
            else:
                # JSON has no NaN: here it stands for null.
                kinds = np.where(good, 0, np.where(np.isnan(values), _NULL, _INFINITE)).astype(np.int8)
                columns[name] = Numbers(np.where(good, values, 0.0), kinds)
    for j, name in enumerate(shape.categorical, k):
        columns[name] = list(map(attrgetter(f"f{j}"), rows))
    return columns


def _packed(rows: Sequence[Any], k: int) -> NDArray[np.float64]:
    """Return the first ``k`` values of each row, NaN for None. To pack rows is the cheapest way from Python's floats to an array."""
    pack = Struct(f"{k}d").pack
    try:
        return np.frombuffer(b"".join([pack(*astuple(row)[:k]) for row in rows]), np.float64)
    except StructError:
        return np.array([astuple(row)[:k] for row in rows], np.float64)


#: After so many events of a model it is seen whether most of them fit the structs made for them: to try each in vain costs more than to be tolerant.
_TRIAL = 2_000


@dataclass
class _Expected:
    shape: Shape
    unfit: int = 0
    n: int = 0
    given_up: bool = False


class TolerantRows:
    """Reads features that are not as expected, or not known yet; and tells the typed decoder what to expect."""

    def __init__(self, decoder: AlikeDecoder, max_features: int) -> None:
        self._known = decoder
        self._max_features = max_features
        self._decoders: dict[str, FeatureDecoder | NestedDecoder] = {}
        self._expected: dict[str, _Expected] = {}

    def columns(
        self, reference: Reference, events: Sequence[JsonEvent], records: Sequence[Record]
    ) -> tuple[dict[str, Held], dict[str, Ints], list[int]]:
        """Return columns, counts of missing and extra fields by row, and the places of the events that can't be read (in no column)."""
        batch = self._decoder(reference).decode(list(_raws(events, records)))
        n = len(events) - len(batch.bad)
        counts = {name: _spread(c, n) for name, c in (("missing_fields", batch.missing), ("extra_fields", batch.extra)) if c}
        return dict(batch.columns), counts, batch.bad

    def fields(self, events: Sequence[JsonEvent], records: Sequence[Record]) -> tuple[list[dict[str, object]], list[int]]:
        """Return the features of each event of a model that is still learned, the least names where they are too many; and which can't be read."""
        rows: list[dict[str, object]] = []
        bad: list[int] = []
        for i, raw in enumerate(_raws(events, records)):
            try:
                found = flattened(decode_features(raw))
            except DecodeError:
                bad.append(i)
                continue
            rows.append(dict(sorted(found.items())[: self._max_features]) if len(found) > self._max_features else found)
        return rows, bad

    def expect(self, reference: Reference, shape: Shape, unfit: int, n: int) -> None:
        """Have the events of the reference's model read as it says, unless most of them don't fit: ``unfit`` of ``n`` did not."""
        known = self._expected.get(reference.model)
        if known is None or known.shape != shape:
            known = self._expected[reference.model] = _Expected(shape)
            self._known.expect(reference.model, shape, by_template=True)
        elif not known.given_up:
            known.unfit, known.n = known.unfit + unfit, known.n + n
            if known.n > _TRIAL:
                known.given_up = 2 * known.unfit > known.n
                known.unfit = known.n = 0
                if known.given_up:
                    self._known.expect(reference.model, None, by_template=False)

    def _decoder(self, reference: Reference) -> FeatureDecoder | NestedDecoder:
        decoder = self._decoders.get(reference.reference_id)
        if decoder is None:
            shape = shape_of(reference)
            nested = any("." in name for name in (*shape.numeric, *shape.categorical))
            decoder = (NestedDecoder if nested else FeatureDecoder)(shape.numeric, shape.categorical)
            self._decoders[reference.reference_id] = decoder
        return decoder


def _raws(events: Sequence[JsonEvent], records: Sequence[Record]) -> Iterator[msgspec.Raw]:
    for event, record in zip(events, records, strict=True):
        raw = event.features
        yield raw if isinstance(raw, msgspec.Raw) else decode_inference(record.value, record.headers).features


def bad_features(event: JsonEvent) -> DecodeError:
    """Return why an event's features can't be used."""
    return DecodeError("features can't be read", bytes(memoryview(event.features)), code="wrong_field")


def _spread(counts: Mapping[int, int], n: int) -> Ints:
    spread = np.zeros(n, np.int64)
    spread[list(counts)] = list(counts.values())
    return spread
