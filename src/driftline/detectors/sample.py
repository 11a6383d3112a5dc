"""Bottom-k samples of rows: the k least places by hash of the event id. Which rows are kept depends on the rows alone, not on their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2b

import msgspec

from driftline.contracts.summaries import SampleRow
from driftline.detectors.values import MISSING, canonical_text, finite_number

#: Longer text is cut to this. It is one more than a category may have, so that what was cut is still seen to be too long for one.
MAX_TEXT = 257

Kept = float | int | str | bool | None

_content = msgspec.msgpack.Encoder(order="deterministic").encode


def bottom_k(rows: Iterable[SampleRow], k: int) -> list[SampleRow]:
    """Return the k rows of least (place, event id), each event once. A union of samples gives the sample of the union."""
    best: dict[tuple[int, str], SampleRow] = {}
    for row in rows:
        known = best.setdefault((row.place, row.event_id), row)
        # An id that came twice with different content: the lesser content, whatever the order.
        if known is not row and _content(row) < _content(known):
            best[row.place, row.event_id] = row
    return [best[key] for key in sorted(best)[:k]]


def kept_features(features: Mapping[str, object], keep: Mapping[str, str], secret: bytes = b"") -> dict[str, Kept]:
    """Return the features that samples and outcomes may keep: as they are, hashed with a key, or not at all; ``*`` names the rule for the rest.

    A hash is 16 hex digits of BLAKE2b over the canonical text: 41 and 41.0 are one person. Without a ``secret`` it hides nothing that can be guessed.

    >>> kept_features({"age": 41, "name": "Ada", "zip": None}, {"name": "drop"})
    {'age': 41, 'zip': None}
    """
    if not keep:
        return {name: scalar(value) for name, value in features.items() if value is not MISSING}
    default = keep.get("*", "keep")
    rules = ((name, value, keep.get(name, default)) for name, value in features.items() if value is not MISSING)
    return {name: _pseudonym(value, secret) if rule == "hash" else scalar(value) for name, value, rule in rules if rule != "drop"}


def scalar(value: object) -> Kept:
    """Return a value that a sample can hold: a finite number, a short text, a truth value, else None."""
    kind = type(value)
    if kind is float:
        return value if value - value == 0.0 else None  # type: ignore[operator,return-value]  # mypy does not know it for a float
    if kind is str:
        return value[:MAX_TEXT]  # type: ignore[index,no-any-return]  # nor for a text
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return value
    return finite_number(value)


def _pseudonym(value: object, secret: bytes) -> str | None:
    text = canonical_text(value)
    return None if text is None else blake2b(text.encode("utf-8", "surrogatepass"), key=secret[:64], digest_size=8).hexdigest()
