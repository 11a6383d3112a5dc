"""All distances of all columns of a window, with their intervals: columns of the same shape at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri

from driftline.contracts.findings import Distance, SincePrevious
from driftline.contracts.reference import Column, NumericColumn
from driftline.detectors import contingency
from driftline.detectors.bridges import binned_intervals
from driftline.detectors.distances import grouped, grouped_pair, values_of, widths_of
from driftline.detectors.divergences import grouped_intervals
from driftline.detectors.moments import Floats
from driftline.detectors.uncertainty import Interval

# As many as the caches hold: of each group some 17 nodes are in memory, of each edge 200 heights.
_GROUPED_AT_ONCE, _BINNED_AT_ONCE = 512, 128
Counts = npt.NDArray[np.int64]


def distances_of(columns: Sequence[Column], counts: Sequence[Counts]) -> list[dict[str, Distance]]:
    """Return for each column of a window, whose slot counts are given, its distances from the reference; those that are undefined are left out."""
    told: list[dict[str, Distance]] = [{} for _ in columns]
    pairs = [grouped(column, own) for column, own in zip(columns, counts, strict=True)]
    for members in _alike((len(p) for p, _ in pairs), _GROUPED_AT_ONCE):
        p, q = (np.stack([pairs[i][side] for i in members]) for side in (0, 1))
        _tell(told, members, grouped_intervals(p, q))
    numeric = [(i, c, values_of(c, counts[i]), widths_of(c)) for i, c in enumerate(columns) if isinstance(c, NumericColumn)]
    for chosen in _alike((len(width) for *_, width in numeric), _BINNED_AT_ONCE):
        p, q = (np.stack([numeric[k][2][side] for k in chosen]) for side in (0, 1))
        width: Floats = np.stack([numeric[k][3] for k in chosen])
        _tell(told, [numeric[k][0] for k in chosen], binned_intervals(p, q, width))
    return told


def since_previous_of(columns: Sequence[Column], before: Sequence[Counts], counts: Sequence[Counts]) -> list[SincePrevious | None]:
    """Return for each column how far a window is from the one before it, both given by their slot counts; None where either has no rows.

    No sample is drawn: PSI of two windows of m and n rows alike is about (1/m + 1/n) times a chi-square of as many degrees of freedom as there are
    groups in either, less one (Yurdakul, 2018).
    """
    told: list[SincePrevious | None] = [None] * len(columns)
    pairs = [grouped_pair(*each) for each in zip(columns, before, counts, strict=True)]
    for members in _alike((len(p) for p, _ in pairs), _GROUPED_AT_ONCE):
        p, q = (np.stack([pairs[i][side] for i in members]) for side in (0, 1))
        m, n = p.sum(axis=-1), q.sum(axis=-1)
        freedom = np.maximum(((p + q) > 0).sum(axis=-1) - 1, 0)
        chance = np.where(freedom > 0, chdtri(np.maximum(freedom, 1), 0.05), 0.0) * (1 / np.maximum(m, 1) + 1 / np.maximum(n, 1))
        found = zip(members, m.tolist(), contingency.psi(p, q).tolist(), chance.tolist(), contingency.jensen_shannon(p, q).tolist(), strict=True)
        for i, rows, psi, alone, distance in found:
            if isfinite(psi):
                told[i] = SincePrevious(int(rows), psi, alone, distance)
    return told


def _alike(lengths: Iterable[int], at_once: int) -> list[list[int]]:
    """Return the places of each length, so many at a time."""
    places: dict[int, list[int]] = {}
    for i, length in enumerate(lengths):
        places.setdefault(length, []).append(i)
    return [found[i : i + at_once] for found in places.values() for i in range(0, len(found), at_once)]


def _tell(told: list[dict[str, Distance]], members: Sequence[int], found: dict[str, Interval]) -> None:
    for name, own in found.items():
        parts = np.stack(own)
        known: list[bool] = np.logical_and.reduce(np.isfinite(parts[:3])).tolist()
        for i, there, own_parts in zip(members, known, parts.T.tolist(), strict=True):
            if there:
                told[i][name] = Distance(*own_parts)
