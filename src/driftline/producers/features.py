"""What a service has in its hands (numpy's scalars, NaN, pandas' NA) as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from driftline.contracts.errors import SettingsError
from driftline.contracts.pii import check_rules, checked_key, hidden, read_key, rule_of

_PLAIN = frozenset((float, int, str, bool, type(None)))
#: Neither is a number, and neither package is imported here.
_NO_VALUE = frozenset(("NAType", "NaTType"))


def encode_features(features: Mapping[str, object]) -> msgspec.Raw:
    """Return the JSON of a row of features; NaN, infinities and NA are null. Raises TypeError, with the field, for what is no scalar.

    >>> bytes(encode_features({"distance": 1400, "dep_delay": float("nan")}))
    b'{"distance":1400,"dep_delay":null}'
    """
    plain = {name: value if type(value) in _PLAIN and type(name) is str else _scalar(name, value) for name, value in features.items()}
    try:
        return msgspec.Raw(msgspec.json.encode(plain))
    except (UnicodeEncodeError, OverflowError):
        for name, value in plain.items():  # tell which one it was
            try:
                msgspec.json.encode({name: value})
            except (UnicodeEncodeError, OverflowError) as error:
                raise TypeError(f"the feature {name!r} can't be written as JSON: {error}") from None
        raise


def hide_features(features: Mapping[str, object], rules: Mapping[str, str], key: bytes) -> dict[str, object]:
    """Return what the rules leave of a row of features.

    >>> hide_features({"email": "a@b.c", "age": 41, "amount": 7}, {"email": "drop", "age": "bucket:10"}, b"")
    {'age': 40.0, 'amount': 7}
    """
    left: dict[str, object] = {}
    for name, value in features.items():
        rule = rule_of(rules, name)
        if rule == "keep":
            left[name] = value
        elif rule != "drop":
            left[name] = hidden(_scalar(name, value), rule, key)
    return left


def pii_rules(rules: Mapping[str, str], key: bytes | None, key_file: str | None) -> tuple[dict[str, str], bytes]:
    """Return checked rules and their key, empty where nothing is hashed. Raises SettingsError."""
    check_rules("pii", rules)
    if "hash" not in rules.values():
        return dict(rules), b""
    if key is not None:
        return dict(rules), checked_key(key, "pii_key")
    if key_file is None:
        raise SettingsError(
            "pii_key_file", None, "pii_key, or the path of a file with a key, for pii hashes features: without one they can be guessed"
        )
    return dict(rules), read_key(key_file)


def plain_scalar(name: str, value: object) -> float | int | str | bool | None:
    """Return a value as a plain scalar: those of numpy through their ``item()``, infinities as None."""
    kind = type(value)
    if kind not in _PLAIN:
        if isinstance(value, bool | int | float | str):  # a subclass, such as numpy.float64 or an enumeration of texts
            base = next(b for b in (bool, int, float, str) if isinstance(value, b))
            value = base(value) if base is not str else str.__str__(value)
        elif kind.__name__ in _NO_VALUE:
            value = None
        else:
            item = getattr(value, "item", None)
            value = item() if callable(item) and getattr(value, "ndim", 0) == 0 else value
            if type(value) not in _PLAIN:
                raise TypeError(f"{name} is of type {kind.__module__}.{kind.__qualname__}; expected a number, text, a bool or None")
    if isinstance(value, float) and value - value != 0:
        return None
    return value  # type: ignore[return-value]  # one of _PLAIN by now


def _scalar(name: object, value: object) -> float | int | str | bool | None:
    if not isinstance(name, str):
        raise TypeError(f"the name of a feature is {name!r}; expected text")
    return plain_scalar(f"the feature {name!r}", value)
