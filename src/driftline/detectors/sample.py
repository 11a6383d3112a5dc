"""Bottom-k samples of rows: the k least places by hash of the event id. Which rows are kept depends on the rows alone, not on their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from driftline.contracts.pii import hidden, rule_of
from driftline.contracts.summaries import SampleRow
from driftline.detectors.rows import Held, Numbers, listed
from driftline.detectors.values import MISSING, finite_number

#: Longer text is cut to this. It is one more than a category may have, so that what was cut is still seen to be too long for one.
MAX_TEXT = 257
#: A row with longer names and texts altogether (in characters; a number counts as eight) is kept in part.
MAX_ROW = 16 << 10

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
    """Return the features that samples and outcomes may keep: as they are, or what the rules of ``contracts/pii.py`` leave of them.

    >>> kept_features({"age": 41, "name": "Ada", "zip": None}, {"name": "drop"})
    {'age': 41, 'zip': None}
    """
    if not keep:
        # A finite number is told here: nearly all are, and a call for each would cost as much as all else.
        return {
            name: value if type(value) is float and value - value == 0.0 else scalar(value)
            for name, value in features.items()
            if value is not MISSING
        }
    rules = ((name, value, rule_of(keep, name)) for name, value in features.items() if value is not MISSING)
    return {name: scalar(value) if rule == "keep" else hidden(value, rule, secret) for name, value, rule in rules if rule != "drop"}


def bounded(kept: dict[str, Kept]) -> dict[str, Kept]:
    """Return a row that takes no more than ``MAX_ROW``: of a larger one the features of the least names.

    >>> list(bounded({"b": "x", "a" * MAX_ROW: 1, "a": 2}))
    ['a']
    """
    if sum(len(name) + (len(value) if type(value) is str else 8) for name, value in kept.items()) <= MAX_ROW:
        return kept
    room, held = MAX_ROW, {}
    for name in sorted(kept):
        value = kept[name]
        room -= len(name) + (len(value) if isinstance(value, str) else 8)
        if room < 0:
            break
        held[name] = value
    return held


def always_fits(names: Iterable[str]) -> bool:
    """Say whether a row of features of these names takes no more than ``MAX_ROW`` whatever their values.

    >>> always_fits(["a", "b"]), always_fits(map(str, range(100)))
    (True, False)
    """
    return sum(len(name) + MAX_TEXT for name in names) <= MAX_ROW


def scalars(values: Held) -> Sequence[Any]:
    """Return ``scalar`` of each value of a column; what is missing stays so."""
    if isinstance(values, Numbers):
        return listed(values)
    return [value if value is MISSING else scalar(value) for value in listed(values)]


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
