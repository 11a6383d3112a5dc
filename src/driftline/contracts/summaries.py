"""What the steps tell `detect` over the summaries topic: blocks, outcome deltas, progress. MessagePack, tagged.

All numbers are integers, so that merging is commutative and associative to the last bit.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from driftline.contracts.bounds import Name, Natural, Whole
from driftline.contracts.errors import DecodeError

PaneKind = Literal["features", "outcomes"]

#: The reference id of rows for which no reference holds yet: they carry samples only.
LEARNING = ""


class SampleRow(msgspec.Struct, frozen=True, array_like=True):
    """A row kept in a sample, with the place (``sample_hash``) that chose it. Values go by name, in no order."""

    place: Natural
    event_id: str
    event_time: Natural
    version: str
    features: dict[str, float | Whole | str | bool | None]
    prediction: float | str | None = None
    score: float | None = None


class Counted(msgspec.Struct, frozen=True, array_like=True):
    """What an outcome was counted as: in which pane of which reference, and whether its label was late. Kept with the outcome, so that a correction
    takes back exactly that, whatever references, panes or label waits have become since.

    ``sample`` is the share of the predictions that the join kept when it was counted.
    """

    reference_id: str
    start: int
    late: bool
    sample: float = 1.0


class PanePart(msgspec.Struct, array_like=True):
    """What one block (or one outcome delta) adds to one pane.

    ``slots``/``counts``: the layout's slots that are not zero (little-endian uint32) and their counts (int64, signed: an outcome may be taken back).
    ``sums``: for each numeric column of the layout the fixed-point sum of clipped z and of its square (int64, interleaved).
    ``late`` rows arrived more than the allowed lateness behind their own partition's time and never reach sequential detectors.
    """

    reference_id: str
    kind: PaneKind
    start: Natural
    late: bool
    n: Whole
    slots: bytes
    counts: bytes
    sums: bytes
    first_time: Natural
    last_time: Natural
    versions: dict[str, Whole]
    sample: list[SampleRow]
    #: Quality counts that belong to no column: ``missing_fields``, ``extra_fields``, ``unknown_version``, ``clock_skew``, ``duplicates`` (in the
    #: block) ...; of outcomes how many come of a sample of the predictions: ``sampled:0.25``.
    quality: dict[str, Whole]
    #: For each column of very many different values a sketch of those that the rows had (``detectors/distinct.py``).
    distinct: dict[str, bytes] = {}


class BlockSummary(msgspec.Struct, array_like=True, tag="block"):
    """A pure function of one block of consecutive offsets of one partition, for one model; a later revision covers more of the block.

    ``start`` names the block (its first offset by alignment), ``first`` the first offset it saw, ``next`` the offset after the last one.
    """

    model: Name
    partition: Natural
    start: Natural
    first: Natural
    next: Natural
    final: bool
    panes: list[PanePart]


class OutcomeDelta(msgspec.Struct, array_like=True, tag="outcome"):
    """What one transaction of the join changed for one model: take back the old, add the new.

    ``source`` and ``partition`` name the topic partition the transaction read, ``sequence`` the offset after it: applied once, in order.
    """

    model: Name
    source: Name
    partition: Natural
    sequence: Natural
    panes: list[PanePart]


class Progress(msgspec.Struct, array_like=True, tag="progress"):
    """How far one step has read one source partition; sent to every summaries partition, after what it read there.

    ``source`` is ``summarise`` for the features' clock, ``join/<topic>`` for the two topics whose slower one is the outcomes' clock.

    ``floor``: every block that starts below it is final and already acknowledged by this topic. ``idle`` says that the partition had been read to
    its end for the idle timeout, as of a clock read before the broker was asked, ``quiet`` for how long (ms): no event moves the clock of a log
    that has gone quiet, and this is the word of one that may. ``newest`` is the greatest event time met, skew included.

    ``woken_from`` is the watermark with which the partition was idle, while it has only just come back: alone, or with others that have too, it moves
    no time yet, since those that are idle still may be about to come back with events that are no newer.
    """

    source: Name
    partition: Natural
    partitions: Natural
    position: Natural
    watermark: Natural
    floor: Natural
    idle: bool
    newest: Natural
    quiet: Natural = 0
    woken_from: Natural | None = None


SummaryMessage = BlockSummary | OutcomeDelta | Progress

_decoder: msgspec.msgpack.Decoder[SummaryMessage] = msgspec.msgpack.Decoder(SummaryMessage)
_encoder = msgspec.msgpack.Encoder(order="deterministic")


def encode_summary(message: SummaryMessage) -> bytes:
    """Return the bytes of a summaries record."""
    return _encoder.encode(message)


def decode_summary(raw: bytes | None) -> SummaryMessage:
    """Return the message, or raise DecodeError: also where its numbers do not belong together, for nothing may be half counted."""
    if raw is None:
        raise DecodeError("the record has no value", raw, code="no_value")
    try:
        message = _decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise DecodeError(f"not a summary: {error}", raw, code="not_a_summary") from error
    flaw = _flaw(message)
    if flaw is not None:
        raise DecodeError(f"not a summary: {flaw}", raw, code="not_a_summary")
    return message


def _flaw(message: SummaryMessage) -> str | None:
    """Say what in a message can't be, None if all is well."""
    if isinstance(message, Progress):
        return None if "\x00" not in message.source and message.partition < message.partitions else "a partition that is not one of its source's"
    if "\x00" in message.model:
        return "a model's name with NUL"
    if isinstance(message, BlockSummary) and not message.start <= message.first <= message.next:
        return "a block that ends before it begins"
    return next((flaw for part in message.panes if (flaw := _flaw_of_part(part))), None)


def _flaw_of_part(part: PanePart) -> str | None:
    if len(part.slots) % 4 or len(part.counts) != 2 * len(part.slots) or len(part.sums) % 16:
        return "slots, counts and sums of lengths that do not fit"
    if any("\x00" in name for name in (part.reference_id, *part.versions, *part.quality, *part.distinct)):
        return "a name with NUL"
    return None
