"""Rows of one model in columns: what binning reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Values = Sequence[object] | NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """``n`` rows of one model. ``places`` are the ids' sample hashes; ``quality`` holds counts for each row, such as its extra fields."""

    event_ids: Sequence[str]
    places: NDArray[np.int64]
    times: NDArray[np.int64]
    late: NDArray[np.bool_]
    versions: Sequence[str]
    features: Mapping[str, Values]
    predictions: Sequence[object]
    scores: Sequence[float | None]
    quality: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.event_ids)

    def take(self, index: NDArray[np.int64]) -> Rows:
        """Return the rows at the given places, in that order."""
        chosen = index.tolist()
        return Rows(
            event_ids=[self.event_ids[i] for i in chosen],
            places=self.places[index],
            times=self.times[index],
            late=self.late[index],
            versions=[self.versions[i] for i in chosen],
            features={name: _taken(values, index, chosen) for name, values in self.features.items()},
            predictions=[self.predictions[i] for i in chosen],
            scores=[self.scores[i] for i in chosen],
            quality={name: counts[index] for name, counts in self.quality.items()},
        )


def _taken(values: Values, index: NDArray[np.int64], chosen: list[int]) -> Values:
    return values[index] if isinstance(values, np.ndarray) else [values[i] for i in chosen]
