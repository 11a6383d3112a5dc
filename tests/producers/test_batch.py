from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.producers.capture import Captured
from tests.producers.conftest import Read

from driftline.contracts.columnar import BEGINNING, CONTENT_TYPE, MAX_COLUMNAR_ROWS, encode_records
from driftline.contracts.columnar_decoding import decode_columnar
from driftline.contracts.errors import SettingsError
from driftline.contracts.events import MAX_EVENT_BYTES, InferenceEvent, decode_inference
from driftline.producers import Publisher

_KEY = b"k" * 16
_names = st.sampled_from(["age", "email", "amount", "ünï", "a.b"])
_texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5)
_kinds: st.SearchStrategy[st.SearchStrategy[Any]] = st.sampled_from(
    [
        st.floats(),
        st.integers(-(1 << 63), (1 << 63) - 1),
        st.booleans(),
        _texts,
        st.none(),
    ]
)
_rules = st.dictionaries(_names | st.just("*"), st.sampled_from(["keep", "drop", "hash", "bucket:0.5", "bucket:10"]), max_size=3)


@st.composite
def _tables(draw: st.DrawFn) -> dict[str, Any]:
    """The keywords of a publish_batch, as lists."""
    n = draw(st.integers(0, 5))

    def column(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=n, max_size=n))

    table: dict[str, Any] = {
        "features": {name: column(st.none() | draw(_kinds)) for name in draw(st.lists(_names, unique=True, min_size=1, max_size=4))},
        "event_ids": column(st.uuids().map(str)),
        "event_times": column(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001 - the zone follows
    }
    if draw(st.booleans()):
        table["predictions"] = column(st.none() | draw(st.sampled_from([st.floats(), st.booleans(), _texts])))
    if draw(st.booleans()):
        table["scores"] = column(st.none() | st.floats())
    if draw(st.booleans()):
        table["probabilities"] = {name: column(st.floats(0, 1)) for name in draw(st.lists(_names, unique=True, min_size=1, max_size=3))}
    if draw(st.booleans()):
        texts = draw(st.sampled_from([_texts, st.integers(0, 3)]))
        table["slices"] = {name: column(texts) for name in draw(st.lists(_names, unique=True, min_size=1, max_size=3))}
    return table


@given(_tables(), _rules)
def test_a_batch_means_what_its_rows_mean_published_one_by_one(table: dict[str, Any], rules: Mapping[str, str]) -> None:
    batch, single = (Captured(pii=rules, pii_key=_KEY, version="7") for _ in range(2))
    assert batch.publisher.publish_batch(**table) == table["event_ids"]
    for i, event_id in enumerate(table["event_ids"]):
        single.publisher.publish(
            {name: values[i] for name, values in table["features"].items()},
            event_id=event_id,
            event_time=table["event_times"][i],
            prediction=table["predictions"][i] if "predictions" in table else None,
            score=table["scores"][i] if "scores" in table else None,
            probabilities={name: values[i] for name, values in table["probabilities"].items()} if "probabilities" in table else None,
            slice={name: values[i] for name, values in table["slices"].items()} if "slices" in table else None,
        )
    assert [e for record in batch.records for e in _rows(record.value)] == [_row(decode_inference(record.value)) for record in single.records]


def _row(event: InferenceEvent) -> dict[str, Any]:
    features = msgspec.json.decode(event.features)
    return {**msgspec.structs.asdict(event), "features": features}


def _rows(value: bytes) -> list[dict[str, Any]]:
    events = decode_columnar(value)
    none: list[Any] = [None] * len(events)
    names = [name for name in events.batch.schema.names if name.startswith("slice.")]
    columns = {
        "event_id": [events.event_id(i) for i in range(len(events))],
        "event_time": events.times.tolist(),
        "features": [{name: column[i].as_py() for name, column in events.features.items()} for i in range(len(events))],
        "prediction": none if events.prediction is None else events.prediction.to_pylist(),
        "score": none if events.score is None else events.score.to_pylist(),
        "probabilities": none if events.probabilities is None else events.probabilities.to_pylist(),
        "slice": [{name.removeprefix("slice."): events.batch.column(name)[i].as_py() for name in names} or None for i in range(len(events))],
    }
    assert not events.flawed.any()
    return [{"model": events.model, "version": events.version, **{name: column[i] for name, column in columns.items()}} for i in range(len(events))]


def _one(captured: Captured) -> list[dict[str, Any]]:
    (record,) = captured.records
    assert record.value.startswith(BEGINNING)
    assert record.headers == [("content-type", CONTENT_TYPE)]
    assert record.key is None
    return _rows(record.value)


def _frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "x": [1.5, float("nan"), float("inf")],
            "f32": np.array([0.1, 2, 3], np.float32),
            "i": pd.array([1, None, 3], dtype="Int64"),
            "kind": pd.Categorical(["a", "b", None]),
            "size": pd.Categorical([1, 2, 1]),
            "text": ["u", None, "w"],
            "flag": [True, False, True],
        },
        index=[7, 8, 9],
    )


