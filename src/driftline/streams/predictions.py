"""Records of `inference-events` as predictions that wait for their labels: those that the sample keeps, and how far event time came. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from operator import itemgetter
from typing import cast

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.alike_decoding import AlikeDecoder
from driftline.contracts.alike_events import AlikeEvents
from driftline.contracts.columnar_decoding import EventColumns
from driftline.contracts.errors import DecodeError
from driftline.contracts.events import InferenceEvent, decode_inference
from driftline.contracts.ids import sample_hash
from driftline.contracts.json_values import decode_features, decode_plain
from driftline.contracts.paths import flattened
from driftline.contracts.settings import ModelSettings, Settings
from driftline.contracts.times import parse_duration
from driftline.contracts.typed_events import TypedEvent
from driftline.detectors.places import places_in, places_of
from driftline.detectors.rows import listed
from driftline.detectors.sample import MAX_TEXT, kept_features
from driftline.store.outcome_rows import LabelRow, PredictionRow, Value
from driftline.streams.columnar_paths import least_names, leaves
from driftline.streams.columnar_rows import predictions_and_scores
from driftline.streams.json_rows import JsonEvent, score_of
from driftline.streams.pii import pii_secret
from driftline.streams.reading import AT_ONCE, FAR_AHEAD, content_of, plain_values
from driftline.streams.records import Bare, Record, Rejected, bare, timestamps

Ints = NDArray[np.int64]
_PLACES = 1 << 63
#: Of a model with fewer events in a poll nothing is learned: a stranger who sends a million models must not cost more than their events do.
_MANY = 16
#: Of events that are read by a template those that the sample keeps are read once more, each by itself: that has to be few.
_FEW_KEPT = 0.25


@dataclass
class Poll:
    """The rows of one poll, and how far event time came in it."""

    predictions: list[PredictionRow] = field(default_factory=list)
    labels: list[LabelRow] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    watermark: int = 0
    newest: int = 0

    def reach(self, event_time: int, bound: int) -> None:
        """Note an event's time; one beyond ``bound`` moves no watermark."""
        self.newest = max(self.newest, event_time)
        if event_time <= bound:
            self.watermark = max(self.watermark, event_time)

    def reach_all(self, times: Ints, fit: NDArray[np.bool_], bounds: Ints | int) -> None:
        """Note the times of the events that are ``fit`` for use, likewise."""
        self.newest = max(self.newest, int(times[fit].max(initial=0)))
        self.watermark = max(self.watermark, int(times[fit & (times <= bounds)].max(initial=0)))


class PredictionReader:
    """Reads polls of one process. Bad records are summarise's to reject: each is a dead letter once.

    Of the events that the sample leaves out nothing but the envelope is read.
    """

    def __init__(self) -> None:
        self._decoder = AlikeDecoder()

    def __call__(self, records: Sequence[Record], settings: Settings) -> Poll:
        """Return the predictions that the sample keeps, in the order of the log."""
        poll = Poll()
        for start in range(0, len(records), AT_ONCE):
            self._read(poll, bare(records[start : start + AT_ONCE]), settings)
        return poll

    def _read(self, poll: Poll, records: Sequence[Bare], settings: Settings) -> None:
        contents = self._decode(records, settings)
        kind = type(contents[0])
        # Nearly always: of one model, and read alike.
        if issubclass(kind, TypedEvent) and len(set(map(type, contents))) == 1:
            found = self._alike(poll, records, cast("Sequence[TypedEvent]", contents), settings)
        elif isinstance(first := contents[0], AlikeEvents) and len(first) == len(contents):
            found = [row for _, row in _written_alike(poll, records, first, settings)]
        else:
            found = self._mixed(poll, records, contents, settings)
        poll.predictions += found

    @staticmethod
    def _alike(poll: Poll, records: Sequence[Bare], events: Sequence[TypedEvent], settings: Settings) -> list[PredictionRow]:
        times = np.array([event.event_time for event in events], np.int64)
        bounds = timestamps(records) + parse_duration(settings.worker.allowed_skew)
        poll.reach_all(times, times <= bounds + FAR_AHEAD, bounds)
        own, secret = settings.model(events[0].model), pii_secret(settings)
        kept = (i for i in within([event.event_id for event in events], own.outcome_sample) if times[i] <= bounds[i] + FAR_AHEAD)
        return [_prediction(events[i], own, secret) for i in kept]

    def _mixed(
        self, poll: Poll, records: Sequence[Bare], contents: Sequence[JsonEvent | EventColumns | AlikeEvents | None], settings: Settings
    ) -> list[PredictionRow]:
        skew, secret = parse_duration(settings.worker.allowed_skew), pii_secret(settings)
        found: list[tuple[int, PredictionRow]] = []
        by_model: dict[str, list[tuple[int, JsonEvent]]] = {}
        for alike in dict.fromkeys(content for content in contents if isinstance(content, AlikeEvents)):
            found += _written_alike(poll, records, alike, settings)
        stamps = timestamps(records).tolist()
        for i, (stamp, content) in enumerate(zip(stamps, contents, strict=True)):
            if isinstance(content, AlikeEvents):
                continue
            bound = stamp + skew
            if isinstance(content, EventColumns):
                found += [(i, row) for row in _column_rows(poll, bound, content, settings.model(content.model), secret)]
            elif content is not None and content.event_time <= bound + FAR_AHEAD:
                poll.reach(content.event_time, bound)
                by_model.setdefault(content.model, []).append((i, content))
        for model, events in by_model.items():
            own = settings.model(model)
            if len(events) >= _MANY and any(isinstance(event, InferenceEvent) for _, event in events):
                self._decoder.expect(model, None, by_template=own.outcome_sample <= _FEW_KEPT)
            for j in within([event.event_id for _, event in events], own.outcome_sample):
                i, event = events[j]
                found.append((i, _prediction(event, own, secret)))
        found.sort(key=itemgetter(0))
        return [row for _, row in found]

    def _decode(self, records: Sequence[Bare], settings: Settings) -> list[JsonEvent | EventColumns | AlikeEvents | None]:
        found, unfit = self._decoder.decode(plain_values(records))
        contents: list[JsonEvent | EventColumns | AlikeEvents | None] = [*found]
        for i in unfit:
            alone = content_of(records[i], settings.defaults.max_features)
            contents[i] = None if isinstance(alone, DecodeError) else alone
        return contents


