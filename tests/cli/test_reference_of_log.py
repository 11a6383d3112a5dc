"""A reference of a stretch of the log, on a real broker: it is the one that the same rows in a frame make."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from kafka import KafkaProducer
from sqlalchemy import Engine
from tests.store import builders
from tests.streams.columnar_log import metadata, stream
from typer.testing import CliRunner, Result

from driftline.cli.config import load_settings
from driftline.cli.frames import reference_from_frame
from driftline.cli.main import app
from driftline.cli.topics import ensure_topics
from driftline.contracts.ids import sample_hash
from driftline.contracts.reference import Reference
from driftline.contracts.settings import Settings, build_settings
from driftline.contracts.summaries import Progress
from driftline.contracts.times import DAY_MS, HOUR_MS, MINUTE_MS, format_time
from driftline.store import detection, references
from driftline.store.database import migrate, open_database

Run = Callable[..., Result]

NOW = int(time.time() * 1000)
START = NOW // HOUR_MS * HOUR_MS - 2 * DAY_MS
SINCE, UNTIL = START + 5 * HOUR_MS, START + 25 * HOUR_MS
N = 1_500


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Events from 30 hours, of two versions; ``made`` is when the record says it was made, mostly at once, at times many hours later."""
    rng = np.random.default_rng(3)
    at = START + np.sort(rng.integers(0, 30 * HOUR_MS, N))
    x = rng.normal(size=N)
    x[::40] = np.nan
    return pd.DataFrame(
        {
            "event_id": [f"e{i}" for i in range(N)],
            "at": at,
            "made": at + np.where(rng.random(N) < 0.1, 12 * HOUR_MS, 20),
            "version": rng.choice(["1", "2"], N),
            "x": x,
            "rooms": rng.integers(0, 9, N),
            "town": pd.Series(rng.choice(["north", "south", ""], N)).replace("", None),
            "prediction": rng.integers(0, 2, N).astype(float),
            "score": rng.random(N),
            "label": rng.integers(0, 2, N),
        }
    )


@pytest.fixture(scope="module")
def folder(bootstrap: str, tmp_path_factory: pytest.TempPathFactory, rows: pd.DataFrame) -> Path:
    made = tmp_path_factory.mktemp("of-log")
    tree = {
        "kafka": {"bootstrap_servers": bootstrap, "topic_prefix": f"t{time.time_ns()}-", "partitions": 3},
        "database": f"sqlite:///{made / 'd.db'}",
        "models": {"m": {"task": "classification", "outcome_sample": 0.5}},
    }
    (made / "driftline.yaml").write_text(yaml.safe_dump(tree))
    settings = load_settings(made / "driftline.yaml", {})
    ensure_topics(settings)
    engine = open_database(settings.database)
    migrate(engine)
    engine.dispose()
    _publish(settings, rows)
    return made


