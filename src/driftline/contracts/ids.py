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


#: What the words of an id are mixed with: odd, so that a multiplication by them loses nothing.
MIX, FINISH_1, FINISH_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = (1 << 64) - 1


def sample_hash(event_id: str) -> int:
    """Return the place of an event in every hash sample: uniform on [0, 2**63).

    Samples keep the smallest places, so which rows are kept depends on the ids alone and not on the order of arrival. The UTF-8 bytes are mixed in
    words of eight, least byte first and filled up with zeros, so that NumPy can place many ids at once (``driftline.detectors.places``).

    >>> sample_hash("a") == sample_hash("a"), sample_hash("a") == sample_hash("b")
    (True, False)
    """
    content = event_id.encode()
    place = len(content) * MIX & _WORD
    for i in range(0, len(content), 8):
        place = (place ^ int.from_bytes(content[i : i + 8], "little")) * MIX & _WORD
        place ^= place >> 32
    place = (place ^ place >> 30) * FINISH_1 & _WORD
    place = (place ^ place >> 27) * FINISH_2 & _WORD
    return (place ^ place >> 31) >> 1
