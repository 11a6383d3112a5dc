"""The columns of a columnar record, one by one: what each may hold, and which rows can't be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.errors import DecodeError
from driftline.contracts.events import MAX_CLASSES, MAX_ID_CHARS, MAX_SLICES
from driftline.contracts.times import EARLIEST_MS, LATEST_MS

if TYPE_CHECKING:
    import pyarrow as pa

#: What a text in a dictionary may amount to where it is written out.
MAX_DECODED_BYTES: Final = 64 << 20
#: What a number of each unit is multiplied by, and then divided by, to be milliseconds.
PER_UNIT: Final = {"s": (1_000, 1), "ms": (1, 1), "us": (1, 1_000), "ns": (1, 1_000_000)}

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def named(metadata: dict[bytes, bytes]) -> tuple[str, str]:
    """Return model and version, as the schema's metadata name them."""
    try:
        told = {name: metadata.get(f"driftline.{name}".encode(), b"").decode() for name in ("schema_version", "model", "version")}
    except UnicodeDecodeError as error:
        raise DecodeError("the schema's metadata is no text", code="bad_name") from error
    if told["schema_version"] != "1":
        raise DecodeError(f"driftline.schema_version is {told['schema_version'][:20]!r}; 1 is accepted", code="wrong_field")
    names = told["model"], told["version"] or "1"
    for name in names:
        if not name or len(name) > MAX_ID_CHARS or "\x00" in name:
            raise DecodeError(f"event_id, model and version have 1 to {MAX_ID_CHARS} characters, none of them NUL", code="bad_name")
    return names


def check_slices(types: dict[str, Any]) -> None:
    """Refuse slices that are too many, or no texts."""
    if len(types) > MAX_SLICES:
        raise DecodeError(f"slice has {len(types)} entries; at most {MAX_SLICES} are accepted", code="too_many_entries")
    for name, kind in types.items():
        if not is_text(kind):
            raise DecodeError(f"a field is wrong: {name[:80]} is of type {kind}, expected text", code="wrong_field")


def is_text(kind: Any) -> bool:
    """Say whether a column's type is text, in a dictionary or not. String views are not: many may show one large text."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: Any) -> bool:
    """Say whether a column's type is a number; a truth value is none."""
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _plain(column: pa.Array) -> pa.Array:
    """Return a text column as utf8, whatever form it came in."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        longest = int(np.diff(offsets_of(column.dictionary.cast(pa.string()))).max(initial=0))
        if longest * len(column) > MAX_DECODED_BYTES:
            raise DecodeError(f"a text of {longest} bytes in a dictionary stands for too much", code="too_large")
        column = column.dictionary_decode()
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def ids_of(column: pa.Array) -> tuple[pa.Array, Bools]:
    """Return the ids as utf8, and which can't be used."""
    if not is_text(column.type):
        raise DecodeError(f"a field is wrong: event_id is of type {column.type}, expected text", code="wrong_field")
    ids = _plain(column)
    bad = _bad_text(ids, least=1)
    return ids, bad


def _bad_text(texts: pa.Array, least: int) -> Bools:
    """Say which texts are null or not of ``least`` to 256 characters, or have a NUL."""
    import pyarrow.compute as pc

    lengths = np.diff(offsets_of(texts))
    bad: Bools = lengths < least
    if least and texts.null_count:
        bad |= texts.is_null().to_numpy(zero_copy_only=False)
    if int(lengths.max(initial=0)) > MAX_ID_CHARS:
        bad |= pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False) > MAX_ID_CHARS
    if not content_of(texts).all():  # a zero byte is a NUL, in UTF-8
        bad |= pc.fill_null(pc.match_substring(texts, "\x00"), False).to_numpy(zero_copy_only=False)
    return bad


def offsets_of(texts: pa.Array) -> Ints:
    """Return where each text begins in ``content_of``, and where the last one ends."""
    buffer = texts.buffers()[1]
    if buffer is None or not len(texts):
        return np.zeros(len(texts) + 1, np.int64)
    offsets = np.frombuffer(buffer, np.int32, len(texts) + 1, texts.offset * 4)
    begin_at_zero: Ints = np.subtract(offsets, offsets[0], dtype=np.int64)
    return begin_at_zero


def content_of(texts: pa.Array) -> NDArray[np.uint8]:
    """Return the UTF-8 of all texts."""
    offsets, content = texts.buffers()[1:3]
    if offsets is None or content is None or not len(texts):
        return np.zeros(0, np.uint8)
    bounds = np.frombuffer(offsets, np.int32, len(texts) + 1, texts.offset * 4)
    return np.frombuffer(content, np.uint8)[bounds[0] : bounds[-1]]


def times_of(column: pa.Array) -> tuple[Ints, Bools]:
    """Return epoch milliseconds, and which can't be used (0 there)."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        times, per = column.cast(pa.int64()), PER_UNIT[kind.unit]
    elif pa.types.is_integer(kind):
        times, per = column, (1, 1)
    else:
        raise DecodeError(f"a field is wrong: event_time is of type {kind}, expected epoch milliseconds or a timestamp with UTC", code="wrong_field")
    missing = times.is_null().to_numpy(zero_copy_only=False)
    found = times.fill_null(0).to_numpy(zero_copy_only=False)
    low, high = EARLIEST_MS * per[1] // per[0], LATEST_MS * per[1] // per[0]
    bad: Bools = missing | (found < low) | (found >= high)
    millis: Ints = np.where(bad, 0, found).astype(np.int64) * per[0] // per[1]
    return millis, bad


def prediction_of(column: pa.Array | None, n: int) -> tuple[pa.Array | None, Bools]:
    """Return the predictions, None for none at all, and which can't be used."""
    import pyarrow as pa

    none = np.zeros(n, np.bool_)
    if column is None or pa.types.is_null(column.type):
        return None, none
    if is_text(column.type):
        texts = _plain(column)
        return texts, _bad_text(texts, least=0)
    if pa.types.is_dictionary(column.type) and (is_number(column.type.value_type) or pa.types.is_boolean(column.type.value_type)):
        column = column.dictionary_decode()
    if is_number(column.type) or pa.types.is_boolean(column.type):
        return column, none
    raise DecodeError(f"a field is wrong: prediction is of type {column.type}, expected a number, a text or a truth value", code="wrong_field")


def probabilities_of(column: pa.Array | None) -> pa.Array | None:
    """Return the probabilities by class, None for none at all."""
    import pyarrow as pa

    if column is None or pa.types.is_null(column.type):
        return None
    kind = column.type
    children: Sequence[Any] = ()
    if pa.types.is_struct(kind):
        children = [kind.field(i).type for i in range(kind.num_fields)]
    elif pa.types.is_map(kind) and is_text(kind.key_type):
        children = [kind.item_type]
    if not children or not all(is_number(child) for child in children):
        raise DecodeError(f"a field is wrong: probabilities is of type {str(kind)[:80]}, expected numbers by class", code="wrong_field")
    if len(children) > MAX_CLASSES:
        raise DecodeError(f"probabilities has {len(children)} entries; at most {MAX_CLASSES} are accepted", code="too_many_entries")
    return column