def sampled(event_id: str, share: float) -> bool:
    """Say whether an event belongs to the sample: by its id alone, so that prediction and label agree."""
    return share >= 1.0 or sample_hash(event_id) < share * _PLACES


def within(ids: Sequence[str], share: float) -> list[int]:
    """Return which of some events the sample keeps.

    >>> within(["a", "b", "c"], 1.0)
    [0, 1, 2]
    """
    return list(range(len(ids))) if share >= 1.0 else _kept(places_of(ids), share).tolist()


def _kept(places: Ints, share: float) -> Ints:
    return np.flatnonzero(_within(places, share))


def _within(places: Ints, share: float) -> NDArray[np.bool_]:
    return places < ceil(share * _PLACES) if share < 1.0 else np.ones(len(places), np.bool_)


def _written_alike(poll: Poll, records: Sequence[Bare], events: AlikeEvents, settings: Settings) -> Iterator[tuple[int, PredictionRow]]:
    """Yield the events that the sample keeps, each with its place among the records: these are read once more, by themselves."""
    own, secret = settings.model(events.model), pii_secret(settings)
    stamps = timestamps(records)
    bounds = stamps[events.at] + parse_duration(settings.worker.allowed_skew)
    fit = events.times <= bounds + FAR_AHEAD
    poll.reach_all(events.times, fit, bounds)
    for i in events.at[fit & _within(places_in(events.ids, events.id_offsets), own.outcome_sample)].tolist():
        yield i, _prediction(decode_inference(records[i].value, records[i].headers), own, secret)


def _column_rows(poll: Poll, bound: int, events: EventColumns, settings: ModelSettings, secret: bytes) -> Iterator[PredictionRow]:
    fit = ~events.flawed & (events.times <= bound + FAR_AHEAD)
    poll.reach_all(events.times, fit, bound)
    index = np.flatnonzero(fit)
    index = index[_kept(places_in(events.ids, events.id_offsets)[index], settings.outcome_sample)]
    if not len(index):
        return
    columns = {name: listed(column) for name, column in leaves(events, index).items()}
    fields = list(least_names(columns, settings.max_features, len(index)))
    predictions, scores = predictions_and_scores(events, index)
    for i, features, prediction, score in zip(index.tolist(), fields, listed(predictions), listed(scores), strict=True):
        yield PredictionRow(
            model=events.model,
            event_id=events.event_id(i),
            version=events.version,
            event_time=int(events.times[i]),
            prediction=cast("Value", prediction),
            score=cast("float | None", score),
            features=kept_features(features, settings.pii, secret),
        )


def _prediction(event: JsonEvent, settings: ModelSettings, secret: bytes) -> PredictionRow:
    return PredictionRow(
        model=event.model,
        event_id=event.event_id,
        version=event.version,
        event_time=event.event_time,
        prediction=event.prediction,
        score=score_of(event),
        features=_features(event, settings, secret),
    )


def _features(event: JsonEvent, settings: ModelSettings, secret: bytes) -> dict[str, float | int | str | bool | None]:
    """Return the features that the configuration keeps; what can't be read is left out, summarise says so."""
    if not settings.pii and (plain := decode_plain(event.features, MAX_TEXT)) is not None and len(plain) <= settings.max_features:
        return plain
    try:
        fields: Mapping[str, object] = flattened(decode_features(event.features))
    except DecodeError:
        return {}
    bounded = dict(sorted(fields.items())[: settings.max_features]) if len(fields) > settings.max_features else fields
    return kept_features(bounded, settings.pii, secret)
