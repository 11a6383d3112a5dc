"""What rows look like while nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter

from benchmarks.detection.streams import Draw, Floats, World

#: Places in which a slow path is drawn, in hours.
_STEP = 0.1


def iid(columns: int = 20) -> Draw:
    """Independent normal rows."""
    return lambda n, rng: rng.standard_normal((n, columns))


def autoregressive(rho: float, columns: int = 20, *, degrees: float | None = None) -> Draw:
    """AR(1) columns of unit variance, driven by normal noise or by Student's t of so many degrees of freedom."""

    def draw(n: int, rng: np.random.Generator) -> Floats:
        warm = int(20 / (1 - rho))
        shape = (n + warm, columns)
        noise = rng.standard_normal(shape) if degrees is None else rng.standard_t(degrees, shape) / np.sqrt(degrees / (degrees - 2))
        series: Floats = lfilter([np.sqrt(1 - rho**2)], [1, -rho], noise, axis=0)[warm:]
        return series

    return draw


def correlated(rho: float, columns: int = 20) -> Draw:
    """Normal rows whose columns all share a part."""
    return lambda n, rng: np.sqrt(rho) * rng.standard_normal((n, 1)) + np.sqrt(1 - rho) * rng.standard_normal((n, columns))


def heavy(columns: int = 20) -> Draw:
    """Student's t with two degrees of freedom: no variance."""
    return lambda n, rng: rng.standard_t(2.0, (n, columns))


def skewed(columns: int = 20) -> Draw:
    """Lognormal."""
    return lambda n, rng: np.exp(rng.standard_normal((n, columns)))


def counted(columns: int = 20) -> Draw:
    """Poisson counts of mean 2."""
    return lambda n, rng: rng.poisson(2.0, (n, columns)).astype(np.float64)


def missing(share: float, columns: int = 20) -> Draw:
    """Normal values of which a share is missing."""

    def draw(n: int, rng: np.random.Generator) -> Floats:
        values = rng.standard_normal((n, columns))
        values[rng.uniform(size=values.shape) < share] = np.nan
        return values

    return draw


def categories(shares: Floats, columns: int = 20) -> Draw:
    """Places of values of the given shares."""
    return lambda n, rng: rng.choice(len(shares), (n, columns), p=shares).astype(np.float64)


def zipf(values: int) -> Floats:
    """Return shares that fall with the rank."""
    weights: Floats = 1 / np.arange(1, values + 1)
    shares: Floats = weights / weights.sum()
    return shares


def residuals(degrees: float | None = None) -> Draw:
    """One column: what a regression is off by, of unit variance; Student's t of so many degrees of freedom, or normal."""
    if degrees is None:
        return iid(1)
    return lambda n, rng: rng.standard_t(degrees, (n, 1)) / np.sqrt(degrees / (degrees - 2))


def errors(share: float) -> Draw:
    """One column: 1 where the model erred."""
    return lambda n, rng: (rng.uniform(size=(n, 1)) < share).astype(np.float64)


def regimes(tau_h: float, sd: float, columns: int = 5, *, daily: float = 0.0, weekend: float = 0.0) -> World:
    """Ornstein-Uhlenbeck regimes of time constant ``tau_h`` and size ``sd``, a daily sine of amplitude ``daily``, and a step at weekends."""

    def world(hours: float, rng: np.random.Generator) -> Callable[[Floats, np.random.Generator], Floats]:
        places, warm = int(hours / _STEP), int(20 * tau_h / _STEP)
        a = np.exp(-_STEP / tau_h)
        path = lfilter([sd * np.sqrt(1 - a * a)], [1, -a], rng.standard_normal((places + warm, columns)), axis=0)[warm:]

        def rows_at(at: Floats, rng: np.random.Generator) -> Floats:
            noise = np.sqrt(max(1 - sd * sd, 0.25)) * rng.standard_normal((len(at), columns))
            cycle = daily * np.sin(2 * np.pi * at / 24) + weekend * (at // 24 % 7 >= 5)
            found: Floats = noise + cycle[:, None] + path[np.minimum((at / _STEP).astype(int), places - 1)]
            return found

        return rows_at

    return world


def daylight(hour: Floats) -> Floats:
    """Return the share of events that come at an hour of the day: a twentieth at night."""
    return 0.05 + 0.95 * np.maximum(np.sin(np.pi * (hour - 6) / 12), 0)
