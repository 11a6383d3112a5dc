"""Many JSON events of one model that are written alike, as columns: with no object for an event or a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.typed_events import Shape

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Column(NamedTuple):
    """Values of many events: numbers and where they are null; or few different ``values``, of which each event has one."""

    numbers: Floats
    nulls: Bools | None
    values: tuple[object, ...] = ()
    codes: Ints | None = None

    def take(self, rows: Ints) -> Column:
        """Return the values of some events."""
        if self.codes is not None:
            return self._replace(codes=self.codes[rows])
        return Column(self.numbers[rows], None if self.nulls is None else self.nulls[rows])


@dataclass(frozen=True, eq=False)
class AlikeEvents:
    """Events of one model, row ``i`` the one that stood at ``at[i]`` among those read together (ascending).

    ``ids`` are the bytes of all ids, id ``i`` from ``id_offsets[i]`` to ``id_offsets[i + 1]``; ``times`` epoch milliseconds. Row ``i`` is of
    ``versions[version_codes[i]]``. ``features`` are those of the shape; of events that were read without one there are none.
    """

    model: str
    shape: Shape | None
    at: Ints
    ids: NDArray[np.uint8]
    id_offsets: Ints
    times: Ints
    versions: tuple[str, ...]
    version_codes: Ints
    prediction: Column | None
    score: Column | None
    features: dict[str, Column]

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.times)

    def versions_of(self, places: Ints) -> list[str]:
        """Return the different versions of events by where they stood."""
        if len(self.versions) == 1 or len(places) == len(self):
            return [*self.versions] if len(places) else []
        return [self.versions[code] for code in np.unique(self.version_codes[self.rows(places)]).tolist()]

    def event_id(self, i: int) -> str:
        """Return the id of a row."""
        return self.ids[self.id_offsets[i] : self.id_offsets[i + 1]].tobytes().decode("ascii")

    def rows(self, places: Ints) -> Ints:
        """Return the rows of events by where they stood among those read together; each of ``places`` is one of ``at``."""
        return np.searchsorted(self.at, places)
