"""The ways of watching that are compared: ours, and the peers' rules as they are published.

A watcher gives the rows at which it spoke (an episode each) and the columns it named. After each it starts anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from river import drift
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from benchmarks.detection.streams import Floats, Ints, Run
from driftline.contracts.reference import Reference
from driftline.contracts.times import HOUR_MS
from driftline.detectors.binning import slots_of
from driftline.detectors.decider import Decider, DeciderConfig
from driftline.detectors.layout import layout_of
from driftline.detectors.reference import build_reference


@dataclass(frozen=True)
class Alarm:
    """Rows read when it spoke, and what it named."""

    row: int
    columns: tuple[str, ...]
    onset: int | None = None


#: Told when to stop: at the first alarm at or after this row (None: read all).
Until = int | None
Watch = Callable[[Run, float, Until], list[Alarm]]


def ours(run: Run, tolerance: float, until: Until) -> list[Alarm]:
    """The decider over panes, evidence anew after each alarm."""
    reference = _reference(run)
    decider = Decider(reference, DeciderConfig(run.budget_hours, tolerance))
    layout = layout_of(reference, "features")
    slots = np.stack([slots_of(column, run.live[:, i]) + layout.offsets[column.name] for i, column in enumerate(layout.columns)])
    state, alarms = decider.start(), []
    for first, last, end in _panes(run):
        counts = np.bincount(slots[:, first:last].ravel(), minlength=layout.slots)
        state = decider.step(state, "features", counts, end, run.pane_ms / HOUR_MS)
        verdict = decider.verdict(state)
        if verdict.crossed:
            named = tuple(dict.fromkeys(c.column for c in verdict.carriers if c.share >= 0.1))
            alarms.append(Alarm(last, named, verdict.onset))
            state = decider.start()
            if until is not None and last > until:
                break
    return alarms


def adwin(run: Run, delta: float, until: Until) -> list[Alarm]:
    """River's ADWIN on each column's standardised values."""
    return _each_value(run, lambda: drift.ADWIN(delta=delta), until)  # type: ignore[no-untyped-call]


def page_hinkley(run: Run, threshold: float, until: Until) -> list[Alarm]:
    """River's Page-Hinkley test on each column's standardised values."""
    return _each_value(run, lambda: drift.PageHinkley(threshold=threshold), until)  # type: ignore[no-untyped-call]


def evidently(run: Run, threshold: float, until: Until) -> list[Alarm]:
    """Evidently's default for references above 1,000 rows: chunks of 1,000 rows, Wasserstein distance over the reference's sd above .1."""
    scale = np.nanstd(run.reference, axis=0)

    def drifted(chunk: Floats) -> list[int]:
        return [
            i for i in range(chunk.shape[1])
            if wasserstein_distance(_known(run.reference[:, i]), _known(chunk[:, i])) / scale[i] > threshold
        ]  # fmt: skip

    return _chunked(run, 1000, drifted, until)


def nannyml(run: Run, sigmas: float, until: Until) -> list[Alarm]:
    """NannyML's rule, from its description: chunks of 500, Jensen-Shannon distance above mean + 3 sd of the reference's own chunks."""
    size = 500
    edges = [np.histogram_bin_edges(_known(run.reference[:, i]), "doane") for i in range(run.reference.shape[1])]

    def distances(chunk: Floats) -> Floats:
        return np.array([_jensen_shannon(run.reference[:, i], chunk[:, i], edges[i]) for i in range(chunk.shape[1])])

    own = np.array([distances(run.reference[i : i + size]) for i in range(0, len(run.reference) - size + 1, size)])
    limit = own.mean(axis=0) + sigmas * own.std(axis=0)
    return _chunked(run, size, lambda chunk: np.flatnonzero(distances(chunk) > limit).tolist(), until)


#: Name -> (watcher, the setting it is published with, settings from eager to reluctant to tune it with).
WATCHERS: dict[str, tuple[Watch, float, tuple[float, ...]]] = {
    "driftline": (ours, 0.05, ()),
    "adwin": (adwin, 0.002, (2e-3, 2e-4, 2e-5, 2e-6, 2e-8, 2e-12, 2e-20, 2e-40, 2e-80)),
    "page_hinkley": (page_hinkley, 50.0, (50, 75, 100, 150, 250, 500, 1000, 4000, 16_000)),
    "evidently": (evidently, 0.1, (0.1, 0.12, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 4.0)),
    "nannyml": (nannyml, 3.0, (3, 4, 5, 6, 8, 12, 20, 50, 200)),
}


def _reference(run: Run) -> Reference:
    columns = {f"f{i}": run.reference[:, i] for i in range(run.reference.shape[1])}
    return build_reference(
        model="made", version="1", task="regression", effective_from=0, origin="built", times=run.reference_times, features=columns
    )  # fmt: skip


def _panes(run: Run) -> Iterator[tuple[int, int, int]]:
    place: Ints = run.times // run.pane_ms
    cuts = [0, *(np.flatnonzero(np.diff(place)) + 1).tolist(), len(place)]
    for first, last in pairwise(cuts):
        yield first, last, int(place[first] + 1) * run.pane_ms


def _each_value(run: Run, new: Callable[[], object], until: Until) -> list[Alarm]:
    center, scale = np.nanmean(run.reference, axis=0), np.nanstd(run.reference, axis=0)
    found: list[Alarm] = []
    for i in range(run.live.shape[1]):
        detector: object = new()
        for row, z in enumerate(((run.live[:, i] - center[i]) / scale[i]).tolist()):
            if math.isnan(z):  # one would silence it for good
                continue
            detector.update(z)  # type: ignore[attr-defined]
            if detector.drift_detected:  # type: ignore[attr-defined]
                found.append(Alarm(row + 1, (f"f{i}",)))
                detector = new()
                if until is not None and row >= until:
                    break
    return sorted(found, key=lambda alarm: alarm.row)


def _chunked(run: Run, size: int, drifted: Callable[[Floats], list[int]], until: Until) -> list[Alarm]:
    found = []
    for last in range(size, len(run.live) + 1, size):
        columns = drifted(run.live[last - size : last])
        if columns:
            found.append(Alarm(last, tuple(f"f{i}" for i in columns)))
            if until is not None and last > until:
                break
    return found


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _jensen_shannon(reference: Floats, chunk: Floats, edges: Floats) -> float:
    inside = [np.clip(_known(side), edges[0], edges[-1]) for side in (reference, chunk)]
    p, q = (np.histogram(side, edges)[0] / max(len(side), 1) for side in inside)
    return float(jensenshannon(p, q, base=2))
