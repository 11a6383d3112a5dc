"""Hostile JSON values told apart: what is a number, what is a category, what is a label."""

from __future__ import annotations

from driftline.contracts.json_values import MISSING
from driftline.contracts.scalars import canonical_text, finite_number

__all__ = ["MISSING", "binary_label", "canonical_text", "finite_number"]


def binary_label(value: object) -> int | None:
    """Return 1 or 0 for what says so as a truth value, a number or a text.

    >>> [binary_label(v) for v in (True, 0, 1.0, "1", "false", "yes", 2)]
    [1, 0, 1, 1, 0, None, None]
    """
    if isinstance(value, str):
        return {"1": 1, "0": 0, "true": 1, "false": 0}.get(value.lower())
    number = finite_number(value)
    return int(number) if number in (0.0, 1.0) else None
