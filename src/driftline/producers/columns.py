"""What a service has in columns (a DataFrame, an Arrow table, lists, numpy arrays) as Arrow columns of plain JSON values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from driftline.contracts.errors import SettingsError
from driftline.contracts.pii import bucket_width, pseudonym, rule_of

if TYPE_CHECKING:
    import pyarrow as pa


def arrow() -> Any:
    """Return pyarrow, or raise SettingsError that names what to install."""
    try:
        import pyarrow as pa
        import pyarrow.compute
    except ImportError:
        raise SettingsError("publish_batch", "pyarrow is not installed", "pip install 'driftline[columnar]'") from None
    return pa


def feature_columns(features: object, rules: Mapping[str, str], key: bytes) -> tuple[dict[str, pa.Array], int | None]:
    """Return the columns of a pandas DataFrame, an Arrow table or record batch (or what turns into one: polars), or a mapping of names to sequences,
    and how many rows they have (None: there are no columns).

    ``rules`` (contracts/pii.py) are applied. Raises TypeError, with the feature, for a column that holds no scalars of one kind, and ValueError for
    columns of different lengths or of the same name.
    """
    columns: dict[str, pa.Array] = {}
    names: set[str] = set()
    rows: int | None = None
    for name, values in _named(features):
        if not isinstance(name, str):
            raise TypeError(f"the name of a feature is {name!r}; expected text")
        if name in names:
            raise ValueError(f"the feature {name!r} is there twice")
        names.add(name)
        what = f"the feature {name!r}"
        column = plain(what, values)
        rows = len(column) if rows is None else rows
        if len(column) != rows:
            raise ValueError(f"{what} has {len(column)} values; expected {rows}, one for each row")
        rule = rule_of(rules, name)
        if rule != "drop":
            columns[name] = hidden_column(scalars(what, column), rule, key)
    return columns, rows


def plain(what: str, values: object) -> pa.Array:
    """Return a sequence as one Arrow array; NaN, NaT and pandas' NA are null. Raises TypeError for what is no column."""
    pa = arrow()
    if isinstance(values, str | bytes | Mapping):
        raise TypeError(f"{what} is of type {type(values).__name__}; expected a column of values")
    try:
        column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{what} can't be made a column; expected values of one kind: numbers, text or truth values ({error})") from None
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    return column


def scalars(what: str, column: pa.Array) -> pa.Array:
    """Return a column in the types of the contract, what is not finite as null; TypeError for a type that holds no JSON scalars."""
    pa = arrow()
    kind, types = column.type, pa.types
    if types.is_dictionary(kind):
        if types.is_string(kind.value_type) or types.is_large_string(kind.value_type):
            return column.cast(pa.dictionary(kind.index_type, pa.string()))
        return scalars(what, column.dictionary_decode())
    if types.is_integer(kind) or types.is_boolean(kind):
        return column
    if types.is_floating(kind):
        return finite(column.cast(pa.float32()) if types.is_float16(kind) else column)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return column.cast(pa.string())
    if types.is_null(kind):
        return pa.nulls(len(column), pa.float64())
    raise TypeError(f"{what} is a column of type {kind}; expected numbers, text or truth values")


def finite(column: pa.Array) -> pa.Array:
    """Return floating numbers with NaN and infinities as null."""
    pa = arrow()
    good = pa.compute.is_finite(column)
    return column if pa.compute.all(good).as_py() in (True, None) else pa.compute.if_else(good, column, pa.scalar(None, column.type))


def mapped(column: pa.Array, change: Callable[[Any], str | None]) -> pa.Array:
    """Return a column of text: each of the different values changed once."""
    pa = arrow()
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    texts = pa.array([None if value is None else change(value) for value in encoded.dictionary.to_pylist()], pa.string())
    return texts.take(encoded.indices)


def hidden_column(column: pa.Array, rule: str, key: bytes) -> pa.Array:
    """Return what a rule leaves of a column: for each row what ``contracts.pii.hidden`` leaves of its value."""
    pa = arrow()
    if rule == "keep":
        return column
    if rule == "hash":
        return mapped(column, lambda value: pseudonym(value, key))
    width = bucket_width(rule)
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return pa.nulls(len(column), pa.float64())
    numbers = finite((column.dictionary_decode() if pa.types.is_dictionary(column.type) else column).cast(pa.float64(), safe=False))
    return pa.compute.multiply(pa.compute.floor(pa.compute.divide(numbers, width)), width)


def _named(features: object) -> Iterator[tuple[object, object]]:
    pa = arrow()
    if isinstance(features, pa.Table | pa.RecordBatch):
        return zip(features.schema.names, features.columns, strict=True)
    if hasattr(features, "iloc") and hasattr(features, "columns"):  # pandas, which is not imported here; its index is no feature
        return ((name, features.iloc[:, i]) for i, name in enumerate(features.columns))
    if isinstance(features, Mapping):
        return iter(features.items())
    if hasattr(features, "__arrow_c_stream__"):
        return _named(pa.table(features))
    raise TypeError(f"features is of type {type(features).__name__}; expected a DataFrame, an Arrow table, or a mapping of names to columns")
