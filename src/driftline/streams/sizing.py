"""Summaries that fit into a record, whatever the events were like: what is too large loses sample rows, never counts."""

from __future__ import annotations

import msgspec

from driftline.contracts.summaries import BlockSummary, SampleRow, encode_summary
from driftline.contracts.topics import MAX_SUMMARY_BYTES

#: The producer's own bound, with room for the record around the summary.
MOST_BYTES = MAX_SUMMARY_BYTES - (64 << 10)
LEFT_OUT = "sample_rows_left_out"

_row = msgspec.msgpack.Encoder().encode


def encode_sized(summary: BlockSummary, most: int = MOST_BYTES) -> bytes:
    """Return the bytes of a summary; of one that is too large without the sample rows of the greatest places, which its quality counts tell.

    What is left out follows from the block alone, so a block read again gives the same bytes.
    """
    raw = encode_summary(summary)
    if len(raw) <= most:
        return raw
    sizes = sorted((row.place, row.event_id, i, len(_row(row))) for i, part in enumerate(summary.panes) for row in part.sample)
    # A row may cost a count of its own.
    room = most - (len(raw) - sum(size for *_, size in sizes)) - len(summary.panes) * (len(LEFT_OUT) + 16)
    kept: set[tuple[int, str, int]] = set()
    for place, event_id, i, size in sizes:
        room -= size
        if room < 0:
            break
        kept.add((place, event_id, i))
    panes = []
    for i, part in enumerate(summary.panes):
        sample: list[SampleRow] = [row for row in part.sample if (row.place, row.event_id, i) in kept]
        left = len(part.sample) - len(sample)
        panes.append(msgspec.structs.replace(part, sample=sample, quality={**part.quality, LEFT_OUT: left} if left else part.quality))
    return encode_summary(msgspec.structs.replace(summary, panes=panes))