def test_a_data_frame_an_arrow_table_and_a_mapping_say_the_same() -> None:
    frame = _frame()
    expected = {
        "x": [1.5, None, None], "f32": [float(np.float32(0.1)), 2.0, 3.0], "i": [1, None, 3], "kind": ["a", "b", None], "size": [1, 2, 1],
        "text": ["u", None, "w"], "flag": [True, False, True],
    }  # fmt: skip
    for features in (
        frame,
        pa.Table.from_pandas(frame, preserve_index=False),
        dict(frame.items()),
        pa.RecordBatch.from_pandas(frame, preserve_index=False),
    ):
        captured = Captured()
        ids = captured.publisher.publish_batch(features, scores=np.array([0.5, 0.25, np.nan], np.float32), predictions=frame["kind"])
        rows = _one(captured)
        assert {name: [row["features"][name] for row in rows] for name in expected} == expected
        assert [row["event_id"] for row in rows] == ids
        assert [row["score"] for row in rows] == [0.5, 0.25, None]
        assert [row["prediction"] for row in rows] == ["a", "b", None]


def test_times_come_as_columns_of_any_unit_as_text_or_as_one_for_all() -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2013-03-01T05:15:00.0019Z", "2013-03-01T06:15:00+01:00"], format="ISO8601", utc=True)})
    for times in (frame["at"], pa.array(frame["at"]).cast(pa.timestamp("us", "UTC")), np.array([1362114900001, 1362114900000]), list(frame["at"])):
        captured = Captured()
        captured.publisher.publish_batch({"x": [1, 2]}, event_times=times)
        assert [row["event_time"] for row in _one(captured)] == [1362114900001, 1362114900000]
    captured = Captured()
    captured.publisher.publish_batch({"x": [1, 2]}, event_times="2013-03-01T05:15:00Z")
    assert [row["event_time"] for row in _one(captured)] == [1362114900000] * 2
    captured = Captured()
    captured.publisher.publish_batch({"x": [1]})
    (row,) = _one(captured)
    assert abs(datetime.now(UTC) - datetime.fromtimestamp(row["event_time"] / 1000, UTC)) < timedelta(minutes=5)


def test_ids_are_new_for_each_row_and_for_each_batch() -> None:
    publisher = Captured().publisher
    made = [event_id for _ in range(3) for event_id in publisher.publish_batch({"x": np.zeros(1000)})]
    assert len(set(made)) == 3000
    assert all(len(event_id) == 32 and int(event_id, 16) >= 0 for event_id in made)


@pytest.mark.parametrize(
    ("features", "others", "kind", "what"),
    [
        ({"x": [1, "a"]}, {}, TypeError, "feature 'x'.*one kind"),
        ({"x": [[1], [2]]}, {}, TypeError, "feature 'x'"),
        ({"x": pd.to_datetime(["2013-01-01"])}, {}, TypeError, "feature 'x'"),
        ({"x": "abc"}, {}, TypeError, "feature 'x'"),
        ({"x": np.zeros((2, 2))}, {}, TypeError, "feature 'x'"),
        ({"x": ["\ud800"]}, {}, TypeError, "feature 'x'"),
        ({1: [1]}, {}, TypeError, "name of a feature"),
        ({"x": [1], "y": [1, 2]}, {}, ValueError, "'y' has 2 values; expected 1"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), {}, ValueError, "'x' is there twice"),
        ([1, 2], {}, TypeError, "DataFrame"),
        ({"x": [1]}, {"scores": [1, 2]}, ValueError, "score has 2 values; expected 1"),
        ({"x": [1]}, {"scores": ["high"]}, TypeError, "scores"),
        ({"x": [1]}, {"scores": [True]}, TypeError, "scores"),
        ({"x": [1]}, {"predictions": ["x" * 257]}, ValueError, "predictions has a text of 257"),
        ({"x": [1]}, {"predictions": [[1]]}, TypeError, "predictions"),
        ({"x": [1]}, {"probabilities": {"a": [float("nan")]}}, ValueError, "probabilities"),
        ({"x": [1]}, {"event_ids": [""]}, ValueError, "event_ids has a text of 0"),
        ({"x": [1]}, {"event_ids": ["a\x00"]}, ValueError, "event_ids"),
        ({"x": [1]}, {"event_ids": [None]}, TypeError, "event_ids"),
        ({"x": [1]}, {"event_ids": [7]}, TypeError, "event_ids"),
        ({"x": [1]}, {"event_times": np.array(["2013-01-01"], "datetime64[s]")}, ValueError, "time zone"),
        ({"x": [1]}, {"event_times": [1362114900]}, ValueError, "event_time"),
        ({"x": [1]}, {"event_times": np.array([1362114900])}, ValueError, "event_time"),
        ({"x": [1]}, {"event_times": pa.array([None], pa.int64())}, ValueError, "event_times"),
        ({"x": [1]}, {"event_times": [1.5]}, ValueError, "event_time"),
        ({"x": [1]}, {"slices": {f"s{i}": ["a"] for i in range(65)}}, ValueError, "slices has 65"),
        ({"x": [1]}, {"version": ""}, ValueError, "version"),
        ({"x": ["y" * (MAX_EVENT_BYTES + 1), "z"]}, {}, ValueError, "row 0 has"),
    ],
)
def test_what_no_consumer_would_accept_is_refused_and_nothing_is_published(
    features: object, others: dict[str, Any], kind: type[Exception], what: str
) -> None:
    captured = Captured()
    with pytest.raises(kind, match=what):
        captured.publisher.publish_batch(features, **others)
    assert not captured.records


