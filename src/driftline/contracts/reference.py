"""The reference: what a model's events looked like when all was well, as exact counts over fixed bins.

A reference is immutable and named by the hash of its content. Its columns fix the *layout* of every summary made against it: each column owns a
run of slots, and a summary is an integer for each slot. It is bound to a model version and to the event time from which it holds, never to when an
event is processed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from driftline.contracts.errors import DecodeError
from driftline.contracts.ids import content_hash

if TYPE_CHECKING:
    from driftline.contracts.summaries import PaneKind

Task = Literal["classification", "multiclass", "regression"]
Role = Literal["feature", "prediction", "score", "outcome", "slice"]

#: What of a feature's value a column holds: the value as it is (or only where it is whole, or a truth value); of a text its length in characters;
#: of a point in time its age in days at the event's time, or its hour of the day (UTC).
View = Literal["value", "integer", "boolean", "length", "age", "hour"]

#: The version of a reference that serves every version without one of its own.
ANY_VERSION = "*"

#: Slots of a numeric column besides its bins, in this order: ``below, bin 0 .. bin k-1, above, null, nan, infinite, wrong_type``.
NUMERIC_EXTRAS = ("null", "nan", "infinite", "wrong_type")
#: Slots of a categorical column besides its values, in this order: ``value 0 .. value k-1, other, unseen, null, wrong_type``.
CATEGORICAL_EXTRAS = ("other", "unseen", "null", "wrong_type")


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that a column of role ``slice`` counts: those of its parent ``column`` in which ``feature`` has ``value`` (None: any other than the
    values of the slices before it). ``number`` is its place among the feature's slices, from 1; ``label`` is how people are told of it.
    """

    column: str
    feature: str
    value: str | None
    number: int
    label: str


class NumericColumn(msgspec.Struct, frozen=True, kw_only=True, tag="numeric"):
    """A column of numbers: ``len(edges) - 1`` bins between strictly increasing edges, half open ``[a, b)``, the last one closed.

    ``counts`` are the reference's, one for each slot. ``center`` and ``scale`` (> 0) standardise: ``z = (x - center) / scale``.
    """

    name: str
    role: Role
    edges: tuple[float, ...]
    center: float
    scale: float
    counts: tuple[int, ...]
    #: The feature it is made of (``user.age``: a path), where that has another name. What is unset is not part of a reference's hash.
    source: str | msgspec.UnsetType = msgspec.UNSET
    view: View | msgspec.UnsetType = msgspec.UNSET
    #: The greatest length that is told apart: the reference's rows had been cut to it.
    longest: int | msgspec.UnsetType = msgspec.UNSET
    #: Of a slice: which rows it counts. What is unset is not part of a reference's hash.
    where: Where | msgspec.UnsetType = msgspec.UNSET

    @property
    def feature(self) -> str:
        """The name of what it is made of."""
        return self.name if self.source is msgspec.UNSET else self.source

    @property
    def slots(self) -> int:
        """How many slots the column owns."""
        return len(self.edges) + 1 + len(NUMERIC_EXTRAS)


class CategoricalColumn(msgspec.Struct, frozen=True, kw_only=True, tag="categorical"):
    """A column of values: the reference's most frequent ones, ``other`` (known to the reference, less frequent) and ``unseen``."""

    name: str
    role: Role
    values: tuple[str, ...]
    other_values: tuple[str, ...] = ()
    counts: tuple[int, ...]
    source: str | msgspec.UnsetType = msgspec.UNSET
    view: View | msgspec.UnsetType = msgspec.UNSET
    where: Where | msgspec.UnsetType = msgspec.UNSET
    #: How many different values the reference had, where they are more than are told apart: then those of each window are counted too.
    distinct: int | msgspec.UnsetType = msgspec.UNSET

    @property
    def feature(self) -> str:
        """The name of what it is made of."""
        return self.name if self.source is msgspec.UNSET else self.source

    @property
    def slots(self) -> int:
        """How many slots the column owns."""
        return len(self.values) + len(CATEGORICAL_EXTRAS)


class GridColumn(msgspec.Struct, frozen=True, kw_only=True, tag="grid"):
    """Score slot x binary label: the joint counts that calibration and AUC follow from.

    Slot ``2 * s + y`` counts events whose score fell in bin ``s`` of ``edges`` (``below`` first, ``above`` last) and whose label was ``y``.
    """

    name: str
    role: Role
    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def feature(self) -> str:
        """The name of what it is made of."""
        return self.name

    @property
    def slots(self) -> int:
        """How many slots the column owns."""
        return 2 * (len(self.edges) + 1)


