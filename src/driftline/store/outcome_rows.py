"""Predictions, labels, and the outcome they make together. Merging is commutative, associative and idempotent, so
arrival order never matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from driftline.contracts.ids import content_hash
from driftline.contracts.summaries import Counted

Value = float | str | bool | None
Feature = float | int | str | bool | None


class PredictionRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A prediction as the join keeps it; ``features`` are those that the configuration keeps."""

    model: str
    event_id: str
    version: str
    event_time: int
    prediction: Value = None
    score: float | None = None
    features: dict[str, Feature] = {}


class LabelRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is said to have happened; ``label`` None withdraws what was said before ``label_time``."""

    model: str
    event_id: str
    label: Value
    label_time: int


class OutcomeRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A complete outcome: predicted and labelled. Rows that lack either stay inside the store."""

    model: str
    event_id: str
    version: str
    event_time: int
    prediction: Value
    score: float | None
    features: Mapping[str, Feature]
    label: float | str | bool
    label_time: int
    #: What it was counted as; None: nowhere.
    counted: Counted | None = None


#: ``(None, new)`` completed, ``(old, None)`` withdrawn, ``(old, new)`` corrected.
OutcomeChange = tuple[OutcomeRow | None, OutcomeRow | None]


class Halves(msgspec.Struct, frozen=True, gc=False):
    """What is known of one event, as the database holds it: ``prediction`` and ``label`` are their bytes, None as
    long as they haven't come.
    """

    time: int
    prediction: bytes | None
    label_time: int | None
    label: bytes | None


class _PredictionBytes(msgspec.Struct, array_like=True, gc=False):
    version: str
    prediction: Value
    score: float | None
    features: dict[str, Feature]


class _Features(Mapping[str, Feature]):
    """Features that are read when somebody asks for one: of most outcomes nobody does."""

    __slots__ = ("_raw", "_read")

    def __init__(self, raw: msgspec.Raw) -> None:
        self._raw = raw
        self._read: dict[str, Feature] | None = None

    def _all(self) -> dict[str, Feature]:
        if self._read is None:
            self._read = _decode_features(self._raw)
        return self._read

    def __getitem__(self, name: str) -> Feature:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


class _Unread(msgspec.Struct, array_like=True, gc=False):
    """``_PredictionBytes`` whose features are left as they are."""

    version: str
    prediction: Value
    score: float | None
    features: msgspec.Raw


#: What an outcome counts as: (model, version, event time, label time); None: it counts nowhere.
Judge = Callable[[str, str, int, int], Counted | None]


def uncounted(_model: str, _version: str, _event_time: int, _label_time: int) -> None:
    """Count nothing: of rows that no pane has heard of."""


_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_decode_unread = msgspec.msgpack.Decoder(_Unread).decode
_decode_features = msgspec.msgpack.Decoder(dict[str, Feature]).decode
_decode_label = msgspec.msgpack.Decoder(Value).decode
_decode_counted = lru_cache(maxsize=4096)(msgspec.msgpack.Decoder(Counted | None).decode)
_WIDEST = 1 << 63


def halves_of(row: PredictionRow | LabelRow) -> Halves:
    """Return what one row alone says."""
    if isinstance(row, LabelRow):
        return Halves(row.label_time, None, row.label_time, _encode(row.label))
    kept = _PredictionBytes(row.version, row.prediction, row.score, row.features)
    try:
        raw = _encode(kept)
    except OverflowError:  # JSON's integers have no end, MessagePack's have
        kept.features = {name: _bounded(value) for name, value in row.features.items()}
        raw = _encode(kept)
    return Halves(row.event_time, raw, None, None)


def merge(one: Halves, other: Halves) -> Halves:
    """Return what both say: the earliest prediction and the latest label; equal times are decided by the hash of the
    content.
    """
    first = _chosen(one, other)
    last = _chosen_label(one, other)
    return Halves(
        first.time if first.prediction is not None else min(one.time, other.time),
        first.prediction,
        last.label_time,
        last.label,
    )


def outcome_of(
    model: str, event_id: str, halves: Halves | None, judge: Judge = uncounted, counted: bytes | None = None, *, lazily: bool = False
) -> OutcomeRow | None:
    """Return the outcome, None while it is not complete. It is counted as it was, or as ``judge`` says where nothing is stored.

    Its features are read at once, or ``lazily``, when one is asked for.
    """
    if halves is None or halves.prediction is None or halves.label is None or halves.label_time is None:
        return None
    label = _decode_label(halves.label)
    if label is None:
        return None
    kept = _decode_unread(halves.prediction)
    return OutcomeRow(
        model=model,
        event_id=event_id,
        version=kept.version,
        event_time=halves.time,
        prediction=kept.prediction,
        score=kept.score,
        features=_Features(kept.features) if lazily else _decode_features(kept.features),
        label=label,
        label_time=halves.label_time,
        counted=judge(model, kept.version, halves.time, halves.label_time) if counted is None else _decode_counted(counted),
    )


def label_of(halves: Halves | None) -> tuple[float | str | bool | None, int]:
    """Return what is said to have happened, and when that was said (ms); None, 0 where nothing is, or it was withdrawn."""
    if halves is None or halves.label is None or halves.label_time is None:
        return None, 0
    label = _decode_label(halves.label)
    return (None, 0) if label is None else (label, halves.label_time)


def counted_of(outcome: OutcomeRow | None) -> bytes | None:
    """Return what is stored of how an outcome was counted: None where there is none, MessagePack's nil where it counts nowhere."""
    return None if outcome is None else _counted(outcome.counted)


#: The columns of the ``outcomes`` table.
COLUMNS = ("model", "event_id", "time", "prediction", "label_time", "label", "counted")


def values_of(model: str, event_id: str, halves: Halves, counted: bytes | None) -> tuple[Any, ...]:
    """Return a row of the ``outcomes`` table, in the order of ``COLUMNS``."""
    return (model, event_id, halves.time, halves.prediction, halves.label_time, halves.label, counted)


@lru_cache(maxsize=4096)
def _counted(counted: Counted | None) -> bytes:
    return _encode(counted)


def _chosen(one: Halves, other: Halves) -> Halves:
    if one.prediction is None or other.prediction is None:
        return one if other.prediction is None else other
    if one.time != other.time:
        return one if one.time < other.time else other
    return one if content_hash(one.prediction) <= content_hash(other.prediction) else other


def _chosen_label(one: Halves, other: Halves) -> Halves:
    if one.label is None or other.label is None or one.label_time is None or other.label_time is None:
        return one if other.label is None else other
    if one.label_time != other.label_time:
        return one if one.label_time > other.label_time else other
    return one if content_hash(one.label) >= content_hash(other.label) else other


def _bounded(value: Feature) -> Feature:
    if isinstance(value, int) and not -_WIDEST <= value < _WIDEST:
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    return value
