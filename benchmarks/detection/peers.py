"""River's detectors, each value by each value, as its documentation has them: on standardised columns, on indicators of categories, on errors.

With ``squares`` each standardised column is watched twice, the second time squared, which shows the spread; clipped as the product clips it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from river import drift
from river.drift import binary

from benchmarks.detection.streams import Floats, Run
from benchmarks.detection.watching import Alarm, Until, Watch, Watcher
from driftline.detectors.sequential.detector import CLIP

# River has no types.
_New = Callable[[float], Any]


def on_values(new: _New, *, squares: bool = False) -> Watch:
    """Watch each column's standardised values, of categories one indicator for each value the reference has; errors as they are."""

    def watch(run: Run, setting: float, until: Until) -> list[Alarm]:
        found: list[Alarm] = []
        for i in range(run.live.shape[1]):
            for series in _series(run, i, squares=squares):
                found += _flags(series, i, lambda: new(setting), until)
        return sorted(found, key=lambda alarm: alarm.row)

    return watch


def on_errors(new: _New, *, right_is_one: bool = False) -> Watch:
    """Watch the error stream, 1 where the model erred (or where it was right)."""

    def watch(run: Run, setting: float, until: Until) -> list[Alarm]:
        wrong = run.live[:, 0] > 0
        return _flags(~wrong if right_is_one else wrong, 0, lambda: new(setting), until)

    return watch


def _kswin(alpha: float) -> Any:
    return drift.KSWIN(alpha=alpha, seed=1)


_SMALL = (0.1, 2e-3, 2e-4, 2e-5, 2e-7, 2e-12, 2e-30, 2e-80)
_HOEFFDING = (0.2, 0.05, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-12, 1e-20, 1e-40)

RIVER = (
    Watcher("adwin", on_values(lambda delta: drift.ADWIN(delta=delta)), 2e-3, _SMALL),  # type: ignore[no-untyped-call]
    Watcher("adwin_squares", on_values(lambda delta: drift.ADWIN(delta=delta), squares=True), 2e-3, _SMALL, ("columns", "one column", "losses")),  # type: ignore[no-untyped-call]
    Watcher(
        "page_hinkley", on_values(lambda threshold: drift.PageHinkley(threshold=threshold)), 50.0,
        (25, 50, 100, 200, 400, 800, 2000, 10_000),
    ),
    Watcher("kswin", on_values(_kswin), 5e-3, (5e-3, 1e-4, 1e-6, 1e-8, 1e-12), ("one column",)),
    Watcher("ddm", on_errors(lambda sds: binary.DDM(drift_threshold=sds)), 3.0, (2.1, 2.5, 3, 3.5, 4, 5, 6, 8), ("errors",)),
    Watcher("eddm", on_errors(lambda beta: binary.EDDM(alpha=0.95, beta=beta)), 0.9, (0.9, 0.8, 0.7, 0.5, 0.3, 0.1), ("errors",)),
    Watcher("hddm_a", on_errors(lambda d: binary.HDDMA(drift_confidence=d)), 1e-3, _HOEFFDING, ("errors",)),  # type: ignore[no-untyped-call]
    Watcher("hddm_w", on_errors(lambda d: binary.HDDMW(drift_confidence=d)), 1e-3, _HOEFFDING, ("errors",)),  # type: ignore[no-untyped-call]
    Watcher(
        "fhddm", on_errors(lambda d: binary.FHDDM(confidence_level=d), right_is_one=True), 1e-6,
        (0.05, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-12, 1e-20, 1e-40), ("errors",),
    ),
)  # fmt: skip


def _series(run: Run, i: int, *, squares: bool) -> list[Floats]:
    if run.group == "errors":
        return [run.live[:, 0]]
    reference, live = run.reference[:, i], run.live[:, i]
    if i not in run.categories:
        z = (live - np.nanmean(reference)) / np.nanstd(reference)
        return [z, np.clip(z, -CLIP, CLIP) ** 2 - 1] if squares else [z]
    shares = {value: float(np.mean(reference == value)) for value in np.unique(reference[~np.isnan(reference)]).tolist()}
    return [((live == value) - share) / math.sqrt(share * (1 - share)) for value, share in shares.items() if 0 < share < 1]


def _flags(series: Any, column: int, new: Callable[[], Any], until: Until) -> list[Alarm]:
    found: list[Alarm] = []
    detector = new()
    for row, value in enumerate(series.tolist(), start=1):
        if value != value:  # noqa: PLR0124 - NaN would silence it for good
            continue
        detector.update(value)
        if detector.drift_detected:
            found.append(Alarm(row, (f"f{column}",)))
            detector = new()
            if until is not None and row > until:
                break
    return found
