"""Rows of one model in columns: what binning reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Numbers:
    """A column of numbers as NumPy has them: ``values`` (0 where there is none) and ``kinds``, see ``binning.numbers_of`` (None: all fine)."""

    values: NDArray[np.float64]
    kinds: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    def __getitem__(self, i: int) -> float | None:
        """Return the number of a row, None where there is none that is finite."""
        return float(self.values[i]) if self.kinds is None or not self.kinds[i] else None

    def take(self, index: NDArray[np.int64]) -> Numbers:
        """Return the rows at the given places, in that order."""
        return Numbers(self.values[index], None if self.kinds is None else self.kinds[index])


@dataclass(frozen=True)
class Coded:
    """A column of few different values: row ``i`` has the value ``values[codes[i]]``."""

    values: Sequence[object]
    codes: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.codes)

    def __getitem__(self, i: int) -> object:
        """Return the value of a row."""
        return self.values[self.codes[i]]

    def take(self, index: NDArray[np.int64]) -> Coded:
        """Return the rows at the given places, in that order."""
        return Coded(self.values, self.codes[index])


#: A column of values, one for each row, as a program has them; in an array NaN is NaN and no gap.
Values = Sequence[object] | NDArray[np.float64]
#: The same in any form that is binned.
Held = Values | Numbers | Coded


@dataclass(frozen=True)
class Rows:
    """``n`` rows of one model. ``places`` are the ids' sample hashes; ``quality`` holds counts for each row, such as its extra fields."""

    event_ids: Sequence[str]
    places: NDArray[np.int64]
    times: NDArray[np.int64]
    late: NDArray[np.bool_]
    versions: Sequence[str]
    features: Mapping[str, Held]
    predictions: Held
    scores: Held
    quality: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    #: The features of each row by itself, in place of ``features``: of a model whose columns nobody knows yet.
    fields: Sequence[Mapping[str, object]] | None = None

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
            features={name: taken(values, index) for name, values in self.features.items()},
            predictions=taken(self.predictions, index),
            scores=taken(self.scores, index),
            quality={name: counts[index] for name, counts in self.quality.items()},
            fields=None if self.fields is None else [self.fields[i] for i in chosen],
        )

    def dicts(self) -> Sequence[Mapping[str, object]]:
        """Return the features of each row."""
        if self.fields is not None:
            return self.fields
        names = list(self.features)
        columns = map(listed, self.features.values())
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)] if names else [{}] * len(self)


def listed(values: Held) -> Sequence[object]:
    """Return the values as a list; None for numbers that are not finite."""
    if isinstance(values, np.ndarray):
        return list(values.tolist())
    if isinstance(values, Coded):
        return [values.values[code] for code in values.codes.tolist()]
    if not isinstance(values, Numbers):
        return values
    found: list[object] = values.values.tolist()
    if values.kinds is not None:
        for i in np.flatnonzero(values.kinds).tolist():
            found[i] = None
    return found


def taken(values: Held, index: NDArray[np.int64]) -> Held:
    """Return the values at the given places, in that order."""
    if isinstance(values, np.ndarray):
        return values[index]
    return values.take(index) if isinstance(values, Numbers | Coded) else [values[i] for i in index.tolist()]
