"""The ids of some rows, made into text only where one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, overload

import numpy as np
from numpy.typing import NDArray


class HasIds(Protocol):
    """Events that know their ids."""

    def event_id(self, i: int) -> str:
        """Return the id of a row."""
        ...


class Ids(Sequence[str]):
    """The ids of the rows of ``events`` at ``index``."""

    def __init__(self, events: HasIds, index: NDArray[np.int64]) -> None:
        self._events = events
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> Ids: ...
    def __getitem__(self, i: int | slice) -> str | Ids:
        return Ids(self._events, self._index[i]) if isinstance(i, slice) else self._events.event_id(int(self._index[i]))
