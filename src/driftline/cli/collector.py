"""Python's garbage collector in a process that handles thousands of records a second."""

from __future__ import annotations

import gc
from typing import Final

#: New objects after which the young ones are looked through. A poll brings thousands of records, none of which is ever part of a cycle.
_YOUNG_MOST: Final = 20_000


def spare_collector() -> None:
    """Have the garbage collector leave alone what was made until here, half a million objects of the libraries, and look after a poll, not within."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MOST, 10, 10)
