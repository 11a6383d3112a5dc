"""What summarise costs per event, in this process alone: prebuilt records in, encoded summaries out, no broker.

    .venv/bin/python -m benchmarks.summarise_inprocess [--json] [--events 100000] [--features 20] [--categorical 4] [--slices 20] [--profile]

Every form is timed in the same run, several times in turn, and reported by the median: the ratios hold where the seconds don't. With ``--slices``
also where five features, prediction and score are counted in so many slices; and what the summaries and a pane of either kind weigh.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftline.contracts.alike_decoding import compiling
from driftline.contracts.cutting import Cuts
from driftline.contracts.reference import Column, NumericColumn, Reference, seal
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.summaries import decode_summary, encode_summary
from driftline.detectors.binning import slots_of
from driftline.detectors.columns import categorical_column, numeric_column
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane
from driftline.detectors.parts import PartBuilder
from driftline.detectors.slicing import Parent, Sliced, codes_of, slice_columns
from driftline.streams.blocks import Origin, SourceBlocks
from driftline.streams.predictions import PredictionReader
from driftline.streams.reading import Reader
from driftline.streams.references import ReferenceBook
from driftline.streams.summarising import cut_of

START = 1_790_000_000_000
POLL = 8_000
PANE_MS = 5_000
SAMPLE_ROWS = 64
#: Events a second of event time: a pane holds five seconds of them.
RATE = 20_000
#: The join with one outcome in a hundred kept: what it costs to leave the others out.
SAMPLED = build_settings({"defaults": {"outcome_sample": 0.01}})
CATEGORIES = [f"value-{i}" for i in range(12)]


@dataclass(frozen=True)
class Record:
    """A record as a consumer hands it over."""

    offset: int
    value: bytes
    timestamp: int
    topic: str = "inference-events"
    partition: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True)
class Made:
    """Columns of made events: ids, times, scores, and the features by name."""

    ids: list[str]
    times: list[int]
    scores: list[float]
    features: dict[str, list[float] | list[str]]


def made(events: int, features: int, categorical: int) -> Made:
    """Return ``events`` events of so many features, the last ``categorical`` of them texts."""
    rng = np.random.default_rng(3)
    columns: dict[str, list[float] | list[str]] = {
        f"feature_{i:02d}": rng.normal(i, 1 + i / 4, events).tolist() for i in range(features - categorical)
    }
    for i in range(features - categorical, features):
        columns[f"feature_{i:02d}"] = [CATEGORIES[j] for j in np.minimum(rng.geometric(0.3, events), len(CATEGORIES)) - 1]
    ids = [rng.bytes(16).hex() for _ in range(events)]
    return Made(ids, [START + i * 1_000 // RATE for i in range(events)], rng.beta(2, 3, events).tolist(), columns)


def reference_of(rows: Made, slices: int = 0) -> Reference:
    """Return a reference of the default shape: 64 quantile bins, the most frequent categories; and slices of as many features as that takes."""
    times = np.array(rows.times, np.int64)
    columns = [
        numeric_column(name, "feature", values, 64)[0] if isinstance(values[0], float) else categorical_column(name, "feature", values, 20, times)[0]
        for name, values in rows.features.items()
    ]
    columns += [numeric_column("prediction", "prediction", [float(s > 0.5) for s in rows.scores], 64)[0]]
    columns += [numeric_column("score", "score", rows.scores, 64)[0]]
    columns += list(sliced_columns(rows, columns, times, slices))
    return seal(
        Reference(
            model="made", version="1", effective_from=0, origin="built", task="classification", columns=tuple(columns), rows=len(times),
            span_start=START, span_end=START + 1,
        )
    )  # fmt: skip


def sliced_columns(rows: Made, columns: Sequence[Column], times: NDArray[np.int64], slices: int) -> Iterator[Column]:
    """Yield the columns of so many slices: the values of the last feature, then of the one before it ..., and all others of each."""
    crossed = (*columns[:5], *columns[-2:])
    made = {**rows.features, "prediction": [float(s > 0.5) for s in rows.scores], "score": rows.scores}
    parents = [Parent(column, slots_of(column, made[column.name]), np.arange(len(times))) for column in crossed]
    taken = {column.name for column in columns}
    for feature in reversed(rows.features):
        if slices < 2:
            return
        values = tuple(CATEGORIES[: min(slices - 1, len(CATEGORIES))])
        slices -= len(values) + 1
        sliced = Sliced(feature, values, codes_of(values, rows.features[feature]), hidden=False)
        yield from (column for column, _ in slice_columns(sliced, parents, times, taken))


def weights(records: Sequence[Record], reference: Reference) -> dict[str, float]:
    """Return the bytes of a summary for each event, and of a pane of five seconds as the store keeps it, its sample left out."""
    sent = summarise(records, reference)
    layout = layout_of(reference, "features")
    panes: dict[int, Pane] = {}
    for raw in sent:
        for part in decode_summary(raw).panes:  # type: ignore[union-attr]  # blocks are all there is here
            panes.setdefault(part.start, Pane(layout, 0)).add(part)
    sizes = [len(pane.encode()) for pane in panes.values()]
    return {"slots": layout.slots, "bytes_per_event": round(sum(map(len, sent)) / len(records), 1), "bytes_per_pane": round(sum(sizes) / len(sizes))}


def json_records(rows: Made) -> list[Record]:
    """Return one record of JSON for each event."""
    names, records = list(rows.features), []
    for i, (event_id, at, score, *values) in enumerate(zip(rows.ids, rows.times, rows.scores, *rows.features.values(), strict=True)):
        event = {
            "event_id": event_id, "model": "made", "version": "1", "event_time": at, "features": dict(zip(names, values, strict=True)),
            "prediction": int(score > 0.5), "score": score,
        }  # fmt: skip
        records.append(Record(i, msgspec.json.encode(event), at))
    return records


def columnar_records(rows: Made, rows_per_record: int = 4_000) -> list[Record]:
    """Return records of many events each, as Arrow IPC streams."""
    columns: dict[str, pa.Array] = {"event_id": pa.array(rows.ids), "event_time": pa.array(rows.times)}
    columns["prediction"], columns["score"] = pa.array([float(score > 0.5) for score in rows.scores]), pa.array(rows.scores)
    for name, values in rows.features.items():
        column = pa.array(values)
        columns[f"features.{name}"] = column.dictionary_encode() if pa.types.is_string(column.type) else column
    metadata = {"driftline.schema_version": "1", "driftline.model": "made", "driftline.version": "1"}
    table = pa.table(columns).replace_schema_metadata(metadata)
    records = []
    for i, start in enumerate(range(0, len(rows.ids), rows_per_record)):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table.slice(start, rows_per_record))
        records.append(Record(i, sink.getvalue().to_pybytes(), rows.times[min(start + rows_per_record, len(rows.ids)) - 1]))
    return records


def summarise(records: Sequence[Record], reference: Reference, *, poll: int = POLL) -> list[bytes]:
    """Take records through the whole summarise step but Kafka; return the encoded summaries."""
    book = ReferenceBook()
    book.add([reference])
    reader = Reader(book, {}, 60_000, 60_000)
    cuts = Cuts(((0, cut_of(SAMPLED)),))
    blocks = SourceBlocks(
        0, Origin(0, 0, whole=True), cuts=cuts, reader=reader, new_builder=lambda _: PartBuilder(PANE_MS, SAMPLE_ROWS, 5_000, {}, repeats=True)
    )  # fmt: skip
    sent = []
    for i in range(0, len(records), poll):
        for piece in reader.pieces(records[i : i + poll]):
            blocks.feed(piece)
        if blocks.pending > 256:
            sent += [encode_summary(s) for s in blocks.take().summaries]
    return sent + [encode_summary(s) for s in blocks.take().summaries]


def predictions(records: Sequence[Record], settings: Settings, *, poll: int = POLL) -> int:
    """Read records as the join does before its SQL; return how many predictions the sample keeps."""
    read = PredictionReader()
    return sum(len(read(records[i : i + poll], settings).predictions) for i in range(0, len(records), poll))


def decode_alone(records: Sequence[Record], reference: Reference) -> int:
    """Decode each record with msgspec into a struct made from the model's columns, and nothing else."""
    feature = [c for c in reference.columns if c.role == "feature"]
    kinds = [(c.name, (float if isinstance(c, NumericColumn) else str) | None) for c in feature]
    event = msgspec.defstruct(
        "Event", [("event_id", str), ("model", str), ("version", str), ("event_time", int), ("features", msgspec.defstruct("F", kinds, gc=False)),
                  ("prediction", float | None), ("score", float | None)], gc=False,
    )  # fmt: skip
    decoder = msgspec.json.Decoder(event)
    return len([decoder.decode(record.value) for record in records])


