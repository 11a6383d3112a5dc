"""Hostile JSON values told apart: what is a number, what is a category, what is a label."""

from __future__ import annotations

from driftline.contracts.json_values import MISSING

__all__ = ["MISSING", "binary_label", "canonical_text", "finite_number"]


def finite_number(value: object) -> float | None:
    """Return a finite number as float, None for everything else; a truth value is 0 or 1."""
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the range of a float
        return None
    return number if number - number == 0 else None


def canonical_text(value: object) -> str | None:
    """Return the text by which a category or a class is known: ``1``, ``1.0`` and ``true`` are one. None for what can't be one.

    >>> [canonical_text(v) for v in ("FR", 1, 1.0, True, 2.5, None, float("nan"))]
    ['FR', '1', '1', '1', '2.5', None, None]
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 53:
        return str(value) if value.bit_length() < 4096 else None  # Python refuses to print far longer ones
    number = finite_number(value)
    if number is None:
        return None
    return str(int(number)) if number.is_integer() and abs(number) < 1 << 53 else repr(number)


def binary_label(value: object) -> int | None:
    """Return 1 or 0 for what says so as a truth value, a number or a text.

    >>> [binary_label(v) for v in (True, 0, 1.0, "1", "false", "yes", 2)]
    [1, 0, 1, 1, 0, None, None]
    """
    if isinstance(value, str):
        return {"1": 1, "0": 0, "true": 1, "false": 0}.get(value.lower())
    number = finite_number(value)
    return int(number) if number in (0.0, 1.0) else None
