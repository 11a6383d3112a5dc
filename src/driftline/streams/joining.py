"""What a poll of a source partition means for the outcomes, and what their changes mean for the summaries. Pure but for the references."""

from __future__ import annotations

from collections.abc import Sequence

from driftline.contracts.errors import DecodeError
from driftline.contracts.events import decode_label
from driftline.contracts.reference import Reference
from driftline.contracts.ripeness import label_wait
from driftline.contracts.settings import ModelSettings, Settings
from driftline.contracts.summaries import Counted, OutcomeDelta, encode_summary
from driftline.contracts.times import parse_duration
from driftline.contracts.topics import SUMMARIES
from driftline.contracts.typed_labels import decode_labels
from driftline.detectors.outcomes import Outcome
from driftline.detectors.parts import counted_parts
from driftline.store.outbox import OutboxRow
from driftline.store.outcome_rows import LabelRow, OutcomeChange, OutcomeRow
from driftline.streams.predictions import Poll, sampled
from driftline.streams.reading import FAR_AHEAD, plain_values
from driftline.streams.records import Record, Rejected, bare
from driftline.streams.references import ReferenceBook


def read_labels(records: Sequence[Record], settings: Settings) -> Poll:
    """Return the labels that the sample keeps, and the records that can't be used.

    A label dated far ahead is one of these: the greatest time wins, so that it would win for ever.
    """
    poll = Poll()
    skew = parse_duration(settings.worker.allowed_skew)
    shares: dict[str, float] = {}
    read = bare(records)
    for i, (record, typed) in enumerate(zip(read, decode_labels(plain_values(read)), strict=True)):
        try:
            event = typed if typed is not None else decode_label(record.value, record.headers)
            if event.event_time > record.timestamp + skew + FAR_AHEAD:
                raise DecodeError("event_time is more than a day ahead of the time at which the record was appended", record.value, code="time_ahead")
        except DecodeError as error:
            poll.rejected.append(Rejected(records[i], error))
            continue
        poll.reach(event.event_time, record.timestamp + skew)
        share = shares.get(event.model)
        if share is None:
            share = shares[event.model] = settings.model(event.model).outcome_sample
        if sampled(event.event_id, share):
            poll.labels.append(LabelRow(model=event.model, event_id=event.event_id, label=event.label, label_time=event.event_time))
    return poll


def delta_rows(
    changes: Sequence[OutcomeChange],
    *,
    owner: str,
    source: str,
    partition: int,
    sequence: int,
    book: ReferenceBook,
) -> list[OutboxRow]:
    """Return the outbox rows that tell detect what a transaction changed: for each model, take back the old and add the new."""
    by_model: dict[str, list[tuple[Outcome, Counted, int]]] = {}
    for old, new in changes:
        for row, sign in ((old, -1), (new, 1)):
            if row is not None and row.counted is not None:
                by_model.setdefault(row.model, []).append((_outcome(row), row.counted, sign))
    rows = []
    for model in sorted(by_model):
        signed = by_model[model]
        references = {counted.reference_id: _known(book, model, counted.reference_id) for _, counted, _ in signed}
        parts = counted_parts(references, signed)
        if parts:
            delta = OutcomeDelta(model, source, partition, sequence, parts)
            rows.append(OutboxRow(owner=owner, topic=SUMMARIES.name, key=model.encode(), value=encode_summary(delta)))
    return rows


class CountedAs:
    """What an outcome counts as under the references and settings of this moment: asked once, when it is complete, and kept with it."""

    def __init__(self, settings: Settings, book: ReferenceBook) -> None:
        self._settings = settings
        self._book = book
        self._panes: dict[str, tuple[ModelSettings, int]] = {}
        self._waits: dict[tuple[str, str], int] = {}

    def __call__(self, model: str, version: str, event_time: int, label_time: int) -> Counted | None:
        """Return the pane, and whether the label came too late to count for the sequential detectors; None without a reference for outcomes."""
        reference = self._book.at(model, version, event_time)
        if reference is None or not reference.outcomes:
            return None
        if model not in self._panes:
            self._panes[model] = (self._settings.model(model), parse_duration(self._settings.model(model).pane))
        settings, pane = self._panes[model]
        key = (model, reference.reference_id)
        if key not in self._waits:
            self._waits[key] = label_wait(settings, reference)
        return Counted(reference.reference_id, event_time // pane * pane, label_time - event_time > self._waits[key], settings.outcome_sample)


def _known(book: ReferenceBook, model: str, reference_id: str) -> Reference:
    reference = book.get(model, reference_id)
    if reference is None:
        msg = f"outcomes of model {model} were counted under reference {reference_id}, which is not in the store"
        raise LookupError(msg)
    return reference


def _outcome(row: OutcomeRow) -> Outcome:
    return Outcome(
        event_id=row.event_id,
        model=row.model,
        version=row.version,
        event_time=row.event_time,
        prediction=row.prediction,
        score=row.score,
        label=row.label,
        label_time=row.label_time,
        features=row.features,
    )
