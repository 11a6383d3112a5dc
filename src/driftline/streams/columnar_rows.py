"""Columns of a columnar record as the binning takes them: numbers as arrays, all else by dictionary. No Python object for a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.contracts.columnar_decoding import EventColumns
from driftline.contracts.columnar_fields import PER_UNIT, is_number, is_text
from driftline.contracts.reference import Reference
from driftline.contracts.times import DAY_MS, format_time
from driftline.detectors.places import places_in
from driftline.detectors.rows import Coded, Held, Numbers, Rows
from driftline.detectors.views import features_of

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_FINE, _NULL, _NAN, _INFINITE = range(4)
_PER_MOMENT = {**PER_UNIT, "day": (DAY_MS, 1)}
#: Years 1000 to 9999: such as ISO 8601 has with four digits.
_FIRST_MOMENT, _LAST_MOMENT = -30_610_224_000_000, 253_402_300_800_000
_GREATEST_INT = (1 << 63) - 1
#: Stands for a value of a type that no feature has (a list, a date): neither number nor category.
_WRONG: tuple[object, ...] = ()


class _Ids(Sequence[str]):
    """The ids of some rows, made into text only where one is asked for."""

    def __init__(self, events: EventColumns, index: Ints) -> None:
        self._events = events
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> _Ids: ...
    def __getitem__(self, i: int | slice) -> str | _Ids:
        return _Ids(self._events, self._index[i]) if isinstance(i, slice) else self._events.event_id(int(self._index[i]))


def columnar_rows(  # noqa: PLR0917  # as the reader has them
    events: EventColumns, index: Ints, late: NDArray[np.bool_], reference: Reference | None, quality: Mapping[str, Ints], max_features: int
) -> Rows:
    """Return the rows of ``events`` at ``index``, which meet ``reference``; while learning the ``max_features`` least names are kept."""
    n = len(index)
    numeric = features_of(reference) if reference is not None else dict.fromkeys(sorted(events.features)[:max_features], False)
    features = {
        name: held_numbers(rows_of(events.features[name], index)) if is_numeric else held(rows_of(events.features[name], index))
        for name, is_numeric in numeric.items()
        if name in events.features
    }
    counts = dict(quality)
    if reference is not None:
        missing = sum(name not in events.features for name in numeric)
        extra = sum(name not in numeric for name in events.features)
        counts |= {name: np.full(n, count, np.int64) for name, count in (("missing_fields", missing), ("extra_fields", extra)) if count}
    predictions, scores = predictions_and_scores(events, index)
    return Rows(
        event_ids=_Ids(events, index),
        places=places(events)[index],
        times=events.times[index],
        late=late,
        versions=[events.version] * n,
        features=features,
        predictions=predictions,
        scores=scores,
        quality=counts,
    )


def places(events: EventColumns) -> Ints:
    """Return the place of each row in the hash samples."""
    return places_in(events.ids, events.id_offsets)


def held_numbers(column: pa.Array) -> Held:
    """Return a column that the reference has as numeric."""
    return _numbers(column) if is_number(column.type) else held(column)


def held(column: pa.Array) -> Held:
    """Return a column by its different values, each as JSON would have it."""
    kind = column.type
    if pa.types.is_dictionary(kind) and not is_text(kind):
        if not is_number(kind.value_type) and not pa.types.is_boolean(kind.value_type):
            return _nothing_but(column)
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_null(kind):
        return Coded([None], np.zeros(len(column), np.int64))
    if is_text(kind):
        coded = column if pa.types.is_dictionary(kind) else column.dictionary_encode()
        values = coded.dictionary.to_pylist()
        return _coded([*values, None], coded.indices.cast(pa.int64()), len(values))
    if pa.types.is_boolean(kind):
        return _coded([False, True, None], column.cast(pa.int8()).cast(pa.int64()), 2)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _moments(column)
    return _distinct_numbers(column) if is_number(kind) else _nothing_but(column)


def predictions_and_scores(events: EventColumns, index: Ints) -> tuple[Held, Held]:
    """Return predictions and scores; what is not finite is null. Where there is no score, it is the probability of the predicted class."""
    n = len(index)
    nothing = Coded([None], np.zeros(n, np.int64))
    prediction = rows_of(events.prediction, index) if events.prediction is not None else None
    predictions: Held = nothing
    if prediction is not None:
        predictions = _finite(prediction) if is_number(prediction.type) else held(prediction)
    given = events.score is not None and not pa.types.is_null(events.score.type)
    scores = _finite(rows_of(events.score, index)) if given else None
    if events.probabilities is None:
        return predictions, scores if scores is not None else nothing
    values = scores.values.copy() if scores is not None else np.zeros(n)
    kinds = np.full(n, _NULL, np.int8) if scores is None else np.zeros(n, np.int8) if scores.kinds is None else scores.kinds.copy()
    lacking = np.flatnonzero(kinds)
    if len(lacking):
        found = _class_probabilities(rows_of(events.probabilities, index[lacking]), [predictions[i] for i in lacking.tolist()])
        fine = np.isfinite(found)
        values[lacking] = np.where(fine, found, 0.0)
        kinds[lacking] = np.where(fine, _FINE, _NULL)
    return predictions, Numbers(values, kinds if kinds.any() else None)


def _class_probabilities(probabilities: pa.Array, predictions: list[object]) -> Floats:
    """Return what each row has under the text of its prediction, NaN where it has nothing."""
    found = np.full(len(predictions), np.nan)
    for i, (prediction, row) in enumerate(zip(predictions, probabilities.to_pylist(), strict=True)):
        value = dict(row).get(str(prediction)) if row is not None else None
        found[i] = np.nan if value is None else float(value)
    return found


def rows_of(column: pa.Array, index: Ints) -> pa.Array:
    """Return the rows of a column at the given places; all of them as they stand."""
    return column if len(index) == len(column) else column.take(pa.array(index))


def _floats(column: pa.Array) -> Floats:
    """Return the numbers of a column, whatever where it is null."""
    if column.null_count:
        column = column.fill_null(0)
    values: Floats = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return values


def _nulls(column: pa.Array) -> NDArray[np.bool_]:
    nulls: NDArray[np.bool_] = column.is_null().to_numpy(zero_copy_only=False)
    return nulls


def _numbers(column: pa.Array) -> Numbers:
    values = _floats(column)
    fine = np.isfinite(values)
    if fine.all() and not column.null_count:
        return Numbers(values)
    kinds = np.where(fine, _FINE, np.where(np.isnan(values), _NAN, _INFINITE)).astype(np.int8)
    if column.null_count:
        kinds[_nulls(column)] = _NULL
    return Numbers(np.where(kinds == _FINE, values, 0.0), kinds)


def _finite(column: pa.Array) -> Numbers:
    """Return numbers of which those that are not finite are null, as they are read outside ``features``."""
    numbers = _numbers(column)
    if numbers.kinds is None:
        return numbers
    return Numbers(numbers.values, np.where(numbers.kinds == _FINE, _FINE, _NULL).astype(np.int8))


def _coded(values: list[object], codes: pa.Array, null: int) -> Coded:
    if codes.null_count:
        codes = codes.fill_null(null)
    return Coded(values, codes.to_numpy(zero_copy_only=False))


def _distinct_numbers(column: pa.Array) -> Coded:
    filled = column.fill_null(0) if column.null_count else column
    numbers = filled.to_numpy(zero_copy_only=False)
    if pa.types.is_floating(column.type):
        # By their bits: minus zero is not zero where a sample shows it.
        bits, codes = np.unique(numbers.astype(np.float64).view(np.int64), return_inverse=True)
        values: list[Any] = bits.view(np.float64).tolist()
    else:
        found, codes = np.unique(numbers, return_inverse=True)
        values = [value if value <= _GREATEST_INT else float(value) for value in found.tolist()]
    codes = codes.astype(np.int64)
    if column.null_count:
        codes[_nulls(column)] = len(values)
    return Coded([*values, None], codes)


def _moments(column: pa.Array) -> Coded:
    """Return points in time as the texts that JSON has for them, to the millisecond; one without a zone is UTC's."""
    days = pa.types.is_date32(column.type)
    unit = "day" if days else "ms" if pa.types.is_date64(column.type) else column.type.unit
    whole = (column.cast(pa.int32()) if days else column).cast(pa.int64())
    found, codes = np.unique(whole.fill_null(0).to_numpy(zero_copy_only=False), return_inverse=True)
    up, down = _PER_MOMENT[unit]
    told = (found >= _FIRST_MOMENT * down // up) & (found < _LAST_MOMENT * down // up)
    millis = np.where(told, found, 0) * up // down
    values: list[object] = [format_time(m, seconds=True) if fit else _WRONG for m, fit in zip(millis.tolist(), told.tolist(), strict=True)]
    codes = codes.astype(np.int64)
    codes[_nulls(column)] = len(values)
    return Coded([*values, None], codes)


def _nothing_but(column: pa.Array) -> Coded:
    """Return a column of values that are neither numbers nor texts."""
    try:
        null = _nulls(column)
    except (pa.ArrowException, NotImplementedError):
        null = np.zeros(len(column), np.bool_)
    return Coded([_WRONG, None], null.astype(np.int64))
