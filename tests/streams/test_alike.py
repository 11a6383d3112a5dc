"""Events that are read by how they are written give the same rows, panes and predictions as the same events read one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed
from tests.streams.columnar_log import metadata, stream
from tests.streams.records import PANE, T0, Record, event, reference
from tests.streams.test_columnar import REFERENCES, _read
from tests.streams.test_predictions import one_by_one

pytest.importorskip("numba")

from driftline.contracts.alike_decoding import AlikeDecoder, compiling
from driftline.contracts.alike_events import AlikeEvents
from driftline.contracts.errors import DecodeError
from driftline.contracts.reference import Reference, seal
from driftline.contracts.settings import build_settings
from driftline.contracts.times import DAY_MS
from driftline.streams.admission import without
from driftline.streams.predictions import Poll, PredictionReader
from driftline.streams.reading import Decoded, ModelRows, Reader, decode
from driftline.streams.records import OTHER_VERSION
from driftline.streams.references import ReferenceBook

_N = reference("1", model="n")
#: Of ``m`` version 1 changes its features midway, and version 2 is seen through views; of ``n`` the second version comes to have one feature only.
BOOK = (*REFERENCES, _N, seal(changed(reference("1", T0 + 2 * PANE, model="n"), columns=_N.columns[:1])))
STEADY = (reference(), reference("2"), _N)
books = st.sampled_from([BOOK, STEADY])


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> None:
    assert compiling.wait()


def reader(*, learns: bool, book: Iterable[Reference] = BOOK) -> Reader:
    references = ReferenceBook()
    references.add(book)
    decoder = AlikeDecoder(learned_after=1, few=1) if learns else AlikeDecoder(learned_after=1 << 60)
    return Reader(references, {"n": 50}, 2_000, allowed_skew=60_000, _decoder=decoder)


def prediction_reader(*, learns: bool) -> PredictionReader:
    made = PredictionReader()
    made._decoder = AlikeDecoder(learned_after=1, few=1) if learns else AlikeDecoder(learned_after=1 << 60)
    return made


def by_template(items: Decoded) -> int:
    return sum(isinstance(content, AlikeEvents) for content in items.contents)


# ---- logs

FEATURES: dict[str, st.SearchStrategy[object]] = {
    "x": st.floats(-1e6, 1e6) | st.integers(-3, 3) | st.sampled_from([None, -0.0, 0.1, 1e300, 5e-324, "text", True, [1], 1 << 70]),
    "c": st.sampled_from(["a", "b", "1", 1, 1.0, True, False, None, "é", "", 'q"', 2.5, -0.0, 1 << 63, {"z": 1}]),
    "unknown": st.sampled_from(["a", None, 3]),
}
USUAL: dict[str, st.SearchStrategy[object]] = {
    "x": st.floats(-9, 9) | st.none(), "c": st.sampled_from(["a", "b", 1, 1.0, True, None]), "unknown": st.just(1)
}  # fmt: skip
some_ids = st.integers(0, 12).map("event-{}".format) | st.sampled_from(["", "é", "i" * 257, 'a"b', "a\x00", "~" * 256])
some_times = st.integers(T0, T0 + 3 * PANE) | st.sampled_from([
    T0 - 100 * DAY_MS, T0 + 100 * DAY_MS, T0 + DAY_MS, T0 + 70_000, T0 - 3 * PANE, 1, float(T0), "2020-09-13T12:26:40Z", "soon"
])  # fmt: skip
SEPARATORS = [(",", ":"), (", ", ": "), (" ,", ":  ")]


@dataclass(frozen=True)
class Producer:
    """Who writes all its events alike."""

    model: str
    features: tuple[str, ...]
    separators: tuple[str, str]
    more: tuple[str, ...]
    version: str | None


MORE: dict[str, list[object]] = {
    "version": ["1", "1", "1", "2", "3"],
    "prediction": [1, 0, 0.5, "yes", None, True],
    "score": [0.5, None, 0.125, 1],
    "slice": [{"r": "a"}, {"r": "b"}],
    "probabilities": [None, None, {}, {"1.0": 0.75}],
    "trace": ["t", 7],
}
producers = st.builds(
    Producer,
    st.sampled_from(["m", "m", "m", "n", "n", "new"]),
    st.sampled_from([("x", "c"), ("x", "c"), ("x", "c"), ("c", "x"), ("c", "x"), ("c", "unknown"), ("x",)]),
    st.sampled_from(SEPARATORS),
    st.lists(st.sampled_from(list(MORE)), unique=True).map(tuple),
    st.sampled_from([None, "1", "2", "3"]),
)


@st.composite
def written(draw: st.DrawFn, producer: Producer) -> Record:
    """An event of a producer: usual, or odd in whatever it holds."""
    odd = draw(st.integers(0, 3)) == 0
    names = draw(st.lists(st.sampled_from(list(FEATURES)), unique=True)) if odd and draw(st.booleans()) else producer.features
    features = {name: draw(FEATURES[name]) if odd else draw(USUAL[name]) for name in names}
    ids, times = (some_ids, some_times) if odd else (st.integers(0, 12).map("event-{}".format), st.integers(T0, T0 + 3 * PANE))
    content: dict[str, object] = {"event_id": draw(ids), "model": producer.model, "event_time": draw(times), "features": features}
    content |= {name: draw(st.sampled_from(MORE[name])) for name in producer.more}
    if producer.version is not None:
        content["version"] = producer.version
    return Record(0, json.dumps(content, separators=producer.separators).encode(), timestamp=T0 + 2 * PANE)


def _columnar(times: list[int]) -> Record:
    columns = {
        "event_id": [f"event-{i}" for i in range(len(times))],
        "event_time": times,
        "features.x": [0.5] * len(times),
        "features.c": ["b"] * len(times),
    }
    return Record(0, stream(pa.table(columns).replace_schema_metadata(metadata())), timestamp=T0 + 2 * PANE)


_PLAIN = event(0, T0 + 7, event_id="headed")
_NAMELESS = b'{"event_time":1600000000000,"features":{"x":1,"c":"a"},"model":"m"}'
CLOUD = [("ce_specversion", b"1.0"), ("ce_id", b"cloud"), ("ce_source", b"m"), ("ce_type", b"t")]
STRUCTURED = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
_ENVELOPE = b'{"specversion":"1.0","id":"s","source":"m","type":"t","data":%b}'
others = st.sampled_from([
    Record(0, None), Record(0, b""), Record(0, b"junk"), Record(0, b"{}"), Record(0, b" " * ((1 << 20) + 1)),
    replace(_PLAIN, headers=[("trace", b"1")]), replace(_PLAIN, headers=CLOUD), Record(0, _NAMELESS, T0, headers=CLOUD),
    Record(0, _ENVELOPE % (_PLAIN.value or b""), T0, headers=STRUCTURED), replace(_PLAIN, headers=STRUCTURED),
    replace(_PLAIN, headers=[("a", b"")] * 300),
])  # fmt: skip
columnar = st.lists(st.integers(T0, T0 + 3 * PANE) | st.just(T0 + 100 * DAY_MS), min_size=1, max_size=3).map(_columnar)


def numbered(records: Sequence[Record]) -> list[Record]:
    return [replace(record, offset=i) for i, record in enumerate(records)]


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """Events of one to three producers, and other records between them."""
    many = draw(st.lists(producers, min_size=1, max_size=3))
    usual = st.sampled_from(many).flatmap(written)
    either = st.integers(0, 7).flatmap(lambda i: others | columnar if i == 7 else usual)
    return numbered(draw(st.lists(either, min_size=1, max_size=4)) + draw(st.lists(either, min_size=12, max_size=12)))


# ---- rows


def flat(rows: Sequence[ModelRows]) -> list[str]:
    """Each row by itself, in one order."""
    found = []
    for part in rows:
        r = part.rows
        features = r.dicts()
        counts = [{name: int(n[i]) for name, n in sorted(r.quality.items()) if n[i]} for i in range(len(r))]
        for i in range(len(r)):
            row = (r.event_ids[i], int(r.places[i]), int(r.times[i]), bool(r.late[i]), r.versions[i], sorted(features[i].items()))
            found.append(repr((part.model, part.reference and part.reference.reference_id, row, r.predictions[i], r.scores[i], counts[i])))
    return sorted(found)


def whole(reader: Reader, pieces: Iterable[Decoded]) -> tuple[list[str], list[tuple[int, str, str]], int, int]:
    """All rows, what was refused, the watermark and the newest time."""
    rows, refused, watermark, newest = list[ModelRows](), [], 0, 0
    for items in pieces:
        found, rejected, watermark, latest = reader.read(items, watermark)
        rows += found
        refused += [(one.record.offset, one.error.code, one.error.reason) for one in rejected]
        newest = max(newest, latest)
    return flat(rows), sorted(refused), watermark, newest


def test_rows_and_panes_are_the_same_by_template_and_one_by_one() -> None:
    used = 0

    @settings(max_examples=80, deadline=None)
    @given(logs(), books, st.sampled_from([1, 1, 6]), st.integers(1, 3_000))
    def same(log: list[Record], book: Sequence[Reference], times: int, budget: int) -> None:
        nonlocal used
        log = numbered(log * times)
        learner, plain = reader(learns=True, book=book), reader(learns=False, book=book)
        alone = _read([decode([record]) for record in log], reader(learns=False, book=book))
        for _ in range(3):  # the first time it learns what to expect, the second time how it is written
            items, expected = learner.decode(log), plain.decode(log)
            assert by_template(expected) == 0
            assert items.versions() == expected.versions()
            assert whole(learner, [items]) == whole(plain, [expected])
            used += by_template(items)
            assert _read([learner.decode(log)], learner) == alone
            pieces = list(learner.pieces(log, budget=budget))
            assert [record for piece in pieces for record in piece.records] == log
            assert _read(pieces, learner) == alone

    same()
    assert used > 200


def test_rows_are_the_same_whatever_is_refused_and_wherever_records_are_parted() -> None:
    used = 0
    pairs = [(m, v) for m in ("m", "n", "new") for v in ("1", "2", "3")]

    @settings(max_examples=60, deadline=None)
    @given(logs(), books, st.sets(st.sampled_from(["n", "new"]), max_size=1), st.sets(st.sampled_from(pairs), max_size=3), st.integers(0, 20))
    def same(log: list[Record], book: Sequence[Reference], models: set[str], versions: set[tuple[str, str]], cut: int) -> None:
        nonlocal used
        learner, plain = reader(learns=True, book=book), reader(learns=False, book=book)
        for _ in range(4):
            items, expected = (without(one.decode(log), models, versions, 3) for one in (learner, plain))
            assert items.versions() == expected.versions()
            assert not {model for model, _ in items.versions()} & models
            assert not items.versions() & versions
            ends = (items.part(cut), items.part(0, cut)) if 0 < cut < len(log) else (items, items)
            wanted = (expected.part(cut), expected.part(0, cut)) if 0 < cut < len(log) else (expected, expected)
            used += by_template(items)
            for mine, others_ in zip(ends, wanted, strict=True):
                assert whole(learner, [mine]) == whole(plain, [others_])
            chosen = list(range(cut % 3, len(log), 2))
            assert whole(learner, [items.chosen(chosen)]) == whole(plain, [expected.chosen(chosen)])

    same()
    assert used > 50


def mixed(n: int, versions: str = "12", models: str = "mn") -> list[Record]:
    return [event(i, T0 + i, version=versions[i % len(versions)], model=models[i % len(models)]) for i in range(n)]


def test_a_part_names_the_versions_of_its_own_records() -> None:
    learner = reader(learns=True, book=[reference()])
    log = [event(i, T0 + i, version="1" if i < 20 else "2") for i in range(40)]
    for _ in range(3):
        learner.read(items := learner.decode(log), 0)
    assert by_template(items) == 40
    assert items.versions() == {("m", "1"), ("m", "2")}
    assert items.part(0, 20).versions() == {("m", "1")}
    assert items.chosen(range(20, 40)).versions() == {("m", "2")}


def test_models_and_versions_in_one_piece_part_into_their_own_rows() -> None:
    learner, plain = reader(learns=True, book=[reference(), reference("2"), _N]), reader(learns=False, book=[reference(), reference("2"), _N])
    log = mixed(60)
    for _ in range(3):
        learner.read(learner.decode(log), 0)
    items = learner.decode(log)
    assert by_template(items) == 60
    assert {len(part.rows) for part in learner.read(items, 0)[0]} == {30}
    assert whole(learner, [items]) == whole(plain, [plain.decode(log)])


def test_events_of_a_refused_version_part_from_those_that_are_written_alike_which_stay_so() -> None:
    learner = reader(learns=True, book=[reference(), _N])
    log = mixed(60, "123", "mnnm")
    for _ in range(3):
        learner.read(learner.decode(log), 0)
    judged = without(learner.decode(log), set(), {("m", "2"), ("m", "3")}, 3)
    assert judged.versions() == {("m", "1"), ("m", OTHER_VERSION), ("n", "1"), ("n", "2"), ("n", "3")}
    refused = sum(record.value is not None and b'"m","version":"1"' not in record.value for record in log) - 30
    assert by_template(judged) == 60 - refused
    rows = [row for part in learner.read(judged, 0)[0] for row in part.rows.versions]
    assert rows.count(OTHER_VERSION) == refused > 10


def test_a_refused_version_now_and_then_does_not_have_templates_given_up() -> None:
    learner = reader(learns=True, book=[reference()])
    log = [event(i, T0 + i, version="9" if i == 5 else "1") for i in range(600)]
    for _ in range(12):
        judged = without(learner.decode(log), set(), {("m", "9")}, 3)
        learner.read(judged, 0)
    assert by_template(judged) == 599


def test_late_and_far_ahead_rows_are_the_same() -> None:
    log = [
        event(i, T0 + at, appended=T0) for i, at in enumerate([0, 9_000, 1, 60_000, 60_001, 2, DAY_MS + 60_000, DAY_MS + 60_001, -91 * DAY_MS, 3] * 4)
    ]
    learner, plain = reader(learns=True, book=[reference()]), reader(learns=False, book=[reference()])
    for _ in range(3):
        mine = whole(learner, [items := learner.decode(log)])
        assert mine == whole(plain, [plain.decode(log)])
    assert by_template(items) == 40
    assert {code for _, code, _ in mine[1]} == {"time_ahead", "time_behind"}


def test_a_reference_that_changes_its_shape_midway_reads_each_event_as_its_time_says() -> None:
    other = seal(changed(reference("1", T0 + PANE), columns=tuple(changed(c, name={"x": "c", "c": "x"}[c.name]) for c in reference().columns)))
    log = [event(i, T0 + 250 * i, features={"x": i % 5 if i < 20 else "a", "c": "b" if i < 20 else i % 5}) for i in range(40)]
    learner, plain = reader(learns=True, book=[reference()]), reader(learns=False, book=[reference()])
    used = []
    for records in (log, log, log, log[:20], log, log[20:], log[20:], log[20:], log):
        items = learner.decode(records)
        used.append(by_template(items))
        if len(used) == 4:  # what was read for the one reference meets the other
            for one in (learner, plain):
                one.references.add([other])
        assert whole(learner, [items]) == whole(plain, [plain.decode(records)])
    assert used[2:4] == [20, 20]
    assert used[7:] == [20, 20]


def test_a_tombstone_first_in_a_piece_is_no_event() -> None:
    book = [changed(reference(), columns=reference().columns[:1])]
    learner = reader(learns=True, book=map(seal, book))
    log = [Record(i, b'{"event_id":"a","model":"m","event_time":1600000000000,"features":{"x":1.5}}') for i in range(3)]
    for _ in range(3):
        learner.read(items := learner.decode(log), 0)
    assert by_template(items) == 3
    hollow: list[list[Record]] = [
        [Record(0, None)],
        [Record(0, None), Record(1, b"junk")],
        [Record(0, b""), *log[1:]],
        [Record(0, None, headers=CLOUD), *log[1:]],
    ]
    for records in hollow:
        rows, rejected, *_ = learner.read(learner.decode(records), 0)
        assert [one.error.code for one in rejected] == [c.code for c in decode(records).contents if isinstance(c, DecodeError)]
        assert sum(len(part.rows) for part in rows) == len(records) - len(rejected)


def test_a_decoder_as_it_is_used_reads_by_template_what_is_usual() -> None:
    book = ReferenceBook()
    book.add([reference()])
    made = Reader(book, {}, 2_000, allowed_skew=60_000)
    log = [event(i, T0 + i, features={"x": i / 7, "c": "abc"[i % 3]}) for i in range(6_000)]
    used = 0
    pieces = []
    watermark = 0
    for piece in made.pieces(log):
        rows, _, watermark, _ = made.read(piece, watermark)
        pieces += rows
        used += by_template(piece)
    assert used == 6_000 - 3 * 1_024 - (0 if 6_000 % 1_024 > 32 else 6_000 % 1_024)
    expected = reader(learns=False, book=[reference()])
    assert flat(pieces) == whole(expected, expected.pieces(log))[0]


# ---- the join


def _bytes(poll: Poll) -> tuple[bytes, int, int]:
    return msgspec.msgpack.encode(poll.predictions, order="deterministic"), poll.watermark, poll.newest


@pytest.mark.parametrize("share", [1.0, 0.2])
def test_the_join_keeps_the_same_predictions(share: float) -> None:
    used = 0
    configured = build_settings(
        {"defaults": {"outcome_sample": share, "max_features": 2, "pii": {"c": "drop"}}, "models": {"n": {"pii": {"x": "drop"}}}}
    )

    @settings(max_examples=40, deadline=None)
    @given(logs())
    def same(log: list[Record]) -> None:
        nonlocal used
        learner, plain = prediction_reader(learns=True), prediction_reader(learns=False)
        log = numbered(log * 17)  # of fewer events of a model nothing is learned
        alone = prediction_reader(learns=False)
        each = [alone([record], configured) for record in log]
        expected = [row for poll in each for row in poll.predictions]
        for _ in range(3):
            poll = learner(log, configured)
            assert _bytes(poll) == _bytes(plain(log, configured))
            assert _bytes(poll)[0] == msgspec.msgpack.encode(expected, order="deterministic")
            assert poll.watermark == max(one.watermark for one in each)
            assert poll.newest == max(one.newest for one in each)
        used += sum(isinstance(content, AlikeEvents) for content in learner._decode(log, configured))

    same()
    # Where the sample keeps them all, each has to be read by itself, and templates are of no use.
    assert (used > 300) == (share < 1.0)


@pytest.mark.parametrize("build", [lambda i: event(i, T0 + i), lambda i: event(i, T0 + i, model="mn"[i % 2])], ids=["one model", "two"])
def test_of_usual_events_the_join_keeps_what_its_sample_does(build: Callable[[int], Record]) -> None:
    configured = build_settings({"defaults": {"outcome_sample": 0.2}})
    log = [build(i) for i in range(200)]
    learner = prediction_reader(learns=True)
    for _ in range(3):
        poll = learner(log, configured)
    assert all(isinstance(content, AlikeEvents) for content in learner._decode(log, configured))
    assert poll.predictions == one_by_one(log, 0.2).predictions
    assert 20 < len(poll.predictions) < 70
    assert np.all(np.diff([row.event_time for row in poll.predictions]) > 0)
