"""What a sequential detector reads of a closed pane: a short series that is a function of the pane alone.

Of numbers: the pane's mean of z, or of z squared; or z of each row of its sample, in the order of (event time, place). The sample keeps the least
places by hash, so it is capped whatever the traffic. Of errors: the pane knows how many of its outcomes were wrong, not in which order. While nothing
drifts every order is as likely as any other, so a draw without replacement, seeded by the pane's key, stands for it; capped too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import CategoricalColumn, NumericColumn
from driftline.contracts.sequential import Series
from driftline.contracts.summaries import SampleRow
from driftline.detectors.binning import Z2_SCALE, Z_SCALE, numbers_of, standardised
from driftline.detectors.layout import Layout
from driftline.detectors.pane import Pane
from driftline.detectors.sampled import sampled_columns

#: Errors of one pane that a detector takes at the most.
MOST_ERRORS = 256
_MOST_COUNTED = 100_000_000
#: The column of outcomes that tells errors of classes, and its two values.
ERROR, RIGHT, WRONG = "error", "0", "1"


def values_of(pane: Pane, layout: Layout, column: str, series: Series) -> list[float]:
    """Return the values that a pane adds to a numeric column's series, in standard deviations of the reference; none for a column of another kind."""
    chosen = next((c for c in layout.columns if c.name == column), None)
    if not isinstance(chosen, NumericColumn):
        return []
    if series in ("rows", "row_squares"):
        z = rows_of(pane.sample, chosen)
        return [value * value for value in z] if series == "row_squares" else z
    slots = layout.slice_of(column).start + np.arange(len(chosen.edges) + 1)
    n, place = int(pane.counts[slots].sum()), layout.numeric.index(column)
    if n <= 0:
        return []
    if series == "means":
        return [float(pane.sums[2 * place]) / Z_SCALE / n]
    return [float(pane.sums[2 * place + 1]) / Z2_SCALE / n]


def rows_of(rows: Sequence[SampleRow], column: NumericColumn) -> list[float]:
    """Return z of each sampled row that has a number, by (event time, place)."""
    ordered = sorted(rows, key=lambda row: (row.event_time, row.place, row.event_id))
    numbers, kinds = numbers_of(sampled_columns(ordered, (column,))[column.name])
    z, _ = standardised(numbers[None], kinds[None], np.array([column.center]), np.array([column.scale]))
    return [float(value) for value in z[0][kinds == 0] / Z_SCALE]


def errors_of(pane: Pane, layout: Layout, seed: str) -> list[float]:
    """Return 1 for an error and 0 for none, for the outcomes of a pane; none where the outcomes have no errors of classes (a regression)."""
    column = next((c for c in layout.columns if c.name == ERROR), None)
    if not isinstance(column, CategoricalColumn):
        return []
    start = layout.offsets[ERROR]
    counted = {value: max(int(pane.counts[start + slot]), 0) for slot, value in enumerate(column.values)}
    # Of a reference without errors "1" is a value it never had; nothing but it can be unseen here.
    unseen = max(int(pane.counts[start + len(column.values) + 1]), 0)
    wrong, right = counted.get(WRONG, unseen), counted.get(RIGHT, unseen if WRONG in counted else 0)
    if wrong + right > _MOST_COUNTED:  # more than NumPy draws from
        wrong, right = (_MOST_COUNTED * part // (wrong + right) for part in (wrong, right))
    n = min(wrong + right, MOST_ERRORS)
    if n == 0:
        return []
    rng = np.random.default_rng(sample_hash(seed))
    drawn = np.zeros(n)
    drawn[: int(rng.hypergeometric(wrong, right, n)) if n < wrong + right else wrong] = 1.0
    rng.shuffle(drawn)
    return [float(value) for value in drawn]