def rates(forms: dict[str, Callable[[], object]], events: int, repeats: int) -> dict[str, list[float]]:
    """Return the events per second of each form, run in turn ``repeats`` times."""
    found: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(repeats):
        for name, form in forms.items():
            began = time.process_time()
            form()
            found[name].append(events / (time.process_time() - began))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=20)
    parser.add_argument("--categorical", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--slices", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true", help="print the functions that cost most instead")
    given = parser.parse_args()
    compiling.wait()
    rows = made(given.events, given.features, given.categorical)
    reference, records, columnar = reference_of(rows), json_records(rows), columnar_records(rows)
    forms: dict[str, Callable[[], object]] = {
        "decode_alone": lambda: decode_alone(records, reference),
        "json": lambda: summarise(records, reference),
        "columnar": lambda: summarise(columnar, reference),
        "join_json_sampled": lambda: predictions(records, SAMPLED),
        "join_columnar_sampled": lambda: predictions(columnar, SAMPLED),
    }
    sliced = reference_of(rows, given.slices) if given.slices else None
    if sliced is not None:
        forms |= {"json_sliced": lambda: summarise(records, sliced), "columnar_sliced": lambda: summarise(columnar, sliced)}
    if given.profile:
        for name in set(forms) - {"decode_alone"}:
            profile = cProfile.Profile()
            profile.runcall(forms[name])
            print(name)
            pstats.Stats(profile).sort_stats("tottime").print_stats(22)
        return
    found = rates(forms, given.events, given.repeats)
    middle = {name: statistics.median(each) for name, each in found.items()}
    result = {
        "bytes_per_event": round(sum(len(r.value) for r in records) / given.events),
        "events_per_cpu_second": {name: round(rate) for name, rate in middle.items()},
        "of_decode_alone": {name: round(rate / middle["decode_alone"], 2) for name, rate in middle.items()},
        "weights": {"whole": weights(records, reference), **({"sliced": weights(records, sliced)} if sliced is not None else {})},
        "spread": {name: [round(min(each)), round(max(each))] for name, each in found.items()},
    }
    if given.json:
        json.dump(result, sys.stdout, indent=2)
        print()
        return
    for name, rate in middle.items():
        low, high = result["spread"][name]  # type: ignore[index]
        print(f"{name:22} {rate:12,.0f} events/s of CPU ({low:,} to {high:,}), {1e6 / rate:6.2f} us an event")
    for name, told in result["weights"].items():  # type: ignore[attr-defined]
        print(f"{name}: {told['slots']:,} slots, {told['bytes_per_event']} bytes of summary an event, {told['bytes_per_pane']:,} bytes a pane")


if __name__ == "__main__":
    main()
