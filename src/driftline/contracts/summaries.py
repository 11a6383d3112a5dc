"""What the steps tell `detect` over the summaries topic: blocks, outcome deltas, progress. MessagePack, tagged.

All numbers are integers, so that merging is commutative and associative to the last bit.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from driftline.contracts.errors import DecodeError

PaneKind = Literal["features", "outcomes"]

#: The reference id of rows for which no reference holds yet: they carry samples only.
LEARNING = ""


class SampleRow(msgspec.Struct, frozen=True, array_like=True):
    """A row kept in a sample, with the place (``sample_hash``) that chose it. Values go by name, in no order."""

    place: int
    event_id: str
    event_time: int
    version: str
    features: dict[str, float | int | str | bool | None]
    prediction: float | str | None = None
    score: float | None = None


class PanePart(msgspec.Struct, array_like=True):
    """What one block (or one outcome delta) adds to one pane.

    ``slots``/``counts``: the layout's slots that are not zero (little-endian uint32) and their counts (int64, signed: an outcome may be taken back).
    ``sums``: for each numeric column of the layout the fixed-point sum of clipped z and of its square (int64, interleaved).
    ``late`` rows arrived more than the allowed lateness behind their own partition's time and never reach sequential detectors.
    """

    reference_id: str
    kind: PaneKind
    start: int
    late: bool
    n: int
    slots: bytes
    counts: bytes
    sums: bytes
    first_time: int
    last_time: int
    versions: dict[str, int]
    sample: list[SampleRow]
    #: Quality counts that belong to no column: ``missing_fields``, ``extra_fields``, ``unknown_version``, ``clock_skew`` ...
    quality: dict[str, int]


class BlockSummary(msgspec.Struct, array_like=True, tag="block"):
    """A pure function of one block of consecutive offsets of one partition, for one model; a later revision covers more of the block.

    ``start`` names the block (its first offset by alignment), ``first`` the first offset it saw, ``next`` the offset after the last one.
    """

    model: str
    partition: int
    start: int
    first: int
    next: int
    final: bool
    panes: list[PanePart]


class OutcomeDelta(msgspec.Struct, array_like=True, tag="outcome"):
    """What one transaction of the join changed for one model: take back the old, add the new.

    ``source`` and ``partition`` name the topic partition the transaction read, ``sequence`` the offset after it: applied once, in order.
    """

    model: str
    source: str
    partition: int
    sequence: int
    panes: list[PanePart]


class Progress(msgspec.Struct, array_like=True, tag="progress"):
    """How far one step has read one source partition; sent to every summaries partition, after what it read there.

    ``source`` is ``summarise`` for the features' clock, ``join/<topic>`` for the two topics whose slower one is the outcomes' clock.

    ``floor``: every block that starts below it is final and already acknowledged by this topic. ``idle`` says that the partition had been read to
    its end for the idle timeout, as of a clock read before the broker was asked. ``newest`` is the greatest event time met, skew included.
    """

    source: str
    partition: int
    partitions: int
    position: int
    watermark: int
    floor: int
    idle: bool
    newest: int


SummaryMessage = BlockSummary | OutcomeDelta | Progress

_decoder: msgspec.msgpack.Decoder[SummaryMessage] = msgspec.msgpack.Decoder(SummaryMessage)
_encoder = msgspec.msgpack.Encoder(order="deterministic")


def encode_summary(message: SummaryMessage) -> bytes:
    """Return the bytes of a summaries record."""
    return _encoder.encode(message)


def decode_summary(raw: bytes) -> SummaryMessage:
    """Return the message, or raise DecodeError."""
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise DecodeError(f"not a summary: {error}", raw) from error