Column = NumericColumn | CategoricalColumn | GridColumn


def where_of(column: Column) -> Where | None:
    """Return which rows a column counts, None where it counts all."""
    return None if isinstance(column, GridColumn) or isinstance(column.where, msgspec.UnsetType) else column.where


class TermCalibration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the reference says about the wandering of one term of the decider.

    ``term`` is one of ``location``, ``scale``, ``tails``, ``null``, ``unseen``, ``value:<v>``, ``volume``, or a whole change that may be bet on,
    ``shape:<shift>,<ratio>,<part>``. ``variance_hours`` is V of the alarm budget's method (hours): the long-run variance of the term's moment that
    independent events would not have.
    ``calibrated`` is false where the reference is too short for the term's own cycles.

    ``seasons`` are the moment's means at the 24 hours of the day or the 168 of the week (UTC, from Monday), with their standard error, where the
    reference shows such a cycle; V is that of what is left. Defaults are not encoded: references without them keep their hash.
    """

    column: str
    term: str
    variance_hours: float
    blocks: int
    calibrated: bool
    seasons: tuple[float, ...] = ()
    season_error: float | None = None
    #: Of ``volume`` only: events an hour (``seasons`` are shares of it, above and below), and the longest time (ms) between two events.
    rate: float | None = None
    longest_gap: int | None = None


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """An immutable reference. Build it with ``driftline.detectors.reference``; ``reference_id`` is the hash of all else."""

    schema_version: int = 1
    reference_id: str = ""
    model: str
    version: str
    effective_from: int
    origin: Literal["built", "learned", "accepted", "challenger"]
    task: Task
    columns: tuple[Column, ...]
    outcomes: tuple[Column, ...] = ()
    rows: int
    labelled_rows: int = 0
    span_start: int
    span_end: int
    terms: tuple[TermCalibration, ...] = ()
    outcome_terms: tuple[TermCalibration, ...] = ()
    label_delay_p95: int | None = None
    #: Realised metrics on the labelled rows whose label came within ``label_delay_p95``, as live ones are judged (``log_loss``, ``auc``, ``brier``,
    #: ``accuracy``, ``mae``, ``rmse``); missing where undefined.
    performance: dict[str, float] = {}
    #: Share of the model's importance each feature carries; sums to at most 1.
    importance: dict[str, float] = {}

    def columns_of(self, kind: PaneKind) -> tuple[Column, ...]:
        """Return the columns of one kind of pane."""
        return self.columns if kind == "features" else self.outcomes

    def calibrations_of(self, kind: PaneKind) -> dict[tuple[str, str], TermCalibration]:
        """Return what is known of the terms of one kind of pane, by column and term."""
        return {(entry.column, entry.term): entry for entry in (self.terms if kind == "features" else self.outcome_terms)}

    def importance_by_column(self) -> dict[str, float]:
        """Return the share of each column: a feature that is watched through several of them divides its own."""
        features = {column.name: column.feature for column in self.columns if column.role == "feature" and not isinstance(column, GridColumn)}
        parts = Counter(features.values())
        return {name: self.importance[feature] / parts[feature] for name, feature in features.items() if feature in self.importance}


_decoder = msgspec.msgpack.Decoder(Reference)
_encoder = msgspec.msgpack.Encoder(order="deterministic")


def encode_reference(reference: Reference) -> bytes:
    """Return the bytes that a reference's hash is taken of and that the store keeps."""
    return _encoder.encode(reference)


def decode_reference(raw: bytes) -> Reference:
    """Return the reference, or raise DecodeError."""
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise DecodeError(f"not a reference: {error}", raw) from error


def content_id(raw: bytes) -> str:
    """Return the hash of everything but the ``reference_id`` in stored bytes, which it has to be.

    Of the bytes, whatever fields the version that wrote them knew. Raises DecodeError.

    >>> bare = Reference(model="m", version="1", effective_from=0, origin="built", task="regression", columns=(), rows=0, span_start=0, span_end=0)
    >>> raw = encode_reference(seal(bare))
    >>> content_id(raw) == seal(bare).reference_id, content_id(raw.replace(b"built", b"moved")) == seal(bare).reference_id
    (True, False)
    """
    try:
        content = msgspec.msgpack.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise DecodeError(f"not a reference: {error}", raw) from error
    return content_hash(msgspec.msgpack.encode({**content, "reference_id": ""}))


def seal(reference: Reference) -> Reference:
    """Return the reference with its ``reference_id`` set to the hash of everything else."""
    bare = msgspec.structs.replace(reference, reference_id="")
    return msgspec.structs.replace(bare, reference_id=content_hash(encode_reference(bare)))
