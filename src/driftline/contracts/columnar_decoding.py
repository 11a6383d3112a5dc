"""A columnar record of `inference-events` (an Arrow IPC stream): its one decode point. Hostile bytes raise DecodeError and cost little.

Every bound is checked before anything is allocated: what the stream declares (rows, decompressed bytes) is read from its messages first, see
``arrow_messages``. What pyarrow then reads is validated in full, for offsets and texts in it may lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from driftline.contracts.arrow_messages import declared
from driftline.contracts.columnar_fields import (
    MAX_DECODED_BYTES,
    check_slices,
    content_of,
    ids_of,
    is_number,
    named,
    offsets_of,
    prediction_of,
    probabilities_of,
    times_of,
)
from driftline.contracts.errors import DecodeError
from driftline.contracts.events import MAX_EVENT_BYTES, MAX_ID_CHARS, MAX_SLICES

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC: Final = b"\xff\xff\xff\xff"
"""What an Arrow IPC stream begins with, and JSON never."""

MAX_ROWS: Final = 65_536
MAX_MESSAGES: Final = 4_096
#: Columns that are no features: the id, the time, the prediction and the like, and slices.
_OTHER_COLUMNS: Final = 16 + MAX_SLICES

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class EventColumns:
    """Many events of one model and version. Row ``i`` means what a JSON event with the same values means.

    ``ids`` are the UTF-8 bytes of all ids, id ``i`` from ``id_offsets[i]`` to ``id_offsets[i + 1]``; ``times`` epoch milliseconds. ``flawed`` rows
    can't be used, for ``flaw``; their times are 0.
    """

    model: str
    version: str
    ids: NDArray[np.uint8]
    id_offsets: Ints
    times: Ints
    features: dict[str, pa.Array]
    prediction: pa.Array | None
    score: pa.Array | None
    probabilities: pa.Array | None
    flawed: Bools
    flaw: DecodeError | None
    batch: pa.RecordBatch = field(repr=False)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.times)

    def event_id(self, i: int) -> str:
        """Return the id of a row."""
        return self.ids[self.id_offsets[i] : self.id_offsets[i + 1]].tobytes().decode()

    def encoded(self, rows: Ints) -> bytes:
        """Return a record of some of the rows alone, values unchanged."""
        import pyarrow as pa

        chosen = self.batch.take(pa.array(rows))
        bare = _written(chosen, None)
        return bare if len(bare) <= MAX_EVENT_BYTES else _written(chosen, "zstd")


def is_columnar(raw: bytes | None) -> bool:
    """Say whether a record's value is an Arrow IPC stream."""
    return raw is not None and raw[:4] == MAGIC


def declared_bytes(raw: bytes) -> int:
    """Return how many bytes a record's columns take when decompressed, at most what is accepted; 0 where they can't be read."""
    try:
        return min(declared(raw, MAX_MESSAGES).decoded_bytes, MAX_DECODED_BYTES)
    except DecodeError:
        return 0


def decode_columnar(raw: bytes, *, max_features: int = 500) -> EventColumns:
    """Return the events of a columnar record, or raise DecodeError."""
    if len(raw) > MAX_EVENT_BYTES:
        raise DecodeError(f"the record has {len(raw)} bytes; at most {MAX_EVENT_BYTES} are accepted", raw, code="too_large")
    import pyarrow as pa

    try:
        return _events(_read(raw, max_features + _OTHER_COLUMNS))
    except DecodeError as error:
        raise DecodeError(error.reason, raw, code=error.code) from error
    except (pa.ArrowException, OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError, RecursionError) as error:
        raise DecodeError(f"not Arrow IPC: {type(error).__name__}", raw, code="not_arrow") from error


def _read(raw: bytes, most_columns: int) -> pa.RecordBatch:
    """Return the one batch that a stream amounts to, validated."""
    import pyarrow as pa

    size = declared(raw, MAX_MESSAGES)
    if size.rows > MAX_ROWS:
        raise DecodeError(f"the record declares {size.rows} rows; at most {MAX_ROWS} are accepted", code="too_many_rows")
    if size.decoded_bytes > MAX_DECODED_BYTES:
        raise DecodeError(f"the record decompresses to {size.decoded_bytes} bytes; at most {MAX_DECODED_BYTES} are accepted", code="too_large")
    with pa.ipc.open_stream(pa.py_buffer(raw), options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
        if len(reader.schema) > most_columns:
            raise DecodeError(f"the record has {len(reader.schema)} columns; at most {most_columns} are accepted", code="too_many_columns")
        batches = list(reader)
    for batch in batches:
        batch.validate(full=True)
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches, reader.schema).combine_chunks()
    whole = table.to_batches()
    return whole[0] if whole else pa.RecordBatch.from_pylist([], reader.schema)


def _events(batch: pa.RecordBatch) -> EventColumns:
    import pyarrow as pa

    model, version = named(batch.schema.metadata or {})
    names = batch.schema.names
    if len(set(names)) != len(names):
        raise DecodeError("two columns have the same name", code="wrong_field")
    columns = dict(zip(names, batch.columns, strict=True))
    for name in ("event_id", "event_time"):
        if name not in columns:
            raise DecodeError(f"a field is wrong: the column {name} is missing", code="wrong_field")
    features = {name.removeprefix("features."): column for name, column in columns.items() if name.startswith("features.")}
    check_slices({name: column.type for name, column in columns.items() if name.startswith("slice.")})
    ids, bad_ids = ids_of(columns["event_id"])
    times, bad_times = times_of(columns["event_time"])
    prediction, bad_predictions = prediction_of(columns.get("prediction"), len(batch))
    score = columns.get("score")
    if score is not None and not is_number(score.type) and not pa.types.is_null(score.type):
        raise DecodeError(f"a field is wrong: score is of type {score.type}, expected a number", code="wrong_field")
    flaws = (
        (bad_ids, DecodeError(f"event_id, model and version have 1 to {MAX_ID_CHARS} characters, none of them NUL", code="bad_name")),
        (bad_times, DecodeError("event_time is missing or outside the years 1971 to 2199", code="bad_time")),
        (bad_predictions, DecodeError(f"a prediction that is text has at most {MAX_ID_CHARS} characters, none of them NUL", code="bad_name")),
    )
    flawed = bad_ids | bad_times | bad_predictions
    return EventColumns(
        model=model,
        version=version,
        ids=content_of(ids),
        id_offsets=offsets_of(ids),
        times=np.where(flawed, 0, times),
        features=features,
        prediction=prediction,
        score=score,
        probabilities=probabilities_of(columns.get("probabilities")),
        flawed=flawed,
        flaw=next((error for bad, error in flaws if bad.any()), None),
        batch=batch,
    )


def _written(batch: pa.RecordBatch, compression: str | None) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())
