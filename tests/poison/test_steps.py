"""Poison on every topic of real steps on a real broker: they stay up, count what is good, and bury the rest once, with its bytes and the reason.

The short form takes 20,000 bad inputs; ``make poison`` (``DRIFTLINE_POISON=long``) more than 100,000, a million models and a million categories.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
import pytest
from tests.poison import good
from tests.poison.corpus import AT, USED, Bad, corpus, event, label
from tests.poison.mutations import bad_inputs, spoilt
from tests.poison.scene import MODEL, PARTITIONS, Scene, Sent, ToSend, send, set_scene

from driftline.contracts.columnar import FEATURE_PREFIX, encode_columns
from driftline.contracts.deadletters import DeadLetter
from driftline.contracts.errors import DecodeError
from driftline.contracts.events import InferenceEvent, decode_inference, decode_label
from driftline.contracts.findings import RetrainTrigger, decode_json
from driftline.contracts.json_values import FeatureDecoder, decode_features
from driftline.contracts.reference import CategoricalColumn
from driftline.contracts.summaries import decode_summary
from driftline.contracts.times import DAY_MS, MINUTE_MS
from driftline.detectors.layout import layout_of
from driftline.detectors.pane import Pane
from driftline.store import admissions, detection, outcomes, panes
from driftline.streams.detect.cells import LEARNING_LAYOUT

pytestmark = pytest.mark.timeout(3_600 if os.environ.get("DRIFTLINE_POISON") == "long" else 300)

LONG = os.environ.get("DRIFTLINE_POISON") == "long"
MUTATED = 60_000 if LONG else 9_000
GOOD = 20_000 if LONG else 3_000
#: Times that the corpus is sent: more often than once, so that the same id comes again.
ROUNDS = 20 if LONG else 3
#: Events that each bring a name of their own: of a model, and as many that each bring a category.
FLOOD = int(os.environ.get("DRIFTLINE_POISON_MODELS", "1000000" if LONG else "2000"))
#: Events that each bring a version of their own, and a category.
VERSION_FLOOD = min(FLOOD, 20_000)
#: Rows of a columnar record.
ROWS = 10_000 if LONG else 500
MODELS, VERSIONS = 30, 50
#: The most that a process may grow beyond what it had before the poison, in MB.
GROWTH_MB = 350
CORPUS = corpus()
SKEW = 5 * MINUTE_MS
COLUMNS = "columns of categories of their own"
TOO_MANY = "a model of its own"
TARGETS = {"inference-events": 1.0, "label-events": 0.5, "summaries": 0.25, "retrain-triggers": 0.02}


class Aftermath:
    """What was sent, what became of it, and what it cost."""

    def __init__(self, scene: Scene, sent: Sequence[Sent], before: dict[str, int]) -> None:
        self.scene = scene
        self.sent = sent
        self.before = before
        self.after = scene.megabytes()
        self.letters = scene.letters()
        self.prefix = scene.settings.kafka.topic_prefix
        self.one_too_many = {(le.partition, le.offset) for le, _ in self.letters if le.code == "too_many_models"}
        self.by_place = {(le.topic.removeprefix(self.prefix), le.partition, le.offset): le for le, _ in self.letters}

    def places(self, topic: str) -> Counter[tuple[int, int]]:
        """Return where the records stood that are dead letters now."""
        return Counter((le.partition, le.offset) for le, _ in self.letters if le.topic == self.prefix + topic)

    def letter_of(self, sent: Sent) -> DeadLetter | None:
        """Return the letter of a record, if it is one."""
        return self.by_place.get((sent.topic, sent.partition, sent.offset))

    def counted(self, model: str = MODEL) -> tuple[int, Counter[str]]:
        """Return how many rows the model's windows hold, and of which versions. Panes are folded as they age, windows never."""
        n, versions = 0, Counter[str]()
        for row in panes.panes(self.scene.engine, model, kind="features", width=60 * MINUTE_MS):
            pane = Pane.decode(row.payload, layout_of(self.scene.reference, "features") if row.reference_id else LEARNING_LAYOUT)
            n += pane.n
            versions.update(pane.versions)
        return n, versions


def good_events() -> Iterator[ToSend]:
    """Yield good events with labels; of a version of their own, so that the panes tell how many of them were counted."""
    rng = random.Random(7)
    for i in range(GOOD):
        at = AT + i * (60 * MINUTE_MS) // GOOD
        content = event(event_id=f"good-{i}", version="good", event_time=at, features={"x": rng.random(), "c": rng.choice("abc")}, score=rng.random())
        yield ToSend("inference-events", b"%d" % i, content, "good", partition=i % PARTITIONS)
        yield ToSend("label-events", b"%d" % i, label(event_id=f"good-{i}", event_time=at + 1_000, label=i % 2), "good", partition=i % PARTITIONS)


