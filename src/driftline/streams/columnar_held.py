"""Arrow columns of a columnar record as the binning takes them: numbers as arrays, all else by its different values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.contracts.columnar_fields import PER_UNIT, is_number, is_text
from driftline.contracts.times import DAY_MS, format_time
from driftline.detectors.rows import Coded, Held, Numbers

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FINE, _NULL, _NAN, _INFINITE = range(4)
#: Days since 1970 beside the units of timestamps.
_PER_MOMENT = {**PER_UNIT, "day": (DAY_MS, 1)}
#: Years 1000 to 9999: such as ISO 8601 has with four digits.
_FIRST_MOMENT, _LAST_MOMENT = -30_610_224_000_000, 253_402_300_800_000
_GREATEST_INT = (1 << 63) - 1
#: Stands for a value of a type that no feature has (a list, bytes): neither number nor category.
_WRONG: tuple[object, ...] = ()


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


def rows_of(column: pa.Array, index: Ints) -> pa.Array:
    """Return the rows of a column at the given places; all of them as they stand."""
    return column if len(index) == len(column) else column.take(pa.array(index))


def _floats(column: pa.Array) -> Floats:
    """Return the numbers of a column, whatever where it is null."""
    if column.null_count:
        column = column.fill_null(0)
    values: Floats = column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return values


def nulls_of(column: pa.Array) -> Bools:
    """Return where a column is null; nowhere for a type that can't tell."""
    try:
        nulls: Bools = column.is_null().to_numpy(zero_copy_only=False)
    except (pa.ArrowException, NotImplementedError):
        nulls = np.zeros(len(column), np.bool_)
    return nulls


def _numbers(column: pa.Array) -> Numbers:
    values = _floats(column)
    fine = np.isfinite(values)
    if fine.all() and not column.null_count:
        return Numbers(values)
    kinds = np.where(fine, _FINE, np.where(np.isnan(values), _NAN, _INFINITE)).astype(np.int8)
    if column.null_count:
        kinds[nulls_of(column)] = _NULL
    return Numbers(np.where(kinds == _FINE, values, 0.0), kinds)


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
        codes[nulls_of(column)] = len(values)
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
    codes[nulls_of(column)] = len(values)
    return Coded([*values, None], codes)


def finite_numbers(column: pa.Array) -> Numbers:
    """Return numbers of which those that are not finite are null, as they are read outside ``features``."""
    numbers = _numbers(column)
    if numbers.kinds is None:
        return numbers
    return Numbers(numbers.values, np.where(numbers.kinds == _FINE, _FINE, _NULL).astype(np.int8))


def _nothing_but(column: pa.Array) -> Coded:
    """Return a column of values that are neither numbers nor texts."""
    return Coded([_WRONG, None], nulls_of(column).astype(np.int64))
