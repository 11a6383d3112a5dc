"""Raw values of a reference to a column: which bins, which categories, and how many rows in each."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import numpy.typing as npt

from driftline.contracts.reference import CategoricalColumn, NumericColumn, Role
from driftline.detectors.binning import Ints, numbers_of, slots_of
from driftline.detectors.moments import Floats
from driftline.detectors.rows import Held, Values
from driftline.detectors.values import MISSING, binary_label, canonical_text

#: Known values beside the frequent ones; and the longest text that is kept as one. What is beyond counts as unseen,
#: in the reference too.
MAX_OTHER_VALUES = 2000
MAX_TEXT = 256

_TIME_BLOCKS = 8
# No edge lies beyond: there has to be a float after the last one.
_GREATEST = 1.7e308
# Beyond these quantiles values are pulled in before mean and sd are taken: one 1e300 would make all others equal.
_TRIM = 0.001


def numeric_column(name: str, role: Role, values: Held, bins: int, least_scale: float = 0.0) -> tuple[NumericColumn, Ints]:
    """Return the column and each row's slot: quantile bins, and a bin of its own for each value that would fill one.

    The scale is at least ``least_scale``: sums clip at 1,000 scales, and what is told from them must not be clipped.
    """
    numbers, kind = numbers_of(values)
    finite = numbers[kind == 0]
    center, scale = _standard(np.sort(finite))  # sums of floats depend on their order
    scale = max(scale, least_scale)
    bare = NumericColumn(name=name, role=role, edges=edges_of(finite, bins), center=center, scale=scale, counts=())
    slots = slots_of(bare, values)
    counts = tuple(np.bincount(slots, minlength=bare.slots).tolist())
    return NumericColumn(name=name, role=role, edges=bare.edges, center=center, scale=scale, counts=counts), slots


def edges_of(finite: Floats, bins: int) -> tuple[float, ...]:
    """Return strictly increasing finite edges: quantiles, each value that fills a bin alone between two edges of its
    own.

    >>> [round(edge, 6) for edge in edges_of(np.array([0.0, 0.0, 0.0, 1.0, 2.0, 3.0]), 2)]
    [0.0, 0.0, 3.0]
    >>> [round(edge, 6) for edge in edges_of(np.array([5.0, 5.0]), 64)]
    [5.0, 5.0]
    """
    if not len(finite):
        return (0.0, 1.0)
    ordered = np.sort(finite) + 0.0  # + 0.0: minus zero is zero
    distinct = np.unique(ordered)
    with np.errstate(over="ignore", under="ignore"):
        if len(distinct) <= bins:
            edges = np.append(distinct, np.nextafter(distinct[-1], np.inf))
        else:
            rank = np.ceil(np.arange(bins + 1) * len(ordered) / bins).astype(np.int64) - 1
            cuts, times = np.unique(ordered[np.maximum(rank, 0)], return_counts=True)
            edges = np.unique(np.concatenate([cuts, np.nextafter(cuts[times > 1], np.inf)]))
        edges = edges[np.abs(edges) < _GREATEST]
        if len(edges) < 2:
            edges = np.append(edges, np.nextafter(edges[0], np.inf)) if len(edges) else np.array([0.0, 1.0])
    return tuple(edges.tolist())


def _standard(finite: Floats) -> tuple[float, float]:
    """Mean and sd of the trimmed values, without overflow; a constant has its own size as scale."""
    if not len(finite):
        return 0.0, 1.0
    low, high = np.quantile(finite, [_TRIM, 1 - _TRIM], method="inverted_cdf")
    size = max(abs(float(low)), abs(float(high))) or 1.0
    with np.errstate(under="ignore", over="ignore"):
        unit = np.clip(finite, low, high) / size
        center, scale = float(unit.mean() * size), float(unit.std() * size)
    # Rounding gives a constant an sd of some 1e-17 of its size.
    if scale <= 1e-12 * abs(center) or scale < 1e-300:
        scale = abs(center) if abs(center) > 1e-300 else 1.0
    return center, scale


def categorical_column(name: str, role: Role, values: Values, max_values: int, times: Ints) -> tuple[CategoricalColumn, Ints]:
    """Return the column and each row's slot, as rows would meet it that the reference has not seen.

    A row whose value occurs in one eighth of the time only counts as unseen: without that eighth it would have been
    (Good and Turing's estimate with blocks in place of rows, since ids and sessions come in clusters). So a column of
    ids has many unseen in its reference and is no drift later.
    """
    texts = [_text(value) for value in values]
    tally = Counter(text for text in texts if text is not None)
    ranked = sorted(tally, key=lambda text: (-tally[text], text))
    known, others = tuple(ranked[:max_values]), tuple(ranked[max_values : max_values + MAX_OTHER_VALUES])
    bare = CategoricalColumn(name=name, role=role, values=known, other_values=others, counts=())
    slots = slots_of(bare, values)
    unseen = len(known) + 1
    lonely = _lonely(texts, times)
    slots = np.where(lonely & (slots < unseen), unseen, slots)
    counts = tuple(np.bincount(slots, minlength=bare.slots).tolist())
    distinct = len(tally) if len(tally) > max_values else msgspec.UNSET
    return CategoricalColumn(name=name, role=role, values=known, other_values=others, counts=counts, distinct=distinct), slots


def boolean_column(name: str, role: Role, values: Values) -> tuple[CategoricalColumn, Ints]:
    """Return the column of what is true or false and each row's slot; both values are known, were one of them never seen."""
    labels = [binary_label(value) for value in values]
    known = ("1", "0") if labels.count(1) > labels.count(0) else ("0", "1")
    bare = CategoricalColumn(name=name, role=role, values=known, counts=(), view="boolean")
    slots = slots_of(bare, values)
    return msgspec.structs.replace(bare, counts=tuple(np.bincount(slots, minlength=bare.slots).tolist())), slots


def _text(value: object) -> str | None:
    if value is None or value is MISSING:
        return None
    text = value if isinstance(value, str) else canonical_text(value)
    return text if text is not None and len(text) <= MAX_TEXT else None


def _lonely(texts: list[str | None], times: Ints) -> npt.NDArray[np.bool_]:
    """Whether each row's value occurs in a single block of time only."""
    span = int(times.max() - times.min()) if len(times) else 0
    place = (times - times.min()) * _TIME_BLOCKS // span if span > 0 else np.arange(len(times))
    block = (np.minimum(place, _TIME_BLOCKS - 1) if span > 0 else place).tolist()
    first: dict[str, int] = {}
    spread: set[str] = set()
    for text, where in zip(texts, block, strict=True):
        if text is not None and first.setdefault(text, where) != where:
            spread.add(text)
    return np.array([text is not None and text not in spread for text in texts], dtype=np.bool_)