def poison() -> Iterator[ToSend]:
    """Yield the corpus, and mutations of good messages for every topic."""
    for round_ in range(ROUNDS):
        for bad in CORPUS:
            # The largest ones once: they are about memory, not about numbers.
            if round_ == 0 or len(bad.value or b"") < 100_000:
                yield _to_send(bad, round_ % PARTITIONS)
    for topic, share in TARGETS.items():
        for i, raw in enumerate(_mutations(topic, int(MUTATED * share))):
            yield ToSend(topic, b"mutated", raw, "mutated", partition=i % PARTITIONS)


def _to_send(bad: Bad, partition: int) -> ToSend:
    return ToSend(bad.topic, bad.key, bad.value, bad.name, bad.headers or (), partition)


def _mutations(topic: str, count: int) -> Iterator[bytes]:
    if topic == "summaries":
        rng = random.Random(3)
        # One that can still be read is a forgery, not poison: whoever may write there may write anything.
        yield from (raw for raw in (spoilt(rng, good.summary(rng)) for _ in range(count)) if _unreadable(raw, decode_summary))
    elif topic == "retrain-triggers":
        yield from (raw for raw in bad_inputs(4, count, good.trigger) if _unreadable(raw, lambda raw: decode_json(raw, RetrainTrigger)))
    else:
        yield from bad_inputs(5, count, partial(good.inference if topic == "inference-events" else good.label, at=AT))


def _unreadable(raw: bytes, decode: object) -> bool:
    try:
        decode(raw)  # type: ignore[operator]
    except DecodeError:
        return True
    return False


