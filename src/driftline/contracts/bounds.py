"""What a message may hold if a database, a log and a program are to take it: numbers of 64 bits, text without NUL, names of a bounded length."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

#: Longer text is no sentence of ours.
MAX_TEXT: Final = 1 << 16
MAX_NAME: Final = 256
GREATEST_INT: Final = (1 << 63) - 1

#: A whole number that fits 64 bits, of either sign or not below zero; a name. A decoder refuses what lies outside.
Whole = Annotated[int, msgspec.Meta(ge=-GREATEST_INT - 1, le=GREATEST_INT)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=GREATEST_INT)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]


def out_of_bounds(value: object, place: str = "") -> str | None:
    """Say what in a decoded message lies outside the bounds, None if nothing does. The message is as deep as its type, no more.

    >>> out_of_bounds({"at": 1 << 63})
    'at: a whole number of more than 64 bits'
    """
    if isinstance(value, str):
        if "\x00" in value:
            return f"{place}: text with NUL"
        return f"{place}: text of {len(value)} characters, more than {MAX_TEXT}" if len(value) > MAX_TEXT else None
    if isinstance(value, int):
        return None if -GREATEST_INT - 1 <= value <= GREATEST_INT else f"{place}: a whole number of more than 64 bits"
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return next((flaw for key, one in value.items() if (flaw := out_of_bounds(key, place) or out_of_bounds(one, str(key)))), None)
    if isinstance(value, list | tuple):
        return next((flaw for one in value if (flaw := out_of_bounds(one, place))), None)
    return None
