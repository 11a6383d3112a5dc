"""From events to what a model is fed: one row an event, one column a feature, in the order the model learned them.

Columns are known to the model by place, so a scoring service needs neither pandas nor Driftline's types: a list of
lists will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from driftline.detectors.values import canonical_text, finite_number

Matrix = npt.NDArray[np.object_]
#: Feature to whether it is a category; the order is the model's.
Columns = Mapping[str, bool]


def rows_to_matrix(rows: Sequence[Mapping[str, Any]], columns: Columns) -> Matrix:
    """Return an object array of shape ``(len(rows), len(columns))``: floats and texts, None where the event has no
    usable value.

    An event is hostile until decoded, and a model must neither train nor score on junk: text where a number is due,
    NaN, an infinity or a list count as missing; a number where a category is due is its canonical text.

    >>> rows = [{"hour": 5, "country": "FR"}, {"hour": "five", "country": 9.0}]
    >>> rows_to_matrix(rows, {"country": True, "hour": False}).tolist()
    [['FR', 5.0], ['9', None]]
    """
    matrix: Matrix = np.empty((len(rows), len(columns)), dtype=object)
    for place, (name, categorical) in enumerate(columns.items()):
        read: Callable[[object], float | str | None] = _text if categorical else _number
        matrix[:, place] = [read(row.get(name)) for row in rows]
    return matrix


def _number(value: object) -> float | None:
    return finite_number(plain(value))


def _text(value: object) -> str | None:
    return canonical_text(plain(value))


def plain(value: object) -> object:
    """Return a value as JSON would bring it: a scoring service may hold numpy's scalars.

    >>> plain(np.int64(5)), plain("FR")
    (5, 'FR')
    """
    return value.item() if isinstance(value, np.generic) else value
