"""What a poll of a source partition means for the outcomes, and what their changes mean for the summaries. Pure but for the references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from driftline.contracts.errors import DecodeError
from driftline.contracts.events import InferenceEvent, LabelEvent, decode_inference, decode_label
from driftline.contracts.ids import sample_hash
from driftline.contracts.json_values import decode_features
from driftline.contracts.reference import Reference
from driftline.contracts.ripeness import label_wait
from driftline.contracts.settings import Settings
from driftline.contracts.summaries import OutcomeDelta, encode_summary
from driftline.contracts.times import parse_duration
from driftline.contracts.topics import SUMMARIES
from driftline.detectors.outcomes import Outcome
from driftline.detectors.parts import outcome_parts
from driftline.detectors.sample import kept_features
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import LabelRow, OutcomeChange, OutcomeRow, PredictionRow
from driftline.streams.pii import pii_secret
from driftline.streams.reading import FAR_AHEAD, Record, Rejected, score_of
from driftline.streams.references import ReferenceBook


@dataclass
class Poll:
    """The rows of one poll, and how far event time came in it."""

    predictions: list[PredictionRow] = field(default_factory=list)
    labels: list[LabelRow] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    watermark: int = 0
    newest: int = 0


def read_predictions(records: Sequence[Record], settings: Settings) -> Poll:
    """Return the predictions that the sample keeps. Bad records are summarise's to reject: each is a dead letter once."""
    poll = Poll()
    skew = parse_duration(settings.worker.allowed_skew)
    for record in records:
        try:
            event = decode_inference(record.value, record.headers)
        except DecodeError:
            continue
        if event.event_time > record.timestamp + skew + FAR_AHEAD:
            continue
        _reach(poll, event.event_time, record.timestamp + skew)
        if sampled(event.event_id, settings.model(event.model).outcome_sample):
            poll.predictions.append(_prediction(event, settings))
    return poll


def read_labels(records: Sequence[Record], settings: Settings) -> Poll:
    """Return the labels that the sample keeps, and the records that can't be used.

    A label dated far ahead is one of these: the greatest time wins, so that it would win for ever.
    """
    poll = Poll()
    skew = parse_duration(settings.worker.allowed_skew)
    for record in records:
        try:
            event = decode_label(record.value, record.headers)
            if event.event_time > record.timestamp + skew + FAR_AHEAD:
                raise DecodeError("event_time is more than a day ahead of the time at which the record was appended", record.value)
        except DecodeError as error:
            poll.rejected.append(Rejected(record, error))
            continue
        _reach(poll, event.event_time, record.timestamp + skew)
        if sampled(event.event_id, settings.model(event.model).outcome_sample):
            poll.labels.append(_label(event))
    return poll


def sampled(event_id: str, share: float) -> bool:
    """Say whether an event belongs to the sample: by its id alone, so that prediction and label agree."""
    return share >= 1.0 or sample_hash(event_id) < share * (1 << 63)


def delta_rows(
    changes: Sequence[OutcomeChange],
    *,
    owner: str,
    source: str,
    partition: int,
    sequence: int,
    settings: Settings,
    book: ReferenceBook,
) -> list[OutboxRow]:
    """Return the outbox rows that tell detect what a transaction changed: for each model, take back the old and add the new."""
    by_model: dict[str, list[OutcomeChange]] = {}
    for old, new in changes:
        row = new if new is not None else old
        if row is not None:
            by_model.setdefault(row.model, []).append((old, new))
    rows = []
    for model in sorted(by_model):
        parts = outcome_parts(_Lateness(settings, book, model), _outcomes(by_model[model]), parse_duration(settings.model(model).pane))
        if parts:
            delta = OutcomeDelta(model, source, partition, sequence, parts)
            key = model.encode()
            rows.append(OutboxRow(owner=owner, topic=SUMMARIES.name, key=key, value=encode_summary(delta)))
    return rows


class _Lateness:
    """Which reference an outcome meets, and whether its label came too late to count for the sequential detectors."""

    def __init__(self, settings: Settings, book: ReferenceBook, model: str) -> None:
        self._settings = settings.model(model)
        self._book = book
        self._model = model

    def __call__(self, outcome: Outcome) -> tuple[Reference, bool] | None:
        reference = self._book.at(self._model, outcome.version, outcome.event_time)
        if reference is None or not reference.outcomes:
            return None
        return reference, outcome.label_time - outcome.event_time > label_wait(self._settings, reference)


def _outcomes(changes: Sequence[OutcomeChange]) -> list[tuple[Outcome | None, Outcome | None]]:
    return [(_outcome(old), _outcome(new)) for old, new in changes]


def _outcome(row: OutcomeRow | None) -> Outcome | None:
    if row is None:
        return None
    return Outcome(
        event_id=row.event_id,
        model=row.model,
        version=row.version,
        event_time=row.event_time,
        prediction=row.prediction,
        score=row.score,
        label=row.label,
        label_time=row.label_time,
    )


def _reach(poll: Poll, event_time: int, bound: int) -> None:
    poll.newest = max(poll.newest, event_time)
    if event_time <= bound:
        poll.watermark = max(poll.watermark, event_time)


def _prediction(event: InferenceEvent, settings: Settings) -> PredictionRow:
    return PredictionRow(
        model=event.model,
        event_id=event.event_id,
        version=event.version,
        event_time=event.event_time,
        prediction=event.prediction,
        score=score_of(event),
        features=_features(event, settings),
    )


def _features(event: InferenceEvent, settings: Settings) -> dict[str, float | int | str | bool | None]:
    """Return the features that the configuration keeps; what can't be read is left out, summarise says so."""
    model = settings.model(event.model)
    try:
        fields = decode_features(event.features)
    except DecodeError:
        return {}
    bounded = dict(sorted(fields.items())[: model.max_features]) if len(fields) > model.max_features else fields
    return kept_features(bounded, model.pii, pii_secret(settings))


def _label(event: LabelEvent) -> LabelRow:
    return LabelRow(model=event.model, event_id=event.event_id, label=event.label, label_time=event.event_time)
