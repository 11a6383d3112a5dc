"""Many inference events in one record: a stream of Arrow's IPC format, as the value of a record of ``inference-events``.

It begins with ``FF FF FF FF``, which no JSON does, and has the header ``content-type: application/vnd.apache.arrow.stream``. What is one for all its
rows stands in the schema's metadata (``driftline.schema_version``, ``driftline.model``, ``driftline.version``), the rest in columns:

====================  ============================================================================  =========
column                type                                                                          null
====================  ============================================================================  =========
``event_id``          utf8                                                                          never
``event_time``        int64 (epoch milliseconds), or timestamp of any unit with a zone              never
``prediction``        number, bool, utf8 or dictionary of utf8                                      none made
``score``             floating point                                                                none given
``probabilities``     struct or map, class to probability                                           none given
``slice.<name>``      utf8 or dictionary of utf8                                                    not in it
``features.<name>``   number, bool, utf8 or dictionary of utf8; a timestamp or date reads as        null
                      RFC 3339 text (without a zone: UTC), anything else as a wrong type
====================  ============================================================================  =========

All but the first two may be left out. A row means what the JSON event with these fields means. Nothing here needs pyarrow to be imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from driftline.contracts.events import MAX_EVENT_BYTES

CONTENT_TYPE: Final = b"application/vnd.apache.arrow.stream"
#: The first bytes of a value in this form.
BEGINNING: Final = b"\xff\xff\xff\xff"

META_SCHEMA_VERSION: Final = b"driftline.schema_version"
META_MODEL: Final = b"driftline.model"
META_VERSION: Final = b"driftline.version"
SCHEMA_VERSION: Final = b"1"

FEATURE_PREFIX: Final = "features."
SLICE_PREFIX: Final = "slice."

#: Most rows of a record.
MAX_COLUMNAR_ROWS: Final = 65_536
#: Records are cut where they would be larger: Kafka takes a megabyte, headers and all.
_RECORD_BYTES: Final = 900_000
#: Text is sent as a dictionary where it has so many times fewer values than rows.
_REPEATS: Final = 4


class ColumnarRecord(NamedTuple):
    """The value of one record: ``rows`` of a batch from ``start`` on."""

    start: int
    rows: int
    value: bytes


def columnar_schema_metadata(model: str, version: str) -> dict[bytes, bytes]:
    """Return what the schema of a record says about all its rows.

    >>> columnar_schema_metadata("credit-risk", "7")[META_MODEL]
    b'credit-risk'
    """
    return {META_SCHEMA_VERSION: SCHEMA_VERSION, META_MODEL: model.encode(), META_VERSION: version.encode()}


def encode_columns(batch: Any, *, model: str, version: str) -> bytes:
    """Return a ``pyarrow.RecordBatch`` of the columns above as the value of one record, whatever its size."""
    import pyarrow as pa

    columns = [column if f.name == "event_id" else _compact(column) for f, column in zip(batch.schema, batch.columns, strict=True)]
    fields = [pa.field(f.name, column.type, f.nullable) for f, column in zip(batch.schema, columns, strict=True)]
    schema = pa.schema(fields, metadata=columnar_schema_metadata(model, version))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
    value: bytes = sink.getvalue().to_pybytes()
    return value


def encode_records(batch: Any, *, model: str, version: str) -> Iterator[ColumnarRecord]:
    """Yield a ``pyarrow.RecordBatch`` of any size as records that Kafka takes. Raises ValueError for a row that is too large alone."""
    start = 0
    rows = _rows_in(_RECORD_BYTES, batch.nbytes, batch.num_rows)
    while start < batch.num_rows:
        part = batch.slice(start, rows)
        value = encode_columns(part, model=model, version=version)
        if len(value) > _RECORD_BYTES and part.num_rows > 1:
            rows = min(_rows_in(_RECORD_BYTES, len(value), part.num_rows), part.num_rows // 2)
            continue
        if len(value) > MAX_EVENT_BYTES:
            raise ValueError(f"row {start} has {len(value)} bytes; at most {MAX_EVENT_BYTES} are accepted")
        yield ColumnarRecord(start, part.num_rows, value)
        start += part.num_rows
        rows = max(rows, _rows_in(_RECORD_BYTES, len(value), part.num_rows))


def _rows_in(size: int, of: int, rows: int) -> int:
    """Return how many rows fit, a tenth to spare, where ``rows`` take ``of`` bytes."""
    return max(1, min(MAX_COLUMNAR_ROWS, size * 9 * max(rows, 1) // (10 * max(of, 1))))


def _compact(column: Any) -> Any:
    """Return text in the form that takes less: a dictionary goes with each record, however few of its values that uses."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        if len(column.dictionary) * _REPEATS <= len(column):
            return column
        column, kind = column.dictionary_decode(), kind.value_type
    if not pa.types.is_string(kind):
        return column
    encoded = column.dictionary_encode()
    return encoded if len(encoded.dictionary) * _REPEATS <= len(column) else column
