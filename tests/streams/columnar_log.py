"""The same rows as JSON events, one a record, or as columnar records of many."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st
from tests.streams.records import PANE, T0, Record

from driftline.contracts.times import format_time

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.sampled_from(["a", "b", "1", "1.0", "12"])
_day = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: What a feature's column may hold, by its Arrow type; what is no feature at all has a list as its JSON.
TYPES: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "float64": (pa.float64(), st.floats() | st.sampled_from([0.0, -0.0, 1.0, 2.0])),
    "float32": (pa.float32(), st.floats(width=32)),
    "int64": (pa.int64(), st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1) | st.integers(0, 2)),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "bool": (pa.bool_(), st.booleans()),
    "text": (pa.string(), texts),
    "large text": (pa.large_string(), texts),
    "dictionary": (pa.dictionary(pa.int8(), pa.string()), texts),
    "null": (pa.null(), st.none()),
    "moment": (pa.timestamp("us", "UTC"), st.integers(-30 * 10**15, 253 * 10**15).map(lambda us: _EPOCH + timedelta(microseconds=us))),
    "date": (pa.date32(), st.dates(date(1000, 1, 2), date(9999, 12, 30))),
    "list": (pa.list_(pa.int64()), st.lists(st.integers(0, 3), max_size=2)),
}


@dataclass(frozen=True)
class Column:
    """One column: its type and its values."""

    kind: pa.DataType
    values: list[Any]

    def repeated(self, times: int) -> Column:
        """The same values several times over."""
        return Column(self.kind, self.values * times)


@dataclass(frozen=True)
class Log:
    """Rows of one model: what both forms of them hold."""

    model: str
    version: str
    ids: list[str | None]
    times: list[int | None]
    features: dict[str, Column]
    prediction: Column | None
    score: Column | None
    probabilities: list[dict[str, float] | None] | None
    appended: int

    def repeated(self, times: int) -> Log:
        """The same rows several times over, so that there are enough for them to be counted all at once."""
        return replace(
            self,
            ids=self.ids * times,
            times=self.times * times,
            features={name: column.repeated(times) for name, column in self.features.items()},
            prediction=self.prediction and self.prediction.repeated(times),
            score=self.score and self.score.repeated(times),
            probabilities=self.probabilities and self.probabilities * times,
        )

    def json(self, row: int, offset: int) -> Record:
        """One row as a JSON event."""
        event: dict[str, Any] = {"event_id": self.ids[row], "model": self.model, "version": self.version, "event_time": self.times[row]}
        event["features"] = {name: _as_json(column.values[row]) for name, column in self.features.items()}
        for name, column in (("prediction", self.prediction), ("score", self.score)):
            if column is not None:
                event[name] = column.values[row]
        if self.probabilities is not None:
            event["probabilities"] = self.probabilities[row]
        return Record(offset, json.dumps(event).encode(), timestamp=self.appended)

    def columnar(self, start: int, stop: int, offset: int, compression: str | None = None, batches: int = 1) -> Record:
        """Some rows as one columnar record."""
        columns = {"event_id": pa.array(self.ids[start:stop], pa.string()), "event_time": pa.array(self.times[start:stop], pa.int64())}
        columns |= {f"features.{name}": pa.array(column.values[start:stop], column.kind) for name, column in self.features.items()}
        for name, column in (("prediction", self.prediction), ("score", self.score)):
            if column is not None:
                columns[name] = pa.array(column.values[start:stop], column.kind)
        if self.probabilities is not None:
            kind = pa.struct([(name, pa.float64()) for name in ("0.0", "1.0", "a")])
            columns["probabilities"] = pa.array(self.probabilities[start:stop], kind)
        table = pa.table(columns).replace_schema_metadata(metadata(self.model, self.version))
        return Record(offset, stream(table, compression, batches), timestamp=self.appended)


def _as_json(value: Any) -> Any:
    """A point in time as JSON has it."""
    if not isinstance(value, date):
        return value
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
    return format_time((moment - _EPOCH) // timedelta(milliseconds=1), seconds=True)


def metadata(model: str = "m", version: str = "1") -> dict[str, str]:
    """What a columnar record's schema says."""
    return {"driftline.schema_version": "1", "driftline.model": model, "driftline.version": version}


