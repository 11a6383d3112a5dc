"""Made streams, null and drifting. Each is a function of its seed alone.

Values have unit variance while nothing is wrong. Streams counted in events have one event a second; those in time name their rate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
HOUR, SECOND = 3_600_000, 1000
START = 1_600_000_000_000


@dataclass(frozen=True, eq=False)
class Run:
    """Reference and live rows (rows, columns) with their times (ms); from row ``onset`` on the columns ``changed`` drift."""

    reference: Floats
    reference_times: Ints
    live: Floats
    times: Ints
    pane_ms: int
    budget_hours: float
    onset: int | None = None
    changed: tuple[int, ...] = ()


@dataclass(frozen=True)
class Stream:
    """A kind of stream: ``make(seed)`` draws one. ``expected`` false episodes at the budget over its live part."""

    name: str
    make: Callable[[int], Run]
    expected: float = 1.0
    drifts: bool = False
    settings: Mapping[str, float] = field(default_factory=dict)


def _each_second(n: int, start: int) -> Ints:
    return np.arange(n, dtype=np.int64) * SECOND + start


def autoregressive(n: int, columns: int, rho: float, rng: np.random.Generator) -> Floats:
    """Return AR(1) columns of unit variance."""
    noise = rng.standard_normal((n + 500, columns))
    series: Floats = lfilter([np.sqrt(1 - rho**2)], [1, -rho], noise, axis=0)[500:]
    return series


Draw = Callable[[int, int, np.random.Generator], Floats]
Change = Callable[[Floats, int, np.random.Generator], Floats]


def _in_events(
    name: str,
    draw: Draw,
    *,
    columns: int = 20,
    reference_rows: int = 20_000,
    live_rows: int = 100_000,
    pane: int = 20,
    change: Change | None = None,
    changed: tuple[int, ...] = (3,),
    onset: int = 2_000,
) -> Stream:
    """One event a second, a budget of one false episode in 100,000 events."""

    def make(seed: int) -> Run:
        rng = np.random.default_rng(seed)
        reference = draw(reference_rows, columns, rng)
        live = draw(live_rows, columns, rng)
        if change is not None:
            for column in changed:
                live[onset:, column] = change(live[onset:, column], onset, rng)
        return Run(
            reference, _each_second(reference_rows, START), live, _each_second(live_rows, START + 1000 * 24 * HOUR), pane * SECOND,
            100_000 * SECOND / HOUR, onset if change is not None else None, changed if change is not None else (),
        )  # fmt: skip

    return Stream(name, make, live_rows / 100_000, change is not None)


def _iid(n: int, columns: int, rng: np.random.Generator) -> Floats:
    return rng.standard_normal((n, columns))


def _ar(rho: float) -> Draw:
    return lambda n, columns, rng: autoregressive(n, columns, rho, rng)


def _heavy(n: int, columns: int, rng: np.random.Generator) -> Floats:
    return rng.standard_t(2.0, (n, columns))


def _skewed(n: int, columns: int, rng: np.random.Generator) -> Floats:
    return np.exp(rng.standard_normal((n, columns)))


def _counted(n: int, columns: int, rng: np.random.Generator) -> Floats:
    return rng.poisson(2.0, (n, columns)).astype(np.float64)


def _regimes(
    name: str, tau_h: float, sd: float, rate: float, *, reference_days: float = 60, live_days: float = 90, columns: int = 5,
    swing: Callable[[Floats], Floats] | None = None, rate_live: float | None = None, daily: float = 0.0,
) -> Stream:  # fmt: skip
    """Ornstein-Uhlenbeck regimes of time constant ``tau_h`` and size ``sd`` (and a daily sine of amplitude ``daily``); one in 30 days is allowed.

    ``swing`` thins the live events by the hour of their time: day and night.
    """

    def make(seed: int) -> Run:
        rng = np.random.default_rng(seed)
        step, hours = 0.1, (reference_days + live_days) * 24
        places = int(hours / step)
        warm = int(20 * tau_h / step)
        a = np.exp(-step / tau_h)
        path = lfilter([sd * np.sqrt(1 - a * a)], [1, -a], rng.standard_normal((places + warm, columns)), axis=0)[warm:]

        def part(first: float, last: float, per_hour: float) -> tuple[Floats, Ints]:
            at = np.sort(rng.uniform(first, last, int((last - first) * per_hour)))
            if swing is not None:
                at = at[rng.uniform(size=len(at)) < swing(at % 24)]
            noise = np.sqrt(max(1 - sd * sd, 0.25)) * rng.standard_normal((len(at), columns))
            wave = daily * np.sin(2 * np.pi * at / 24)[:, None]
            return noise + wave + path[np.minimum((at / step).astype(int), places - 1)], (START + at * HOUR).astype(np.int64)

        reference, reference_times = part(0, reference_days * 24, rate)
        live, times = part(reference_days * 24, hours, rate_live or rate)
        return Run(reference, reference_times, live, times, HOUR, 30 * 24)

    return Stream(name, make, live_days / 30)


def _daylight(hour: Floats) -> Floats:
    return 0.05 + 0.95 * np.maximum(np.sin(np.pi * (hour - 6) / 12), 0)


NULL = (
    _in_events("iid", _iid),
    _in_events("iid, 1 column", _iid, columns=1),
    _in_events("iid, 100 columns", _iid, columns=100, live_rows=50_000),
    _in_events("iid, reference of 2,000", _iid, reference_rows=2_000),
    _in_events("iid, panes of 1", _iid, columns=5, pane=1, live_rows=20_000),
    _in_events("iid, panes of 10,000", _iid, pane=10_000),
    _in_events("heavy tails (t, 2 degrees)", _heavy),
    _in_events("lognormal", _skewed),
    _in_events("counts (Poisson 2)", _counted),
    _in_events("AR .5", _ar(0.5)),
    _in_events("AR .9", _ar(0.9)),
    _in_events("AR .9, reference of 5,000", _ar(0.9), reference_rows=5_000),
    _regimes("regimes of 6 h, .3 sd", 6, 0.3, 60),
    _regimes("regimes of 6 h, .3 sd, rate x3", 6, 0.3, 60, rate_live=180),
    _regimes("regimes of 6 h, .3 sd, rate x10", 6, 0.3, 60, rate_live=600),
    _regimes("regimes of 6 h, .3 sd, day and night", 6, 0.3, 120, swing=_daylight),
    _regimes("regimes of 24 h, .3 sd", 24, 0.3, 60),
    _regimes("regimes of 24 h, 1 sd", 24, 1.0, 60),
    _regimes("regimes of 72 h, .5 sd", 72, 0.5, 60),
    _regimes("daily sine of 1 sd", 6, 0.0001, 60, daily=1.0),
)


def _shift(by: float) -> Change:
    return lambda values, _at, _rng: values + by


def _gradual(by: float, over: int) -> Change:
    def change(values: Floats, _at: int, rng: np.random.Generator) -> Floats:
        new = rng.uniform(size=len(values)) < np.arange(len(values)) / over
        return values + by * new

    return change


def _incremental(by: float, over: int) -> Change:
    return lambda values, _at, _rng: values + by * np.minimum(np.arange(len(values)) / over, 1)


def _recurring(by: float, every: int) -> Change:
    return lambda values, _at, _rng: values + by * (np.arange(len(values)) // every % 2 == 0)


def _stretched(by: float) -> Change:
    return lambda values, _at, _rng: values * by


def _missing(share: float) -> Change:
    return lambda values, _at, rng: np.where(rng.uniform(size=len(values)) < share, np.nan, values)


def _bimodal(by: float) -> Change:
    """Same mean, same variance, another shape."""
    return lambda values, _at, rng: (values * np.sqrt(1 - by**2)) + by * rng.choice([-1.0, 1.0], len(values))


def _drift(name: str, draw: Draw, change: Change, *, live_rows: int = 8_000, changed: tuple[int, ...] = (3,), columns: int = 20) -> Stream:
    return _in_events(name, draw, change=change, live_rows=live_rows, changed=changed, columns=columns)


ALL = tuple(range(20))
DRIFTING = (
    *(_drift(f"iid, {by:g} sd in 1 of 20", _iid, _shift(by), live_rows=22_000 if by < 0.25 else 8_000) for by in (0.1, 0.25, 0.5, 1.0, 2.0)),
    _drift("iid, .25 sd in all 20", _iid, _shift(0.25), changed=ALL),
    _drift("iid, variance x2 in 1 of 20", _iid, _stretched(float(np.sqrt(2)))),
    _drift("iid, two peaks (same mean and variance) in 1 of 20", _iid, _bimodal(0.9)),
    _drift("iid, 5 % missing in 1 of 20", _iid, _missing(0.05)),
    _drift("iid, gradual to 1 sd over 2,000", _iid, _gradual(1.0, 2_000)),
    _drift("iid, incremental to 1 sd over 2,000", _iid, _incremental(1.0, 2_000)),
    _drift("iid, recurring 1 sd every 1,000", _iid, _recurring(1.0, 1_000)),
    _drift("AR .5, 1 sd in 1 of 20", _ar(0.5), _shift(1.0)),
    _drift("AR .9, 1 sd in 1 of 20", _ar(0.9), _shift(1.0)),
)
