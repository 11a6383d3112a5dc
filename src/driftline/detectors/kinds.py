"""What kind of column a feature's values make, where nobody says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import UNSET

from driftline.contracts.reference import CategoricalColumn, GridColumn, NumericColumn, Reference
from driftline.contracts.settings import FeatureKind
from driftline.contracts.times import DAY_MS
from driftline.detectors.rows import Values
from driftline.detectors.values import MISSING
from driftline.detectors.views import moment_of

# A poison string among thousands of numbers must not turn a number into a category.
_SHARE = 0.95
# Values that hardly repeat, and have words: prose. A key hardly repeats either, but has none: it stays a category, whose values are mostly unseen.
_PROSE_DISTINCT, _PROSE_SPACED = 0.5, 0.5
# A date that is the same for all rows, or for a day, says which model or which batch: a category. Its age would grow by itself.
_LEAST_MOMENTS = 20
# Epochs look like any other large numbers: these have to be points of time that an event may well speak of.
_PAST, _AHEAD = 20 * 365 * DAY_MS, 366 * DAY_MS

Times = npt.NDArray[np.int64]

_KIND_OF_VIEW: dict[str, FeatureKind] = {"length": "text", "age": "timestamp", "hour": "timestamp", "integer": "integer", "boolean": "boolean"}


def kind_of(values: Values, times: Times | None = None) -> FeatureKind:
    """Return numeric where at least 95 % of what is not null are numbers (a truth value is none), boolean where all are truth values, timestamp where
    all are points in time, text for prose, categorical else. ``times`` are those of the events (ms): without them no number is an epoch.

    >>> kind_of([1, 2.5, None]), kind_of([True, None, False]), kind_of(["a", 1]), kind_of([None])
    ('numeric', 'boolean', 'categorical', 'categorical')
    >>> kind_of([f"2026-11-{day:02}T08:00:00Z" for day in range(1, 30)]), kind_of([f"good value, {i} of 9" for i in range(9)])
    ('timestamp', 'text')
    """
    if isinstance(values, np.ndarray) and np.issubdtype(values.dtype, np.number):
        return "timestamp" if times is not None and _are_epochs(values[np.isfinite(values)], times[np.isfinite(values)]) else "numeric"
    places = [i for i, value in enumerate(values) if value is not None and value is not MISSING]
    present = [values[i] for i in places]
    if not present:
        return "categorical"
    numbers = sum(isinstance(value, int | float) and not isinstance(value, bool) for value in present)
    if numbers >= _SHARE * len(present):
        return "timestamp" if numbers == len(present) and times is not None and _are_epochs(_floats(present), times[places]) else "numeric"
    return "boolean" if all(isinstance(value, bool) for value in present) else _of_texts(present)


def _of_texts(present: list[object]) -> FeatureKind:
    texts = [value for value in present if isinstance(value, str)]
    distinct = set(texts)
    if len(distinct) >= _LEAST_MOMENTS and len(texts) == len(present) and all(moment_of(text) is not None for text in distinct):
        return "timestamp"
    spaced = sum(" " in text.strip() for text in texts)
    many = len(distinct) >= max(2, _PROSE_DISTINCT * len(texts)) and len(texts) >= _SHARE * len(present)
    return "text" if many and spaced >= _PROSE_SPACED * len(texts) else "categorical"


def kinds_in(reference: Reference) -> dict[str, FeatureKind]:
    """Return the kind of each feature that a reference watches."""
    return {c.feature: _kind(c) for c in reference.columns if c.role == "feature" and not isinstance(c, GridColumn)}


def _kind(column: NumericColumn | CategoricalColumn) -> FeatureKind:
    kind: FeatureKind = "categorical" if isinstance(column, CategoricalColumn) else "numeric"
    return kind if column.view is UNSET else _KIND_OF_VIEW.get(column.view, kind)


def _floats(numbers: Sequence[object]) -> npt.NDArray[np.float64]:
    try:
        return np.array(numbers, np.float64)
    except OverflowError:
        return np.array([np.inf])


def _are_epochs(numbers: npt.NDArray[np.float64], times: Times) -> bool:
    """Say whether all numbers are epochs of about the time of their events, whole and not few."""
    if len(numbers) != len(times) or not np.isfinite(numbers).all() or (numbers != np.rint(numbers)).any() or (numbers < 1e8).any():
        return False
    distinct = np.unique(numbers)
    if len(distinct) < _LEAST_MOMENTS or any(moment_of(number) is None for number in distinct[[0, -1]].tolist()):
        return False
    moments = np.array([moment_of(number) or 0 for number in numbers.tolist()])
    return bool(((moments > times - _PAST) & (moments < times + _AHEAD)).all())
