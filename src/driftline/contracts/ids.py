"""Deterministic ids: the same cause gives the same id, on every machine, after every crash."""

from __future__ import annotations

from hashlib import blake2b


def stable_id(*parts: str | int) -> str:
    """Return 32 hex digits that depend on the parts alone.

    Parts are length-prefixed, so that ``("ab", "c")`` and ``("a", "bc")`` differ.

    >>> stable_id("credit-risk", 3) == stable_id("credit-risk", 3)
    True
    >>> stable_id("ab", "c") == stable_id("a", "bc")
    False
    """
    digest = blake2b(digest_size=16)
    for part in parts:
        encoded = str(part).encode()
        digest.update(len(encoded).to_bytes(4, "big"))
        digest.update(encoded)
    return digest.hexdigest()


def content_hash(content: bytes) -> str:
    """Return 32 hex digits of a content."""
    return blake2b(content, digest_size=16).hexdigest()


def sample_hash(event_id: str) -> int:
    """Return the place of an event in every hash sample: uniform on [0, 2**63).

    Samples keep the smallest places, so which rows are kept depends on the ids alone and not on the order of arrival.
    """
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "big") >> 1
