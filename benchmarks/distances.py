"""``python -m benchmarks.distances``: what intervals of distances cost and hold, against the bootstrap of 100 replicates that was before.

Cost: CPU seconds of one window over many numeric columns, least of the repeats, distances only. Coverage: of windows whose distance is known, the
share whose interval holds it; of windows without any difference, the share whose interval begins at 0.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import ROOT, circumstances, write
from driftline.contracts.reference import NumericColumn
from driftline.detectors import binned
from driftline.detectors.bridges import binned_intervals
from driftline.detectors.contingency import DISTANCES
from driftline.detectors.distances import grouped, values_of, widths_of
from driftline.detectors.divergences import grouped_intervals
from driftline.detectors.moments import Floats
from driftline.detectors.uncertainty import LEVEL, Interval

Distances = Mapping[str, Callable[[Floats, Floats], Floats]]
Found = dict[str, Interval]
_REPLICATES, _REFERENCE, _LIVE = 100, (500, 20_000), (30, 300, 3_000)
_TENTHS, _ZIPF = np.full(10, 0.1), 1 / np.arange(1, 51) / np.sum(1 / np.arange(1, 51))
_TILT = np.array([0.16, 0.14, 0.12, 0.11, 0.1, 0.1, 0.09, 0.08, 0.06, 0.04])
#: Shares of groups in the reference and in the window.
GROUPS = {
    "tenths, none": (_TENTHS, _TENTHS),
    "tenths, little": (_TENTHS, 0.8 * _TENTHS + 0.2 * _TILT),
    "tenths, more": (_TENTHS, _TILT),
    "tenths, far": (_TENTHS, np.array([0.4, 0.2, 0.1, 0.1, 0.05, 0.05, 0.04, 0.03, 0.02, 0.01])),
    "50 by Zipf, none": (_ZIPF, _ZIPF),
    "50 by Zipf, turned by .3": (_ZIPF, 0.7 * _ZIPF + 0.3 * _ZIPF[::-1]),
    "two, .1, none": (np.array([0.9, 0.1]), np.array([0.9, 0.1])),
    "two, .1 to .2": (np.array([0.9, 0.1]), np.array([0.8, 0.2])),
}
#: Values in the reference and in the window, of standard normal numbers.
VALUES: dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "normal, none": (lambda x: x, lambda x: x),
    "normal, .1 sd": (lambda x: x, lambda x: x + 0.1),
    "normal, .5 sd": (lambda x: x, lambda x: x + 0.5),
    "normal, 2 sd": (lambda x: x, lambda x: x + 2),
    "normal, sd x1.3": (lambda x: x, lambda x: 1.3 * x),
    "lognormal, none": (lambda x: np.exp(1.5 * x), lambda x: np.exp(1.5 * x)),
    "lognormal, x1.3": (lambda x: np.exp(1.5 * x), lambda x: 1.3 * np.exp(1.5 * x)),
    "heavy counts, none": (lambda x: np.floor(np.exp(1.5 * x)), lambda x: np.floor(np.exp(1.5 * x))),
    "heavy counts, x1.3": (lambda x: np.floor(np.exp(1.5 * x)), lambda x: np.floor(1.3 * np.exp(1.5 * x))),
}


def bootstrap(distances: Distances, reference: Floats, live: Floats) -> Found:
    """Return what findings had before: Poisson counts in their normal form, less twice the bias, mean and sd of the replicates."""
    common = (reference + live) / np.maximum((reference + live).sum(axis=-1, keepdims=True), 1)
    noise = [np.random.default_rng((side, reference.shape[-1])).standard_normal((_REPLICATES, reference.shape[-1]))[:, None] for side in (0, 1)]

    def resampled(sides: tuple[Floats, Floats]) -> list[Floats]:
        return [np.maximum(side + np.sqrt(side) * own, 0.0) for side, own in zip(sides, noise, strict=True)]

    drawn, alike = (
        resampled(sides) for sides in ((reference, live), (common * reference.sum(axis=-1, keepdims=True), common * live.sum(axis=-1, keepdims=True)))
    )
    told = {}
    for name, distance in distances.items():
        value, samples, chance = distance(reference, live), distance(*drawn), np.quantile(distance(*alike), LEVEL, axis=0)
        middle, reach = 2 * value - samples.mean(axis=0), 1.96 * samples.std(axis=0)
        told[name] = Interval(value, np.where(value > chance, np.maximum(middle - reach, 0), 0.0), np.maximum(middle + reach, 0.0), chance)
    return told


def cost(columns: int, repeats: int) -> dict[str, float]:
    """Return the CPU seconds of a window of so many numeric columns by both ways, and their ratio."""
    rng = np.random.default_rng(0)
    made = [_column(rng.standard_normal(20_000)) for _ in range(20)]
    pairs = [(made[i % 20], _counted(made[i % 20], rng.standard_normal(500) + 0.2)) for i in range(columns)]
    by_group = [grouped(column, counts) for column, counts in pairs]
    by_bin = [(*values_of(column, counts), widths_of(column)) for column, counts in pairs]
    groups = [np.stack([pair[side] for pair in by_group]) for side in (0, 1)]
    bins = [np.stack([pair[side] for pair in by_bin]) for side in (0, 1, 2)]

    def windows(of_groups: Callable[[Floats, Floats], Found], of_bins: Callable[[Floats, Floats, Floats], Found], at_once: tuple[int, int]) -> float:
        spent = []
        for _ in range(repeats):
            begun = time.process_time()
            for i in range(0, columns, at_once[0]):
                of_groups(*(side[i : i + at_once[0]] for side in groups))
            for i in range(0, columns, at_once[1]):
                of_bins(*(side[i : i + at_once[1]] for side in bins))
            spent.append(time.process_time() - begun)
        return min(spent)

    binned_intervals(*(side[:1] for side in bins))  # draws the bridges, once
    ours, before = windows(grouped_intervals, binned_intervals, (512, 128)), windows(partial(bootstrap, DISTANCES), _by_bin, (64, 64))
    return {"columns": columns, "cpu_s": round(ours, 4), "bootstrap_cpu_s": round(before, 4), "ratio": round(before / ours, 2)}


def coverage(windows: int) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return by stream, rows (reference, window) and distance the share of intervals that hold the distance: ours, then the bootstrap's."""
    rng, told = np.random.default_rng(1), {}
    for name, (p, q) in GROUPS.items():
        for m, n in _sizes():
            sides = rng.multinomial(m, p, windows).astype(float), rng.multinomial(n, q, windows).astype(float)
            true = {d: float(of(p * m * 1e9, q * n * 1e9)) / (1e9 if d == "chi_square" else 1) for d, of in DISTANCES.items()}
            told.setdefault(name, {})[f"{m}, {n}"] = _held(true if p is not q else None, grouped_intervals(*sides), bootstrap(DISTANCES, *sides))
    for name, (before, after) in VALUES.items():
        column = _column(before(rng.standard_normal(20_000)))
        width = np.broadcast_to(widths_of(column), (windows, len(column.edges) - 1))
        p, q = (_counts(column, of(rng.standard_normal(2_000_000)))[None] for of in (before, after))
        true = {"ks": float(binned.ks(p, q)[0]), "wasserstein": float(binned.wasserstein(p, q, width[:1])[0])}
        for m, n in _sizes():
            sides = tuple(np.stack([_counts(column, of(rng.standard_normal(k))) for _ in range(windows)]) for of, k in ((before, m), (after, n)))
            there = None if name.endswith("none") else true
            told.setdefault(name, {})[f"{m}, {n}"] = _held(there, binned_intervals(*sides, width), _by_bin(*sides, width))
    return told


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distances", description=__doc__)
    parser.add_argument("--columns", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--windows", type=int, default=400, help="of each stream for the coverage; 0: cost only")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "distances.json")
    asked = parser.parse_args()
    found: dict[str, Any] = {"cost": cost(asked.columns, asked.repeats)}
    print(found["cost"])
    if asked.windows:
        found["coverage"] = coverage(asked.windows)
        for name, by_rows in found["coverage"].items():
            for rows, held in by_rows.items():
                print(f"{name:26} {rows:12}", "  ".join(f"{d} {ours:.2f} ({theirs:.2f})" for d, (ours, theirs) in held.items()))
    write(asked.out, {**found, **circumstances(sys.argv[1:], of="benchmarks.distances")})


def _held(true: Mapping[str, float] | None, ours: Found, theirs: Found) -> dict[str, list[float]]:
    def share(of: Interval, name: str) -> float:
        held = of.low == 0 if true is None else (of.low <= true[name]) & (true[name] <= of.high)
        return round(float(np.mean(held)), 4)

    return {name: [share(ours[name], name), share(theirs[name], name)] for name in theirs}


def _sizes() -> list[tuple[int, int]]:
    return [(m, n) for m in _REFERENCE for n in _LIVE]


def _by_bin(reference: Floats, live: Floats, width: Floats) -> Found:
    return bootstrap({"ks": binned.ks, "wasserstein": partial(binned.wasserstein, width=width)}, reference, live)


def _column(values: Floats) -> NumericColumn:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, 65), method="inverted_cdf"))
    bare = NumericColumn(name="x", role="feature", edges=tuple(edges.tolist()), center=float(values.mean()), scale=float(values.std()), counts=())
    counts = _counted(bare, values)
    return NumericColumn(name="x", role="feature", edges=bare.edges, center=bare.center, scale=bare.scale, counts=tuple(counts.tolist()))


def _counted(column: NumericColumn, values: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
    slots = np.searchsorted(column.edges, values, "right")
    slots[values == column.edges[-1]] = len(column.edges) - 1
    return np.bincount(slots, minlength=column.slots).astype(np.int64)


def _counts(column: NumericColumn, values: Floats) -> Floats:
    return _counted(column, values)[: len(column.edges) + 1].astype(np.float64)


if __name__ == "__main__":
    main()
