"""A rejected record as a dead letter: untouched, with where it stood and why it failed beside it."""

from __future__ import annotations

from driftline.contracts.deadletters import Letter, dead_letter
from driftline.contracts.settings import LimitSettings
from driftline.contracts.topics import DEAD_LETTERS
from driftline.store.outbox import OutboxRow
from driftline.streams.publishing import Message
from driftline.streams.reading import Rejected


def letter_message(rejected: Rejected, stage: str, limits: LimitSettings) -> Message:
    """Return the dead letter as a message to send."""
    letter = _letter(rejected, stage, limits)
    return Message(DEAD_LETTERS.name, letter.key, letter.value, headers=letter.headers)


def letter_row(owner: str, rejected: Rejected, stage: str, limits: LimitSettings) -> OutboxRow:
    """Return the dead letter as a row of an outbox; that key or value was null is in its headers."""
    letter = _letter(rejected, stage, limits)
    return OutboxRow(owner=owner, topic=DEAD_LETTERS.name, key=letter.key or b"", value=letter.value or b"", headers=tuple(letter.headers))


def _letter(rejected: Rejected, stage: str, limits: LimitSettings) -> Letter:
    r = rejected.record
    return dead_letter(
        r.key,
        r.value,
        r.headers,
        topic=r.topic,
        partition=r.partition,
        offset=r.offset,
        stage=stage,
        error=rejected.error,
        most=limits.letter_bytes,
    )
