"""What goes wrong: each takes the rows from the onset on and the columns that change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.detection.streams import Change, Floats


def _by_column(change: Callable[[Floats, np.random.Generator], Floats]) -> Change:
    def changed(rows: Floats, columns: tuple[int, ...], rng: np.random.Generator) -> Floats:
        rows = rows.copy()
        for column in columns:
            rows[:, column] = change(rows[:, column], rng)
        return rows

    return changed


def shift(by: float) -> Change:
    """The mean moves at once."""
    return _by_column(lambda values, _rng: values + by)


def gradual(by: float, over: int) -> Change:
    """More and more rows are of the new kind."""
    return _by_column(lambda values, rng: values + by * (rng.uniform(size=len(values)) < np.arange(len(values)) / over))


def incremental(by: float, over: int) -> Change:
    """The mean creeps."""
    return _by_column(lambda values, _rng: values + by * np.minimum(np.arange(len(values)) / over, 1))


def recurring(by: float, every: int) -> Change:
    """The mean moves and comes back, again and again."""
    return _by_column(lambda values, _rng: values + by * (np.arange(len(values)) // every % 2 == 0))


def stretched(by: float) -> Change:
    """The spread changes."""
    return _by_column(lambda values, _rng: values * by)


def two_peaks(by: float) -> Change:
    """Same mean, same variance, another shape."""
    return _by_column(lambda values, rng: values * np.sqrt(1 - by**2) + by * rng.choice([-1.0, 1.0], len(values)))


def lost(share: float) -> Change:
    """A share of the values is missing."""
    return _by_column(lambda values, rng: np.where(rng.uniform(size=len(values)) < share, np.nan, values))


def moved(share: float, place: int) -> Change:
    """A share of the values becomes the one at ``place``; a place the reference never had is a new value."""
    return _by_column(lambda values, rng: np.where(rng.uniform(size=len(values)) < share, float(place), values))


def coupled(rho: float) -> Change:
    """The columns come to share a part; each by itself stays as it was."""

    def changed(rows: Floats, columns: tuple[int, ...], rng: np.random.Generator) -> Floats:
        rows = rows.copy()
        own = rows[:, list(columns)]
        rows[:, list(columns)] = np.sqrt(rho) * rng.standard_normal((len(rows), 1)) + np.sqrt(1 - rho) * own
        return rows

    return changed


def more_errors(before: float, after: float) -> Change:
    """The model errs more often: of the right answers, as many become wrong as it takes."""
    share = (after - before) / (1 - before)
    return _by_column(lambda values, rng: np.maximum(values, (rng.uniform(size=len(values)) < share).astype(np.float64)))