def stream(table: pa.Table, compression: str | None = None, batches: int = 1) -> bytes:
    """An Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        for batch in table.to_batches(max_chunksize=max(1, -(-len(table) // batches))):
            writer.write_batch(batch)
    return bytes(sink.getvalue())


def _column(draw: st.DrawFn, n: int, names: Sequence[str]) -> Column:
    kind, values = TYPES[draw(st.sampled_from(names))]
    return Column(kind, draw(st.lists(st.none() | values, min_size=n, max_size=n)))


@st.composite
def logs(draw: st.DrawFn) -> Log:
    """Rows of any types, hostile ids and times among them."""
    n = draw(st.integers(1, 12))
    odd_times = st.sampled_from([None, 0, 1, 2**62, T0 + 30 * _day, T0 - 200 * _day, T0 + 3_600_000])
    times = draw(st.lists(st.integers(T0, T0 + 3 * PANE) | st.integers(T0, T0 + 3 * PANE) | odd_times, min_size=n, max_size=n))
    some_ids = st.sampled_from([f"event-{i}" for i in range(9)])
    ids = draw(st.lists(some_ids | some_ids | st.sampled_from([None, "", "a\0", "é" * 256, "x" * 257]), min_size=n, max_size=n))
    features = {name: _column(draw, n, list(TYPES)) for name in ("x", "c", "unknown") if draw(st.booleans()) or name != "unknown"}
    if draw(st.integers(0, 5)) == 0:
        features.pop(draw(st.sampled_from(sorted(features))))
    predictions = ["float64", "int64", "bool", "text", "dictionary", "null"]
    prediction = _column(draw, n, predictions) if draw(st.booleans()) else None
    score = _column(draw, n, ["float64", "null", "int8"]) if draw(st.booleans()) else None
    full = st.fixed_dictionaries({name: st.floats(0, 1) for name in ("0.0", "1.0", "a")})
    probabilities = draw(st.none() | st.lists(st.none() | full, min_size=n, max_size=n))
    model, version = draw(st.sampled_from(["m", "m", "new"])), draw(st.sampled_from(["1", "2", "3"]))
    log = Log(model, version, ids, times, features, prediction, score, probabilities, appended=T0 + 2 * PANE)
    return log.repeated(draw(st.sampled_from([1, 1, 1, 12])))


_deep = pa.struct([("c", pa.string()), ("z", pa.int64())])
_USER = pa.struct([("x", pa.float64()), ("deep", _deep), ("list", pa.list_(pa.int64()))])
_users = st.fixed_dictionaries({
    "x": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "deep": st.none() | st.fixed_dictionaries({"c": st.none() | texts, "z": st.integers(0, 3)}),
    "list": st.none() | st.lists(st.integers(0, 3), max_size=2),
})  # fmt: skip


@st.composite
def nested_logs(draw: st.DrawFn) -> Log:
    """Rows of which features lie in objects, null here and there."""
    n = draw(st.integers(1, 8))
    users = draw(st.lists(st.none() | _users, min_size=n, max_size=n))
    features = {"user": Column(_USER, users)}
    if draw(st.booleans()):
        features["user.x"] = _column(draw, n, ["float64", "text"])
    if draw(st.booleans()):
        features["x"] = _column(draw, n, ["int64", "null"])
    model, version = draw(st.sampled_from(["m", "m", "new"])), draw(st.sampled_from(["1", "2"]))
    ids: list[str | None] = [f"event-{i}" for i in range(n)]
    log = Log(model, version, ids, [T0] * n, features, None, None, None, appended=T0)
    return log.repeated(draw(st.sampled_from([1, 1, 12])))
