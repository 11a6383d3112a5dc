"""Many predictions as one Arrow batch with the contract's columns: what ``Publisher.publish_batch`` sends."""

from __future__ import annotations

import array
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from driftline.contracts.columnar import FEATURE_PREFIX, SLICE_PREFIX
from driftline.contracts.events import MAX_CLASSES, MAX_ID_CHARS, MAX_SLICES
from driftline.contracts.times import EARLIEST_MS, LATEST_MS
from driftline.producers import fields
from driftline.producers.columns import arrow, finite, mapped, plain, scalars

if TYPE_CHECKING:
    import pyarrow as pa

_ID_CHARS = 32
_PER_MILLI = {"s": (1_000, 1), "ms": (1, 1), "us": (1, 1_000), "ns": (1, 1_000_000)}


def event_batch(
    features: Mapping[str, pa.Array],
    rows: int | None,
    *,
    predictions: object,
    scores: object,
    probabilities: object,
    event_ids: object,
    event_times: object,
    slices: Mapping[str, object] | None,
) -> tuple[pa.RecordBatch, list[str]]:
    """Return the batch and the ids of its rows; ``rows`` is None where there is no feature to count them by.

    Raises TypeError and ValueError as ``publish`` does, naming the field, for the whole batch.
    """
    pa = arrow()
    columns: dict[str, Any] = {}
    if predictions is not None:
        columns["prediction"] = _short("predictions", scalars("predictions", plain("predictions", predictions)))
    if scores is not None:
        columns["score"] = _numbers("scores", scores)
    if probabilities is not None:
        columns["probabilities"] = _probabilities(probabilities)
    for name, values in _at_most("slices", slices or {}, MAX_SLICES).items():
        columns[f"{SLICE_PREFIX}{name}"] = _short("slices", mapped(plain(f"the slice {name!r}", values), str))
    columns |= {f"{FEATURE_PREFIX}{name}": column for name, column in features.items()}
    ids = None if event_ids is None else _checked_ids(plain("event_ids", event_ids))
    n = rows if rows is not None else len(next(iter(columns.values()), () if ids is None else ids))
    if ids is None:
        ids, texts = made_ids(n)
    else:
        texts = ids.to_pylist()
    every = {"event_id": ids, "event_time": _times(event_times, n), **columns}
    for name, column in every.items():
        if len(column) != n:
            raise ValueError(f"{name} has {len(column)} values; expected {n}, one for each row")
    schema = [pa.field(name, column.type, name not in ("event_id", "event_time")) for name, column in every.items()]
    return pa.RecordBatch.from_arrays(list(every.values()), schema=pa.schema(schema)), texts


def made_ids(n: int) -> tuple[pa.Array, list[str]]:
    """Return ``n`` new ids, 128 random bits in hex each."""
    pa = arrow()
    content = os.urandom(n * _ID_CHARS // 2).hex()
    offsets = array.array("i", range(0, (n + 1) * _ID_CHARS, _ID_CHARS))
    column = pa.Array.from_buffers(pa.string(), n, [None, pa.py_buffer(offsets), pa.py_buffer(content.encode())])
    return column, [content[i : i + _ID_CHARS] for i in range(0, n * _ID_CHARS, _ID_CHARS)]


def _checked_ids(column: pa.Array) -> pa.Array:
    pa = arrow()
    ids = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    ids = scalars("event_ids", ids)
    if not pa.types.is_string(ids.type) and len(ids):
        raise TypeError(f"event_ids is a column of type {ids.type}; expected text")
    if ids.null_count:
        raise TypeError("event_ids has a null; expected text in each row")
    return _short("event_ids", ids.cast(pa.string()), least=1)


def _short(what: str, column: pa.Array, least: int = 0) -> pa.Array:
    """Return the column if its texts, where it has any, have lengths that consumers accept."""
    pa = arrow()
    pc = pa.compute
    texts = column.dictionary if pa.types.is_dictionary(column.type) else column
    if not pa.types.is_string(texts.type):
        return column
    lengths = pc.utf8_length(texts)
    for bad in (pc.min(lengths).as_py(), pc.max(lengths).as_py()):
        if bad is not None and not least <= bad <= MAX_ID_CHARS:
            raise ValueError(f"{what} has a text of {bad} characters; expected {least} to {MAX_ID_CHARS}, none of them NUL")
    if pc.any(pc.match_substring(texts, "\x00")).as_py():
        raise ValueError(f"{what} has a text with NUL; expected {least} to {MAX_ID_CHARS} characters, none of them NUL")
    return column


def _at_most(what: str, given: Any, most: int) -> Any:
    if len(given) > most:
        raise ValueError(f"{what} has {len(given)} entries; at most {most} are accepted")
    for name in given:
        fields.text(f"a name in {what}", str(name))
    return given


def _numbers(what: str, values: object) -> pa.Array:
    pa = arrow()
    column = scalars(what, plain(what, values))
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise TypeError(f"{what} is a column of type {column.type}; expected numbers")
    return finite(column.cast(pa.float64(), safe=False))


def _probabilities(given: object) -> pa.Array:
    """Return a struct of classes from a mapping, or a DataFrame, of class to a column of numbers, each of which has to be there."""
    pa = arrow()
    if isinstance(given, pa.Array | pa.ChunkedArray) and (pa.types.is_struct(given.type) or pa.types.is_map(given.type)):
        return plain("probabilities", given)
    if not (isinstance(given, Mapping) or hasattr(given, "items")):
        raise TypeError(f"probabilities is of type {type(given).__name__}; expected a mapping, or a DataFrame, of classes to columns of numbers")
    classes = _at_most("probabilities", dict(given.items()), MAX_CLASSES)
    columns = {str(label): _numbers(f"probabilities[{label!r}]", values) for label, values in classes.items()}
    for label, column in columns.items():
        if column.null_count:
            raise ValueError(f"probabilities[{label!r}] has {column.null_count} values that are no finite number")
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns))


def _times(given: object, n: int) -> pa.Array:
    """Return epoch milliseconds: of now, of one time for all rows, or of a column of times, each as ``publish`` takes them."""
    pa = arrow()
    if given is None or isinstance(given, int | str | datetime):
        return pa.array([fields.millis(given)] * n, pa.int64())
    if isinstance(given, Sequence) and not isinstance(given, pa.Array | pa.ChunkedArray):
        return pa.array([fields.millis(_there(time)) for time in given], pa.int64())
    column = plain("event_times", given)
    kind = column.type
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise ValueError("event_times has no time zone")
        multiplied, divided = _PER_MILLI[kind.unit]
        column = pa.compute.multiply(pa.compute.divide(column.cast(pa.int64()), divided), multiplied)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pa.array([fields.millis(_there(time)) for time in column.to_pylist()], pa.int64())
    elif not pa.types.is_integer(kind):
        raise TypeError(f"event_times is a column of type {kind}; expected epoch milliseconds, times with a zone, or RFC 3339 text")
    if column.null_count:
        raise ValueError("event_times has a null; expected a time in each row")
    for extreme in (pa.compute.min(column).as_py(), pa.compute.max(column).as_py()):
        if extreme is not None and not EARLIEST_MS <= extreme < LATEST_MS:
            raise ValueError("event_time is outside the years 1971 to 2199")
    return column.cast(pa.int64())


def _there(time: object) -> object:
    if time is None:
        raise ValueError("event_times has a null; expected a time in each row")
    return time
