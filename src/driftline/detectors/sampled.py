"""The rows of a sample by column, as the columns of a reference hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from driftline.contracts.reference import Column, GridColumn
from driftline.contracts.summaries import SampleRow
from driftline.detectors.rows import Held
from driftline.detectors.views import viewed


def sampled_columns(rows: Sequence[SampleRow], columns: Iterable[Column]) -> dict[str, Held]:
    """Return the values of each column, None where a row has none; a grid has none at all.

    >>> from driftline.contracts.reference import CategoricalColumn
    >>> row = SampleRow(1, "a", 0, "1", {"carrier": "UA"})
    >>> sampled_columns([row], [CategoricalColumn(name="carrier", role="feature", values=("UA",), counts=(1, 0, 0, 0, 0))])
    {'carrier': ['UA']}
    """
    times = np.array([row.event_time for row in rows], np.int64)
    values: dict[str, Held] = {}
    for column in columns:
        if isinstance(column, GridColumn):
            continue
        if column.role == "prediction":
            values[column.name] = [row.prediction for row in rows]
        elif column.role == "score":
            values[column.name] = [row.score for row in rows]
        else:
            values[column.name] = viewed(column, [row.features.get(column.feature) for row in rows], times)
    return values