def _publish(settings: Settings, rows: pd.DataFrame) -> None:
    prefix = settings.kafka.topic_prefix
    producer = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)

    def send(topic: str, value: bytes | None, at: int, partition: int) -> None:
        producer.send(prefix + topic, value=value, partition=partition, timestamp_ms=at, key=b"k")

    whole = rows.astype(object).where(rows.notna(), None)
    told = [dict(zip(whole.columns, row, strict=True)) for row in whole.itertuples(index=False)]
    for i, row in enumerate(told[:1_200]):
        features = {name: row[name] for name in ("x", "rooms", "town")}
        event: dict[str, Any] = {"model": "m", "event_time": row["at"], "features": features}
        event |= {name: row[name] for name in ("event_id", "version", "prediction", "score")}
        for _ in range(2 if i % 50 == 0 else 1):  # some come twice
            send("inference-events", json.dumps(event).encode(), row["made"], i % 3)
    for version in ("1", "2"):  # the rest in columns
        some = [row for row in told[1_200:] if row["version"] == version]
        columns: dict[str, pa.Array] = {name: pa.array([row[name] for row in some]) for name in ("event_id", "prediction", "score")}
        columns |= {f"features.{name}": pa.array([row[name] for row in some]) for name in ("x", "rooms", "town")}
        table = pa.table({**columns, "event_time": pa.array([row["at"] for row in some], pa.int64())})
        send("inference-events", stream(table.replace_schema_metadata(metadata("m", version))), max(row["made"] for row in some), 1)
    other = {"event_id": "o", "model": "other", "version": "1", "event_time": SINCE, "features": {"z": 1}}
    for value in (None, b"{", b"\xff", b'{"event_id": 3}', json.dumps(other).encode()):
        send("inference-events", value, SINCE, 0)
    for i, row in enumerate(told):
        say: dict[str, Any] = {"event_id": row["event_id"], "model": "m", "event_time": row["at"] + 10 * MINUTE_MS, "label": 1 - row["label"]}
        send("label-events", json.dumps(say).encode(), say["event_time"], i % 3)
        say |= {"event_time": row["at"] + HOUR_MS, "label": row["label"] if i % 4 else None}  # corrected, or withdrawn
        send("label-events", json.dumps(say).encode(), say["event_time"], (i + 1) % 3)
    producer.flush()
    producer.close()
    # What was taken back is nothing, and the log ends with the marker that says so.
    undone = KafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers, transactional_id=f"{prefix}undone")
    undone.init_transactions()
    undone.begin_transaction()
    event = {"event_id": "undone", "model": "m", "version": "1", "event_time": SINCE, "features": {"x": 1.0}}
    for partition in range(3):
        undone.send(f"{prefix}inference-events", value=json.dumps(event).encode(), partition=partition, timestamp_ms=SINCE)
    undone.flush()
    undone.abort_transaction()
    undone.close()


@pytest.fixture
def run(folder: Path) -> Run:
    def invoke(*arguments: str, exits: int = 0) -> Result:
        result = CliRunner().invoke(app, ["--config", str(folder / "driftline.yaml"), "reference", "build", "--model", "m", *arguments])
        assert result.exit_code == exits, (result.stdout, result.stderr, result.exception)
        return result

    return invoke


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    found = open_database(load_settings(folder / "driftline.yaml", {}).database)
    yield found
    found.dispose()


def _stretch(since: int = SINCE, until: int = UNTIL) -> tuple[str, ...]:
    return "--from-log", "--since", format_time(since), "--until", format_time(until)


def _frame(rows: pd.DataFrame, version: str | None = None) -> pd.DataFrame:
    """The rows that fit, in the order of the log's rows."""
    chosen = rows[(rows["at"] >= SINCE) & (rows["at"] < UNTIL)]
    chosen = chosen if version is None else chosen[chosen["version"] == version]
    place = chosen["event_id"].map(sample_hash)
    return chosen.assign(place=place).sort_values(["at", "place"])


def _built(folder: Path, frame: pd.DataFrame, rows: str = "all", **more: Any) -> Reference:
    tree = yaml.safe_load((folder / "driftline.yaml").read_text())
    settings = build_settings({**tree, "models": {"m": {**tree["models"]["m"], "reference_rows": rows}}})
    columns = {"time": "at", "score": "score", "prediction": "prediction", "features": ("rooms", "town", "x")}
    return reference_from_frame(frame, settings, model="m", **{**columns, **more})[0]


@pytest.mark.parametrize("version", [None, "2"])
def test_it_is_the_one_that_the_same_rows_in_a_frame_make(run: Run, folder: Path, rows: pd.DataFrame, version: str | None) -> None:
    named = () if version is None else ("--version", version)
    built = run(*_stretch(), "--no-labels", *named, "--json")
    told, same = json.loads(built.stdout), _built(folder, _frame(rows, version), version=version or "*")
    assert told["reference_id"] == same.reference_id
    assert 100 < told["rows"] == len(_frame(rows, version))
    if version is None:
        assert "came again under an id" in built.stderr
        assert "4 records" in built.stderr


