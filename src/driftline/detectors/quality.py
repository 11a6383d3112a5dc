"""Counts that say something of the events themselves: what values were of no use, and which shares are above what the user accepts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.reference import CATEGORICAL_EXTRAS, NUMERIC_EXTRAS, CategoricalColumn, GridColumn, NumericColumn, where_of
from driftline.contracts.settings import QualitySettings
from driftline.detectors.layout import Layout

_NAMED = 3
#: What is counted in events, and how a share of them is told.
_WORDS = {
    "late": "{share} of the events came late",
    "duplicates": "{share} of the events came again with the id of an earlier one",
    "clock_skew": "{share} of the events are dated ahead of the time at which they were appended",
    "unknown_version": "{share} of the events are of a version that nobody registered",
}
#: What is counted in fields, and how a number of them per event is told.
_FIELDS = {
    "missing_fields": "{rate:.2g} fields an event are missing",
    "extra_fields": "{rate:.2g} fields an event are not the reference's",
}


def value_counts(layout: Layout, counts: NDArray[np.int64]) -> dict[str, int]:
    """Return how many values of all features were null, NaN, infinite, of a wrong type, out of range, or of a category that the reference has not.

    >>> made = CategoricalColumn(name="c", role="feature", values=("a",), counts=(9, 0, 0, 1, 0))
    >>> value_counts(Layout.of([made]), np.array([5, 0, 2, 0, 3]))
    {'unseen': 2, 'wrong_type': 3}
    """
    total = Counter[str]()
    for column in layout.columns:
        if column.role != "feature" or isinstance(column, GridColumn) or where_of(column) is not None:
            continue
        own = counts[layout.slice_of(column.name)]
        if isinstance(column, NumericColumn):
            total["out_of_range"] += int(own[0] + own[len(column.edges)])
        else:
            total["unseen"] += int(own[len(column.values) + CATEGORICAL_EXTRAS.index("unseen")])
        extras = CATEGORICAL_EXTRAS if isinstance(column, CategoricalColumn) else NUMERIC_EXTRAS
        for name, found in zip(extras, own[-len(extras) :].tolist(), strict=True):
            if name in NUMERIC_EXTRAS:
                total[name] += found
    return {name: found for name, found in sorted(total.items()) if found}


def quality_words(n: int, late: int, quality: Mapping[str, int], limits: QualitySettings) -> str:
    """Return in words what is above its limit, nothing where all is well.

    >>> quality_words(1000, 200, {"extra_fields": 1500, "clock_skew": 2}, QualitySettings())
    "20.0% of the events came late; 1.5 fields an event are not the reference's"
    """
    if n <= 0:
        return ""
    told = []
    for name, count in {"late": late, **quality}.items():
        limit = getattr(limits, name, None)
        if limit is None or limit >= 1 or count <= limit * n:
            continue
        rate = count / n
        told.append(_WORDS[name].format(share=f"{rate:.1%}") if name in _WORDS else _FIELDS[name].format(rate=rate))
    return "; ".join(told[:_NAMED])
