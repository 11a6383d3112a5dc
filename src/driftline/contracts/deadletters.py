"""Dead letters: the original key, value and headers untouched, the reason beside them in headers that Kafka Connect's tools know."""

from __future__ import annotations

from driftline.contracts.errors import DecodeError

PREFIX = "__connect.errors."


def dead_letter_headers(
    original: list[tuple[str, bytes]], *, topic: str, partition: int, offset: int, stage: str, error: DecodeError
) -> list[tuple[str, bytes]]:
    """Return the headers of a dead letter: those it came with, then where and why it failed. Names already there are never overwritten.

    >>> headers = dead_letter_headers([], topic="t", partition=0, offset=7, stage="summarise", error=DecodeError("not JSON"))
    >>> dict(headers)["__connect.errors.exception.message"]
    b'not JSON'
    """
    taken = {name for name, _ in original}
    reasons = {
        "topic": topic,
        "partition": str(partition),
        "offset": str(offset),
        "connector.name": "driftline",
        "stage": stage,
        "exception.class.name": type(error).__name__,
        "exception.message": error.reason[:500],
    }
    return [*original, *((PREFIX + name, text.encode(errors="backslashreplace")) for name, text in reasons.items() if PREFIX + name not in taken)]
