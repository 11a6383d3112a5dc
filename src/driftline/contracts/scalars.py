"""Plain JSON values told apart: what is a number, and the text by which a category is known."""

from __future__ import annotations


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