def test_nothing_published_is_no_record() -> None:
    captured = Captured()
    assert captured.publisher.publish_batch({"x": []}) == []
    assert captured.publisher.publish_batch({}) == []
    assert captured.publisher.publish_batch(pd.DataFrame({"x": []}), event_ids=[], scores=[]) == []
    assert not captured.records


def test_rows_are_counted_by_the_features_even_if_the_rules_leave_none() -> None:
    captured = Captured(pii={"*": "drop"})
    assert len(captured.publisher.publish_batch({"email": ["a", "b"]})) == 2
    assert [row["features"] for row in _one(captured)] == [{}, {}]


@given(st.lists(st.integers(1, 200_000), max_size=8), st.integers(0, 5000), st.integers(1, 300))
def test_records_are_cut_so_that_kafka_takes_them_and_all_rows_are_in_them_once(large: list[int], more: int, width: int) -> None:
    texts = ["x" * size for size in large] + [f"{i}" * (width // 4) for i in range(more)]
    batch = pa.RecordBatch.from_pydict({"event_id": [str(i) for i in range(len(texts))], "features.text": texts, "features.kind": ["k"] * len(texts)})
    records = list(encode_records(batch, model="m", version="1"))
    assert all(len(record.value) <= 900_000 and record.rows <= MAX_COLUMNAR_ROWS for record in records)
    assert [record.start for record in records] == [sum(r.rows for r in records[:i]) for i in range(len(records))]
    read = [pa.ipc.open_stream(record.value).read_all() for record in records]
    assert [text for table in read for text in table["features.text"].to_pylist()] == texts


def test_records_of_even_rows_are_filled() -> None:
    n = 50_000
    batch = pa.RecordBatch.from_pydict({"event_id": [f"{i:032d}" for i in range(n)], "features.kind": ["k"] * n, "features.x": np.zeros(n)})
    sizes = [len(record.value) for record in encode_records(batch, model="m", version="1")]
    assert min(sizes[1:-1]) > 600_000


def test_a_batch_arrives_over_all_partitions_and_each_of_its_events_is_counted(bootstrap: str, prefix: str, read: Read) -> None:
    n = 20_000
    frame = pd.DataFrame({f"f{i}": np.random.default_rng(i).normal(size=n) for i in range(20)})
    with Publisher(bootstrap_servers=bootstrap, topic_prefix=prefix, model="m") as publisher:
        ids = publisher.publish_batch(frame, scores=np.linspace(0, 1, n))
        assert publisher.flush(60)
        assert (publisher.stats.delivered, publisher.stats.waiting, publisher.lost) == (n, 0, 0)
    records = read(prefix + "inference-events")
    assert sorted(event_id for _, _, value, _, _ in records for event_id in _ids(value)) == sorted(ids)
    assert {partition for partition, _, _, _, _ in records} == {0, 1}
    assert all(headers == [("content-type", CONTENT_TYPE)] for _, _, _, headers, _ in records)


def _ids(value: bytes | None) -> list[str]:
    events = decode_columnar(value or b"")
    return [events.event_id(i) for i in range(len(events))]


def test_what_finds_no_room_is_lost_with_all_its_events_unless_one_waits_for_room(bootstrap: str, prefix: str) -> None:
    features = {"x": np.arange(30_000.0), "text": [f"{i:032d}" for i in range(30_000)]}
    lost: list[str] = []
    with Publisher(
        bootstrap_servers=bootstrap, topic_prefix=prefix, model="m", max_bytes=1_000_000, on_loss=lambda i, _: lost.append(i)
    ) as publisher:
        ids = publisher.publish_batch(features)
        assert publisher.lost > 0
        assert set(lost) < set(ids)
        assert len(lost) == publisher.lost
        assert publisher.flush(60)
        assert publisher.stats.published == len(ids)
        before = publisher.lost
        publisher.publish_batch(features, timeout=60)
        assert publisher.flush(60)
        assert publisher.lost == before
        assert publisher.stats.published == 2 * len(ids)


def test_without_pyarrow_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(SettingsError, match=r"driftline\[columnar\]"):
        Captured().publisher.publish_batch({"x": [1]})


def test_a_number_that_is_not_finite_is_null() -> None:
    captured = Captured()
    captured.publisher.publish_batch({"x": [math.inf, -math.inf, math.nan, 1.0]}, predictions=[math.nan, 1.0, math.inf, 0.0])
    rows = _one(captured)
    assert [row["features"]["x"] for row in rows] == [None, None, None, 1.0]
    assert [row["prediction"] for row in rows] == [None, 1.0, None, 0.0]
