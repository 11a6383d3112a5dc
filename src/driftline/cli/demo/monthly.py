"""The table by month: a model that never changes, one retrained every month regardless, and the live champion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from driftline.cli.demo.flights import Flights
from driftline.cli.demo.model import champion
from driftline.cli.demo.stage import COLUMNS, scores
from driftline.retrain.matrix import rows_to_matrix

#: The rival that retrains regardless is fitted to so many months before the one it serves.
REMEMBERED_MONTHS = 2


class Figures(msgspec.Struct, frozen=True):
    """How well probabilities did on ``n`` flights that arrived."""

    n: int
    auc: float
    log_loss: float
    brier: float


class Month(msgspec.Struct, frozen=True):
    """One row of the table; ``month`` is 1 to 12, or the first of several."""

    label: str
    static: Figures
    monthly: Figures
    live: Figures


@dataclass(frozen=True, eq=False)
class Rivals:
    """What the two would have said of each flight that arrived (flights,), NaN of the others and in months that nobody asked about."""

    static: npt.NDArray[np.float64]
    monthly: npt.NDArray[np.float64]


def rivals(flights: Flights, static: Any, months: Iterable[int]) -> Rivals:
    """Let the two rivals live through the months."""
    found = Rivals(np.full(len(flights), np.nan), np.full(len(flights), np.nan))
    for month in months:
        rows = flights.in_months(month, month)
        rows = rows[flights.label[rows] >= 0]
        features = flights.rows(rows)
        found.static[rows] = scores(static, features)
        found.monthly[rows] = scores(_retrained(flights, month), features)
    return found


def by_month(flights: Flights, others: Rivals, live: npt.NDArray[np.float64], first: int, last: int) -> list[Month]:
    """Return a row for each month in which flights were scored, and one for each longer stretch: March to May, June to December, all."""
    scored = np.flatnonzero(~np.isnan(live) & (flights.label >= 0))
    names = {m: _NAMES[m - 1] for m in range(first, last + 1)}
    stretches = [(name, scored[flights.month[scored] == m]) for m, name in names.items()]
    stretches += [
        (f"{_NAMES[a - 1]}-{_NAMES[b - 1]}", scored[(flights.month[scored] >= a) & (flights.month[scored] <= b)])
        for a, b in ((3, 5), (6, 12), (3, 12))
    ]
    return [
        Month(name, *(_figures(flights.label[rows], p[rows]) for p in (others.static, others.monthly, live)))
        for name, rows in stretches
        if len(rows) and len(set(flights.label[rows].tolist())) > 1
    ]


def _retrained(flights: Flights, month: int) -> Any:
    """Return the champion's twin fitted on the outcomes of the months before; none that were still in the air when the month began."""
    begins = int(flights.event_ms[flights.in_months(month, month)].min())
    rows = flights.in_months(month - REMEMBERED_MONTHS, month - 1)
    rows = rows[(flights.label[rows] >= 0) & (flights.label_ms[rows] < begins)]
    return champion().fit(rows_to_matrix(flights.rows(rows), COLUMNS), flights.label[rows])


def _figures(label: npt.NDArray[np.int8], probability: npt.NDArray[np.float64]) -> Figures:
    return Figures(
        len(label), float(roc_auc_score(label, probability)), float(log_loss(label, probability)), float(brier_score_loss(label, probability))
    )


_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