def test_it_has_what_became_of_the_events_as_the_join_would(run: Run, folder: Path, rows: pd.DataFrame, engine: Engine) -> None:
    told = json.loads(run(*_stretch(), "--json").stdout)
    frame = _frame(rows)
    number = frame["event_id"].str[1:].astype(int)
    frame["said"] = frame["label"].astype(float).where(number % 4 != 0, None)
    same = _built(folder, frame, label="said")
    found = references.get(engine, told["reference_id"])
    assert found is not None
    assert (found.columns, found.outcomes, found.terms, found.outcome_terms) == (same.columns, same.outcomes, same.terms, same.outcome_terms)
    assert (found.performance, found.labelled_rows) == (same.performance, same.labelled_rows)
    assert found.label_delay_p95 == HOUR_MS


def test_of_more_events_than_are_wanted_an_even_sample(run: Run, folder: Path, rows: pd.DataFrame) -> None:
    built = run(*_stretch(), "--no-labels", "--rows", "200", "--json")
    frame = _frame(rows)
    least = frame.nsmallest(200, "place").sort_values(["at", "place"])
    same = _built(folder, least, rows="sampled")
    assert "more than --rows 200: 200 of them" in built.stderr
    assert json.loads(built.stdout)["rows"] == 200
    # How many are normal is nothing that a sample could tell.
    assert json.loads(built.stdout)["reference_id"] == same.reference_id


def test_it_holds_after_all_that_was_watched(run: Run, engine: Engine) -> None:
    assert json.loads(run(*_stretch(), "--no-labels", "--json").stdout)["effective_from"] < UNTIL
    newest = NOW + HOUR_MS
    source = Progress("summarise", 0, 3, 10, newest, 0, idle=False, newest=newest)
    detection.commit(engine, builders.change(None, 1, watermark=newest, sources=[source]))
    assert json.loads(run(*_stretch(), "--no-labels", "--json").stdout)["effective_from"] > newest
    stated = run(*_stretch(), "--effective-from", "2020-01-01", "--no-labels", "--feature", "x", "--json")
    assert json.loads(stated.stdout)["effective_from"] == 1_577_836_800_000
    assert json.loads(stated.stdout)["columns"] == ["x", "prediction", "score"]


def test_what_the_settings_do_not_keep_is_left_out_unless_it_is_named(folder: Path) -> None:
    tree = yaml.safe_load((folder / "driftline.yaml").read_text())
    private = folder / "private.yaml"
    private.write_text(yaml.safe_dump({**tree, "models": {"m": {**tree["models"]["m"], "pii": {"town": "drop"}}}}))
    command = ["--config", str(private), "reference", "build", "--model", "m", *_stretch(), "--no-labels", "--json"]
    bare, named = (CliRunner().invoke(app, [*command, *more]) for more in ((), ("--feature", "town")))
    assert json.loads(bare.stdout)["columns"] == ["rooms", "x", "prediction", "score"]
    assert "note: town left out" in bare.stderr
    assert json.loads(named.stdout)["columns"] == ["town", "prediction", "score"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (_stretch(START - 9 * DAY_MS, START - 8 * DAY_MS), r"no events of m from .* to .*; it holds 1,524 of m, from .* to "),
        ((*_stretch(), "--version", "3"), r"no events of m 3 from .*; there it holds versions 1, 2"),
        ((*_stretch(), "--model", "n", "--task", "regression"), r"no events of n at all; it holds events of: m, other; 4 records can't be used"),
        ((*_stretch(), "--feature", "y"), "--feature: 'y' is not accepted; expected features of m's events: rooms, town, x"),
        (("--from-log", "--since", "2024-01-01"), "--until: None is not accepted; expected with --from-log a date"),
        (_stretch(UNTIL, SINCE), "--until: .* expected a time after"),
        ((*_stretch(), "rows.csv"), "FILE: 'rows.csv' is not accepted; expected nothing: it goes with a file"),
        ((*_stretch(), "--score-column", "p"), "--score-column: 'p'"),
        (("rows.csv", "--time-column", "at", "--since", "2024-01-01"), "--since: .*: it goes with --from-log"),
        (("rows.csv",), "--time-column, or of the log"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(run: Run, arguments: tuple[str, ...], says: str) -> None:
    assert re.search(says, " ".join(run(*arguments, exits=2).stderr.split()))
