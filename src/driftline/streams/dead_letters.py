"""A rejected record as a dead letter: untouched, with where it stood and why it failed beside it."""

from __future__ import annotations

from driftline.contracts.deadletters import dead_letter_headers
from driftline.contracts.topics import DEAD_LETTERS
from driftline.store.outbox import OutboxRow
from driftline.streams.reading import Rejected


def letter_headers(rejected: Rejected, stage: str) -> list[tuple[str, bytes]]:
    """Return the headers of a rejected record's dead letter."""
    r = rejected.record
    return dead_letter_headers(list(r.headers), topic=r.topic, partition=r.partition, offset=r.offset, stage=stage, error=rejected.error)


def letter_row(owner: str, rejected: Rejected, stage: str) -> OutboxRow:
    """Return the dead letter as a row of an outbox."""
    r = rejected.record
    return OutboxRow(owner=owner, topic=DEAD_LETTERS.name, key=r.key or b"", value=r.value or b"", headers=tuple(letter_headers(rejected, stage)))
