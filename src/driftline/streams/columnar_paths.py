"""The features of a columnar record by their names and paths: what lies in objects (Arrow structs) is found as in JSON, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.contracts.columnar_decoding import EventColumns
from driftline.contracts.paths import levels, parents, parents_of
from driftline.detectors.rows import Coded, Held
from driftline.detectors.values import MISSING
from driftline.streams.columnar_held import held, held_numbers, nulls_of, rows_of

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def wanted_columns(events: EventColumns, index: Ints, wanted: Mapping[str, bool]) -> tuple[dict[str, Held], Ints, Ints]:
    """Return the columns of the features that a reference knows (true: as numbers), and how many each row lacks and has beyond them; as
    ``contracts.paths.walked`` does for an event.
    """
    inner, everywhere = parents_of(wanted), np.ones(len(index), np.bool_)
    found: dict[str, Held] = {}
    nulls: dict[str, Bools] = {}
    extra = np.zeros(len(index), np.int64)
    columns = {name: (rows_of(column, index), everywhere) for name, column in events.features.items()}
    for path, (column, there) in levels(
        columns, lambda path, node: _entries(path, node, nulls) if path in inner and (path not in wanted or path in found) else None
    ):
        if path in wanted and path not in found:
            found[path] = held_numbers(column) if wanted[path] else held(column)
        elif path in inner:
            _note_nulls(nulls, path, there & nulls_of(column))
            extra += there & ~nulls_of(column)
        else:
            extra += there
    missing = np.zeros(len(index), np.int64)
    for name in wanted.keys() - found.keys():
        null = np.any([nulls[parent] for parent in parents(name) if parent in nulls] or [~everywhere], axis=0)
        missing += ~null
        if null.any():
            found[name] = Coded([None, MISSING], np.where(null, 0, 1))
    return {name: found[name] for name in wanted if name in found}, missing, extra


def leaves(events: EventColumns, index: Ints) -> dict[str, Held]:
    """Return all features by their paths, as ``contracts.paths.flattened`` does for an event; ``MISSING`` where a row has none."""
    found: dict[str, Held] = {}
    nulls: dict[str, Bools] = {}
    columns = {name: (rows_of(column, index), np.ones(len(index), np.bool_)) for name, column in events.features.items()}
    for path, (column, there) in levels(columns, lambda path, node: _entries(path, node, nulls)):
        if path not in found:
            found[path] = _absent(held(column), there)
    for path, null in nulls.items():
        if path not in found and null.any():
            found[path] = Coded([None, MISSING], np.where(null, 0, 1))
    return found


def least_names(columns: Mapping[str, Sequence[object]], most: int, n: int) -> Iterator[dict[str, object]]:
    """Yield the features of each of ``n`` rows, the least names where they are too many."""
    names = sorted(columns)
    for row in zip(*(columns[name] for name in names), strict=True) if names else [()] * n:
        yield dict(islice(((name, value) for name, value in zip(names, row, strict=True) if value is not MISSING), most))


def _entries(path: str, node: tuple[pa.Array, Bools], nulls: dict[str, Bools]) -> list[tuple[str, Any]] | None:
    """Return the entries of a column of objects, each with the rows that have it; None for what is no object. Rows where it is null are noted."""
    column, there = node
    if not pa.types.is_struct(column.type):
        return None
    null = nulls_of(column)
    _note_nulls(nulls, path, there & null)
    inside = there & ~null
    return [(f.name, (child, inside)) for f, child in zip(column.type, column.flatten(), strict=True)]


def _note_nulls(nulls: dict[str, Bools], path: str, null: Bools) -> None:
    nulls[path] = nulls[path] | null if path in nulls else null


def _absent(values: Held, there: Bools) -> Held:
    if there.all() or not isinstance(values, Coded):
        return values
    return Coded([*values.values, MISSING], np.where(there, values.codes, len(values.values)))