def floods() -> Iterator[ToSend]:
    """Yield events that have nothing in common but the wish to be remembered one by one."""
    for i in range(VERSION_FLOOD):
        made = event(event_id=f"fv{i}", version=f"v{i}", features={"x": i, "c": f"category {i}"})
        yield ToSend("inference-events", b"f", made, "a version and a category of its own", partition=i % PARTITIONS)
    for i in range(700):
        made = event(event_id=f"ff{i}", model="fresh", features={f"feature {20 * i + j}": f"value {i} {j}" for j in range(20)})
        yield ToSend("inference-events", b"f", made, "features of its own", partition=i % PARTITIONS)
    for i in range(300):
        made = event(event_id=f"fw{i}", model="wide", features={f"feature {j}": f"{i:>257}" for j in range(500)})
        yield ToSend("inference-events", b"f", made, "an eighth of a megabyte to be learned", partition=0)
    for start in range(0, FLOOD, ROWS):
        yield ToSend("inference-events", b"f", _categories(start, ROWS), COLUMNS, partition=start // ROWS % PARTITIONS)
    for i in range(FLOOD):
        yield ToSend("inference-events", b"f", event(event_id=f"fm{i}", model=f"flood-{i}"), TOO_MANY, partition=i % PARTITIONS)


def _categories(start: int, rows: int) -> bytes:
    """Return a columnar record, each row of which has a category that no other has."""
    batch = pa.RecordBatch.from_pydict({
        "event_id": [f"fc{i}" for i in range(start, start + rows)],
        "event_time": pa.array([AT] * rows, pa.int64()),
        f"{FEATURE_PREFIX}x": [0.5] * rows,
        f"{FEATURE_PREFIX}c": [f"category of its own {i}" for i in range(start, start + rows)],
    })  # fmt: skip
    return encode_columns(batch, model=MODEL, version="1")


def mixed(*streams: Iterator[ToSend]) -> list[ToSend]:
    """Return all records, the streams shuffled into one another, each in its own order."""
    waiting = [list(stream) for stream in streams]
    order = [i for i, records in enumerate(waiting) for _ in records]
    random.Random(1).shuffle(order)
    taken = [iter(records) for records in waiting]
    return [next(taken[i]) for i in order]


@pytest.fixture(scope="module")
def aftermath(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    prefix = f"poison{random.randrange(1 << 40):x}-"
    with set_scene(bootstrap, prefix, tmp_path_factory.mktemp("poison"), letter_bytes=16 << 20, models=MODELS, versions=VERSIONS) as scene:
        # The models that are to be learned come first: mutations make names of their own, and there is little room.
        named = [event(event_id=f"w{i}", model=model) for i in range(20) for model in (MODEL, "fresh", "wide")]
        warm = send(scene.settings, [ToSend("inference-events", b"w", made, "warm", partition=i % 2) for i, made in enumerate(named)])
        scene.wait(90)
        before = scene.megabytes()
        sent = send(scene.settings, mixed(good_events(), poison()))
        sent += send(scene.settings, mixed(floods()))
        scene.wait(1_500 if LONG else 150)
        # How far the retrain worker has come is nobody's lag.
        scene.wait_for_letters("retrain-triggers", sum(s.topic == "retrain-triggers" for s in sent), 300 if LONG else 60)
        yield Aftermath(scene, [*warm, *sent], before)


def test_no_step_died_and_none_was_started_again(aftermath: Aftermath) -> None:
    assert aftermath.scene.deaths() == []
    assert set(aftermath.scene.processes) == {"summarise", "join", "detect", "retrain"}


def test_there_were_enough_bad_inputs(aftermath: Aftermath) -> None:
    assert sum(s.note not in ("good", "warm") for s in aftermath.sent) > (100_000 if LONG else 15_000)


def test_the_memory_of_each_process_is_bounded(aftermath: Aftermath) -> None:
    growth = {step: aftermath.after[step] - aftermath.before[step] for step in aftermath.after}
    told = f"peak MB {aftermath.after}, before the poison {aftermath.before}; {len(aftermath.sent)} records, {len(aftermath.letters)} letters"
    sys.stdout.write(told + "\n")
    assert max(growth.values()) < GROWTH_MB, (aftermath.before, aftermath.after)


def test_the_good_events_among_the_bad_are_all_counted(aftermath: Aftermath) -> None:
    _, versions = aftermath.counted()
    assert versions["good"] == GOOD


def test_the_good_outcomes_among_the_bad_are_all_joined(aftermath: Aftermath) -> None:
    joined = {o.event_id: o.label for o in outcomes.ripe_rows(aftermath.scene.engine, MODEL, since=0, until=2**62, known_by=2**62)}
    assert [joined.get(f"good-{i}") for i in range(GOOD)] == [float(i % 2) for i in range(GOOD)]


def test_each_record_is_counted_or_a_dead_letter_and_the_count_adds_up(aftermath: Aftermath) -> None:
    records = [s for s in aftermath.sent if s.topic == "inference-events"]
    letters = aftermath.places("inference-events")
    came_with = _headers()
    # Mutations give the model other names too.
    sent: Counter[str] = Counter()
    for s in records:
        if s.note == COLUMNS:
            sent[MODEL] += ROWS
        elif (s.partition, s.offset) not in letters:
            sent[decode_inference(s.value, came_with.get(s.note, ())).model] += 1
    counted = {name: aftermath.counted(name)[0] for name in sent}
    assert counted == sent
    columnar = sum(s.note == COLUMNS for s in records)
    assert columnar * ROWS == FLOOD
    assert len(records) - columnar == sum(counted.values()) - FLOOD + len(letters)


def test_each_bad_record_is_one_dead_letter_and_nothing_else_is(aftermath: Aftermath) -> None:
    for topic in TARGETS:
        mine, found = expected_letters(aftermath, topic), aftermath.places(topic)
        assert {place: n for place, n in found.items() if n > 1} == {}, topic
        if topic == "inference-events":
            found = Counter({place: n for place, n in found.items() if place not in aftermath.one_too_many})
        notes = {(s.partition, s.offset): (s.note, (s.value or b"")[:200]) for s in aftermath.sent if s.topic == topic}
        missing, extra = mine - set(found), set(found) - mine
        assert not missing, (topic, len(missing), [notes[p] for p in sorted(missing)[:5]])
        assert not extra, (topic, len(extra), [notes[p] for p in sorted(extra)[:5]])


def expected_letters(aftermath: Aftermath, topic: str) -> set[tuple[int, int]]:
    """Judge every record by the decoder and the clock alone, in the order of the log."""
    refused, came_with = set(), _headers()
    newest = dict.fromkeys(range(PARTITIONS), 0)
    for s in sorted((s for s in aftermath.sent if s.topic == topic), key=lambda s: s.offset):
        place = (s.partition, s.offset)
        if s.note == COLUMNS:
            newest[s.partition] = max(newest[s.partition], AT)
            continue
        headers = came_with.get(s.note, ())
        try:
            if topic == "inference-events":
                content = decode_inference(s.value, headers)
                _read_features(content)
                behind = content.event_time < newest[s.partition] - 90 * DAY_MS
            elif topic == "label-events":
                decoded = decode_label(s.value, headers)
                if decoded.event_time > s.timestamp + SKEW + DAY_MS:
                    refused.add(place)
                continue
            else:
                refused.add(place)
                continue
        except DecodeError:
            refused.add(place)
            continue
        if content.event_time > s.timestamp + SKEW + DAY_MS or behind:
            refused.add(place)
        if content.event_time <= s.timestamp + SKEW:
            newest[s.partition] = max(newest[s.partition], content.event_time)
    return refused


def _read_features(content: InferenceEvent) -> None:
    """Raise DecodeError where the features can't be read: of a model with a reference those that it has, else all."""
    if content.model != MODEL:
        decode_features(content.features)
    elif FeatureDecoder(["x"], ["c"]).decode([content.features]).bad:
        raise DecodeError("its features can't be read")


def _headers() -> dict[str, Sequence[tuple[str, bytes | None]]]:
    return {bad.name: bad.headers for bad in CORPUS if bad.headers}


def test_of_a_flood_of_models_as_many_are_let_in_as_there_is_room_for(aftermath: Aftermath) -> None:
    refused = aftermath.one_too_many
    sent = {(s.partition, s.offset): s for s in aftermath.sent if s.topic == "inference-events"}
    assert {sent[place].note for place in refused} <= {TOO_MANY, "mutated"}
    let_in, models = admissions.admitted(aftermath.scene.engine, "models"), set(detection.stored_states(aftermath.scene.engine))
    assert len(let_in) == MODELS
    # One may have been let in whose only event was refused for something else: of so many mutations several are.
    assert {"fresh", "wide"} <= models - {MODEL} <= let_in
    assert len(refused) >= FLOOD - MODELS


def test_of_a_flood_of_versions_the_rest_is_counted_as_one(aftermath: Aftermath) -> None:
    _, versions = aftermath.counted()
    assert len(versions) <= VERSIONS + 2  # its own of the reference, and all others
    assert versions["__other__"] >= VERSION_FLOOD - VERSIONS


def test_of_a_flood_of_categories_each_event_is_counted_as_of_one_never_seen(aftermath: Aftermath) -> None:
    layout, unseen = layout_of(aftermath.scene.reference, "features"), 0
    column = layout.column("c")
    assert isinstance(column, CategoricalColumn)
    for row in panes.panes(aftermath.scene.engine, MODEL, kind="features", width=60 * MINUTE_MS):
        unseen += int(Pane.decode(row.payload, layout).counts[layout.slice_of("c")][len(column.values) + 1])
    assert unseen >= FLOOD + VERSION_FLOOD


def test_a_letter_has_the_original_bytes_and_the_reason(aftermath: Aftermath) -> None:
    by_place = {(aftermath.prefix + s.topic, s.partition, s.offset): s for s in aftermath.sent}
    for letter, sentence in aftermath.letters:
        sent = by_place[letter.topic, letter.partition, letter.offset]
        assert letter.key == sent.key
        assert letter.reason
        assert letter.code != "unreadable", letter.reason
        assert sentence
        if letter.cut:
            assert letter.bytes == len(sent.value or b"") > 16 << 20
            assert (sent.value or b"").startswith(letter.value or b"-")
        else:
            assert letter.value == sent.value


def test_what_the_corpus_expects_is_what_became_of_it(aftermath: Aftermath) -> None:
    fates = {bad.name: bad for bad in CORPUS}
    wrong = []
    for sent in aftermath.sent:
        bad = fates.get(sent.note)
        if bad is None:
            continue
        letter = aftermath.letter_of(sent)
        fate = USED if letter is None else letter.code
        if fate not in bad.fate.split("|"):
            wrong.append(f"{bad.name}: {fate} in place of {bad.fate}")
    assert wrong == []


def test_what_is_used_in_part_is_a_quality_finding(aftermath: Aftermath) -> None:
    quality, kinds = Counter[str](), Counter[str]()
    layout = layout_of(aftermath.scene.reference, "features")
    at = layout.slice_of("x").stop
    for row in panes.panes(aftermath.scene.engine, MODEL, kind="features", width=60 * MINUTE_MS):
        pane = Pane.decode(row.payload, layout)
        quality.update(pane.quality)
        for name, n in zip(("null", "nan", "infinite", "wrong_type"), pane.counts[at - 4 : at].tolist(), strict=True):
            kinds[name] += n
    assert {"missing_fields", "extra_fields", "unknown_version", "clock_skew"} <= quality.keys()
    assert all(kinds[name] >= ROUNDS for name in ("nan", "infinite", "wrong_type")), kinds
