"""Rows of JSON events that are written alike. No Python object for an event or a number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.alike_events import AlikeEvents, Column
from driftline.detectors.places import places_in
from driftline.detectors.rows import Coded, Held, Numbers, Rows
from driftline.streams.lazy_ids import Ids

Ints = NDArray[np.int64]


def alike_rows(events: AlikeEvents, version: str, inside: Ints, late: NDArray[np.bool_], quality: Mapping[str, Ints]) -> Rows:
    """Return the rows ``inside`` of events of the reference's own shape, all of one version."""
    n = len(inside)
    everything = n == len(events)

    def held(column: Column | None) -> Held:
        if column is None:
            return Coded([None], np.zeros(n, np.int64))
        return _held(column if everything else column.take(inside))

    return Rows(
        event_ids=Ids(events, inside),
        places=places_in(events.ids, events.id_offsets)[inside],
        times=events.times[inside],
        late=late,
        versions=[version] * n,
        features={name: held(column) for name, column in events.features.items()},
        predictions=held(events.prediction),
        scores=held(events.score),
        quality=quality,
    )


def _held(column: Column) -> Held:
    if column.codes is not None:
        return Coded(column.values, column.codes)
    return Numbers(column.numbers, None if column.nulls is None or not column.nulls.any() else column.nulls.astype(np.int8))
