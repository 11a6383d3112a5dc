"""Rules for personal features: what of a feature may leave a service, or be kept by Driftline.

=============  =====================================================================================================
``keep``       the value as it is
``drop``       nothing
``hash``       16 hex digits of BLAKE2b over the canonical text, under a key: equal values stay equal, and drift stays visible
``bucket:10``  a number cut down to a multiple of 10, nothing of what is no number
=============  =====================================================================================================

The key ``*`` names the rule for every feature that has none of its own; without it they are kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from driftline.contracts.errors import SettingsError
from driftline.contracts.paths import parents
from driftline.contracts.scalars import canonical_text, finite_number

Scalar = float | int | str | bool | None

_ACCEPTED = "keep, drop, hash, or bucket with a width, such as bucket:10"
_LEAST_KEY = 16


def rule_of(rules: Mapping[str, str], feature: str) -> str:
    """Return the rule of a feature: its own, or that of the nearest object that it lies in.

    >>> rule_of({"*": "drop", "age": "bucket:10"}, "age"), rule_of({"*": "drop"}, "name"), rule_of({}, "name")
    ('bucket:10', 'drop', 'keep')
    >>> rule_of({"user": "drop", "user.age": "keep"}, "user.address.zip"), rule_of({"user": "drop", "user.age": "keep"}, "user.age")
    ('drop', 'keep')
    """
    own = rules.get(feature)
    if own is None and "." in feature:
        own = next((rules[parent] for parent in parents(feature) if parent in rules), None)
    return own or rules.get("*", "keep")


def hidden(value: object, rule: str, key: bytes) -> Scalar:
    """Return what ``hash`` and ``bucket`` leave of a value. Without a ``key`` a hash hides nothing that can be guessed.

    >>> hidden(41, "bucket:10", b""), hidden("Ada", "bucket:10", b""), hidden(41, "hash", b"k") == hidden(41.0, "hash", b"k")
    (40.0, None, True)
    """
    return pseudonym(value, key) if rule == "hash" else bucket(value, bucket_width(rule))


def pseudonym(value: object, key: bytes) -> str | None:
    """Return the keyed hash of a value: ``41`` and ``41.0`` are one person. None for what has no canonical text."""
    text = canonical_text(value)
    return None if text is None else blake2b(text.encode("utf-8", "surrogatepass"), key=key[:64], digest_size=8).hexdigest()


def bucket(value: object, width: float) -> float | None:
    """Return the greatest multiple of ``width`` that is not above the number; None for what is no finite number."""
    number = finite_number(value)
    if number is None or not math.isfinite(number / width):
        return None
    cut = float(math.floor(number / width)) * width
    return cut if math.isfinite(cut) else None


@lru_cache(maxsize=256)
def bucket_width(rule: str) -> float:
    """Return the width of a bucket rule, or raise ValueError for what is none."""
    word, _, text = rule.partition(":")
    width = float(text) if word == "bucket" else 0.0
    if not (math.isfinite(width) and width > 0):
        raise ValueError(f"{rule!r} is no rule; expected {_ACCEPTED}")
    return width


def check_rules(field: str, rules: Mapping[str, str]) -> None:
    """Raise SettingsError for the first rule that is none; ``field`` is where they stand.

    >>> check_rules("pii", {"age": "bucket:10", "name": "hash", "*": "keep"})
    """
    for feature, rule in rules.items():
        if rule in ("keep", "drop", "hash"):
            continue
        try:
            bucket_width(rule)
        except ValueError:
            raise SettingsError(f"{field}.{feature}", rule, _ACCEPTED) from None


@lru_cache(maxsize=8)
def read_key(path: str) -> bytes:
    """Return the key in a file; SettingsError where it can't be read, or is too short to be one."""
    try:
        key = Path(path).read_bytes().strip()
    except OSError as error:
        raise SettingsError("pii_key_file", path, f"a file that can be read ({error.strerror})") from None
    return checked_key(key, path)


def checked_key(key: bytes, shown: object) -> bytes:
    """Return the key, or raise SettingsError if it is too short to be one; ``shown`` stands for it in the message."""
    if len(key) < _LEAST_KEY:
        raise SettingsError("pii_key_file", shown, f"a file with a key of at least {_LEAST_KEY} bytes")
    return key
