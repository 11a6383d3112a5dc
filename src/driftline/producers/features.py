"""What a service has in its hands (numpy's scalars, NaN, pandas' NA) as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

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
