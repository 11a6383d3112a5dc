"""How many different values a column of very many has: theta sketches of Apache DataSketches (Dasgupta, Lang, Rhodes and Thaler, 2016).

A sketch holds the 256 least hashes of the values it was given. Trimmed after each step it is a function of the set of those values alone, to the
byte: in any order and any split, and with whatever came twice. So a block's newer revision needs no older one taken back: its union with it is the
newer one. The standard error is 6 %, in at most 2,072 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from msgspec import UNSET

from driftline.contracts.reference import CategoricalColumn
from driftline.detectors.layout import Layout
from driftline.detectors.rows import Coded, Held, listed
from driftline.detectors.values import MISSING, canonical_text

#: Hashes that a sketch holds: two to this.
_LG_K = 8
#: Columns of a model whose different values are counted, at the most.
MOST_COLUMNS = 16


class Estimate(NamedTuple):
    """About how many different values there were, with the bounds of two standard errors."""

    value: float
    low: float
    high: float


@lru_cache(maxsize=4096)
def counted_columns(layout: Layout) -> tuple[CategoricalColumn, ...]:
    """Return the columns whose different values are counted."""
    many = [c for c in layout.columns if isinstance(c, CategoricalColumn) and c.role == "feature" and c.distinct is not UNSET]
    return tuple(many[:MOST_COLUMNS])


class Sketches:
    """A sketch for each of some columns."""

    def __init__(self) -> None:
        self._sketches: dict[str, Any] = {}

    def add(self, column: str, values: Held) -> None:
        """Note the values of a column, in any form: what is null or no category is none."""
        sketch = self._sketches.get(column)
        if sketch is None:
            sketch = self._sketches[column] = _library().update_theta_sketch(_LG_K)
        for text in _texts(values):
            sketch.update("=" + text)  # it takes no notice of an empty text

    def encoded(self) -> dict[str, bytes]:
        """Return the bytes of each sketch that is not empty; equal sets have equal bytes."""
        found = {}
        for column, sketch in sorted(self._sketches.items()):
            if not sketch.is_empty():
                sketch.trim()
                found[column] = sketch.compact(True).serialize()
        return found


def united(one: Mapping[str, bytes], other: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the union of sketches by column; ValueError for bytes that are none.

    >>> one, other, both = Sketches(), Sketches(), Sketches()
    >>> for sketches, values in ((one, range(900)), (other, range(600, 1500)), (both, range(1500))):
    ...     sketches.add("c", list(values))
    >>> united(one.encoded(), other.encoded()) == both.encoded()
    True
    """
    found = dict(one)
    for column, raw in other.items():
        if column not in found:
            found[column] = _union((raw,))
        elif found[column] != raw:
            found[column] = _union((found[column], raw))
    return dict(sorted(found.items()))


def estimate_of(raw: bytes) -> Estimate:
    """Return about how many different values a sketch was given; up to 256 the number is exact."""
    sketch = _read(raw)
    return Estimate(sketch.get_estimate(), sketch.get_lower_bound(2), sketch.get_upper_bound(2))


def _union(sketches: Iterable[bytes]) -> bytes:
    union = _library().theta_union(_LG_K)
    for raw in sketches:
        union.update(_read(raw))
    raw_union: bytes = union.get_result(True).serialize()
    return raw_union


def _read(raw: bytes) -> Any:
    try:
        return _library().compact_theta_sketch.deserialize(raw)
    except (IndexError, RuntimeError, ValueError, TypeError, MemoryError) as error:
        msg = f"not a sketch: {type(error).__name__}"
        raise ValueError(msg) from error


def _library() -> Any:
    """Return the library, loaded where a column has very many values: most models have none."""
    import datasketches

    return datasketches


def _texts(values: Held) -> set[str]:
    known = [values.values[code] for code in np.unique(values.codes).tolist()] if isinstance(values, Coded) else listed(values)
    try:
        known = set(known)  # type: ignore[assignment]  # in whatever order
    except TypeError:  # a list or an object among them
        known = [value for value in known if isinstance(value, str | int | float)]
    texts = {value if isinstance(value, str) else canonical_text(value) for value in known if value is not None and value is not MISSING}
    return {text for text in texts if text is not None}
