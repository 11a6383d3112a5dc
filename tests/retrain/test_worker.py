"""The worker against a real broker and a real database, in processes of its own that can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError
from sqlalchemy import Engine, create_engine, text
from tests import postgres as pg
from tests.retrain import world

from driftline.contracts.errors import SchemaOutdated, SetupError, TopicError
from driftline.contracts.findings import ModelVersion, RetrainTrigger, decode_json, encode_json
from driftline.contracts.settings import Settings
from driftline.contracts.topics import DEAD_LETTERS, MODEL_VERSIONS, RETRAIN_TRIGGERS, TOPICS, topic_name
from driftline.retrain.promotion import headers_of
from driftline.retrain.publishing import publish_turns
from driftline.retrain.worker import run_worker
from driftline.store import runs, versions
from driftline.store.database import migrate, open_database

ROOT = Path(__file__).parents[2]


class Scene:
    """A broker with topics, a database with a champion, workers to start and stop."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.marks = folder / "marks"
        self.marks.touch()
        self.log = folder / "worker.log"
        self.engine: Engine = open_database(settings.database)
        migrate(self.engine)
        self.workers: list[subprocess.Popen[bytes]] = []

    def worker(self, settings: Settings | None = None, *, sleep: float = 0.0) -> subprocess.Popen[bytes]:
        path = self.folder / f"settings{len(self.workers)}.json"
        path.write_bytes(msgspec.json.encode(settings or self.settings))
        environment = {**os.environ, "DRIFTLINE_TEST_MARKS": str(self.marks), "DRIFTLINE_TEST_SLEEP": str(sleep)}
        command = [sys.executable, "-m", "tests.retrain.serve", str(path)]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        self.workers.append(process)
        return process

    def with_model(self, **model: Any) -> Settings:
        models = {world.MODEL: msgspec.structs.replace(self.settings.model(world.MODEL), **model)}
        return msgspec.structs.replace(self.settings, models=models)

    def send(self, *triggers: RetrainTrigger | bytes) -> None:
        producer = KafkaProducer(bootstrap_servers=self.settings.kafka.bootstrap_servers, acks="all")
        for trigger in triggers:
            value = trigger if isinstance(trigger, bytes) else encode_json(trigger)
            producer.send(topic_name(RETRAIN_TRIGGERS, self.settings.kafka), key=world.MODEL.encode(), value=value)
        producer.flush()
        producer.close()

    def records(self, topic: str) -> list[Any]:
        consumer = KafkaConsumer(bootstrap_servers=self.settings.kafka.bootstrap_servers, enable_auto_commit=False, isolation_level="read_committed")
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        found: list[Any] = []
        while any(consumer.position(p) < ends[p] for p in partitions):
            for records in consumer.poll(timeout_ms=500).values():
                found.extend(records)
        consumer.close()
        return found

    def turns(self) -> list[ModelVersion]:
        """What a consumer that drops repeats by ``ce_id`` sees."""
        records = self.records(topic_name(MODEL_VERSIONS, self.settings.kafka))
        first: dict[bytes, bytes] = {}
        for record in records:
            assert first.setdefault(dict(record.headers)["ce_id"], record.value) == record.value
        return [decode_json(value, ModelVersion) for value in first.values()]

    def committed(self) -> int:
        admin = KafkaAdminClient(bootstrap_servers=self.settings.kafka.bootstrap_servers)
        group = self.settings.kafka.topic_prefix + "driftline-retrain"
        try:
            offsets = admin.list_group_offsets([group])[group]
        finally:
            admin.close()
        return sum(max(0, o.offset) for o in offsets.values())

    def members(self) -> list[str]:
        admin = KafkaAdminClient(bootstrap_servers=self.settings.kafka.bootstrap_servers)
        group = self.settings.kafka.topic_prefix + "driftline-retrain"
        try:
            described = admin.describe_groups([group])
        finally:
            admin.close()
        return [member["member_id"] for member in described[group]["members"]]

    def status(self, trigger_id: str = "t1") -> str | None:
        run = runs.get(self.engine, trigger_id)
        return None if run is None else run.status

    def until(self, what: Callable[[], Any], seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            for worker in self.workers:
                assert worker.poll() in (None, 0, -9), self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def settled(self, offsets: int, trigger_id: str = "t1") -> None:
        self.until(lambda: self.status(trigger_id) not in (None, "running"))
        self.until(lambda: self.committed() == offsets)

    def training(self, times: int = 1) -> None:
        self.until(lambda: len(self.marks.read_text().splitlines()) == times)


@pytest.fixture
def make_scene(tmp_path: Path, bootstrap: str, topic_prefix: str) -> Iterator[Callable[[str], Scene]]:
    with contextlib.ExitStack() as stack:

        def make(database: str) -> Scene:
            settings = world.settings_of(tmp_path, database, bootstrap=bootstrap, prefix=topic_prefix)
            admin = KafkaAdminClient(bootstrap_servers=bootstrap)
            admin.create_topics([
                NewTopic(name=topic_name(t, settings.kafka), num_partitions=t.partitions or 2, replication_factor=1) for t in TOPICS
            ])  # fmt: skip
            admin.close()
            scene = Scene(tmp_path, settings)
            stack.callback(scene.engine.dispose)
            stack.callback(_end, scene)
            world.register(scene.engine, settings)
            return scene

        yield make


def _end(scene: Scene) -> None:
    for worker in scene.workers:
        if worker.poll() is None:
            worker.kill()
        worker.wait()


@pytest.fixture
def scene(make_scene: Callable[[str], Scene], tmp_path: Path) -> Scene:
    return make_scene(f"sqlite:///{tmp_path / 'driftline.db'}")


def test_a_trigger_becomes_a_promoted_version(make_scene: Callable[[str], Scene], database_url: str) -> None:
    scene = make_scene(database_url)
    scene.send(world.live(scene.engine, scene.settings, "flipped"))
    worker = scene.worker()
    scene.settled(offsets=1)
    assert [(t.sequence, t.status, t.version) for t in scene.turns()] == [(1, "champion", "1"), (2, "champion", "2")]
    assert scene.status() == "promoted"
    worker.terminate()
    assert worker.wait(10) == 0
    log = scene.log.read_text()
    assert "Drift in x has lasted 7d. Training a challenger for m." in log
    assert "the challenger's log-loss is lower by" in log


def test_a_trigger_that_comes_twice_is_one_run(scene: Scene) -> None:
    trigger = world.live(scene.engine, scene.settings, "moved")
    scene.send(trigger, trigger)
    scene.worker(scene.with_model(trainer="tests.retrain.odd_trainers:Slow"))
    scene.settled(offsets=2)
    assert scene.marks.read_text().count("\n") == 1
    assert [t.status for t in scene.turns()] == ["champion", "drift_accepted"]


def test_kill_9_in_the_middle_of_a_training_and_a_restart_give_one_promotion(scene: Scene) -> None:
    scene.send(world.live(scene.engine, scene.settings, "flipped"))
    slow = scene.with_model(trainer="tests.retrain.odd_trainers:Slow")
    worker = scene.worker(slow, sleep=60)
    scene.training()
    child = int(scene.marks.read_text())
    worker.kill()
    worker.wait()
    scene.until(lambda: not _alive(child), 5)
    assert scene.status() == "running"
    scene.worker(slow)
    scene.settled(offsets=1)
    run = runs.get(scene.engine, "t1")
    assert run is not None
    assert (run.status, run.attempt) == ("promoted", 2)
    assert [(t.sequence, t.status) for t in scene.turns()] == [(1, "champion"), (2, "champion")]


def test_a_database_that_goes_away_in_the_middle_of_a_training_is_waited_for(make_scene: Callable[[str], Scene], postgres: str) -> None:
    with pg.fresh_database(postgres) as url:
        scene = make_scene(url)
        scene.send(world.live(scene.engine, scene.settings, "flipped"))
        worker = scene.worker(scene.with_model(trainer="tests.retrain.odd_trainers:Slow"), sleep=5)
        scene.training()
        scene.engine.dispose()
        with _closed(postgres, str(scene.engine.url.database)):
            scene.until(lambda: "The database does not answer" in scene.log.read_text(), 30)
        scene.settled(offsets=1)
        assert worker.poll() is None
        run = runs.get(scene.engine, "t1")
        assert run is not None
        assert (run.status, run.attempt) == ("promoted", 2)
        assert [(t.sequence, t.status) for t in scene.turns()] == [(1, "champion"), (2, "champion")]
        _end(scene)
        scene.engine.dispose()


@contextlib.contextmanager
def _closed(server: str, database: str) -> Iterator[None]:
    """Let nobody use a database, and throw out who does."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        conn.execute(text(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false'))
        conn.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": database})
        try:
            yield
        finally:
            conn.execute(text(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true'))
    engine.dispose()


def test_a_publisher_that_slept_can_not_bring_an_old_turn_back(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    # It has read the first turn from the outbox; before it sends, another publishes this one and the next.
    kafka = scene.settings.kafka
    send = KafkaProducer.send

    def slept(self: KafkaProducer, *args: Any, **others: Any) -> Any:
        monkeypatch.setattr(KafkaProducer, "send", send)
        turn = versions.history(scene.engine, world.MODEL)[0]
        following = msgspec.structs.replace(turn, sequence=2)
        versions.promote(scene.engine, following, 1, headers_of(following))
        assert publish_turns(scene.engine, kafka) == 2
        return send(self, *args, **others)

    monkeypatch.setattr(KafkaProducer, "send", slept)
    with pytest.raises(KafkaError):
        publish_turns(scene.engine, kafka)
    assert [turn.sequence for turn in scene.turns()] == [1, 2]
    assert publish_turns(scene.engine, kafka) == 0


def test_two_workers_and_a_kill_give_one_promotion(scene: Scene) -> None:
    scene.send(world.live(scene.engine, scene.settings, "flipped"))
    slow = scene.with_model(trainer="tests.retrain.odd_trainers:Slow")
    workers = [scene.worker(slow, sleep=4), scene.worker(slow, sleep=4)]
    scene.training()
    run = runs.get(scene.engine, "t1")
    assert run is not None
    next(w for w in workers if f":{w.pid}:" in run.owner).kill()
    scene.settled(offsets=1)
    assert [(t.sequence, t.status) for t in scene.turns()] == [(1, "champion"), (2, "champion")]
    assert scene.marks.read_text().count("\n") == 2


def test_membership_outlasts_a_training_longer_than_the_poll_interval(scene: Scene) -> None:
    trigger = world.live(scene.engine, scene.settings, "flipped")
    brisk = msgspec.structs.replace(
        scene.with_model(trainer="tests.retrain.odd_trainers:Slow"),
        retrain=msgspec.structs.replace(scene.settings.retrain, max_poll_interval="3s"),
    )
    scene.worker(brisk, sleep=9)
    scene.until(lambda: len(scene.members()) == 1)
    before = scene.members()
    scene.send(trigger)
    scene.training()
    time.sleep(6)
    assert scene.status() == "running"
    assert scene.members() == before
    scene.settled(offsets=1)
    assert scene.members() == before
    run = runs.get(scene.engine, "t1")
    assert run is not None
    assert (run.status, run.attempt) == ("promoted", 1)


def test_sigterm_ends_the_training_and_gives_the_run_back(scene: Scene) -> None:
    scene.send(world.live(scene.engine, scene.settings, "flipped"))
    slow = scene.with_model(trainer="tests.retrain.odd_trainers:Slow")
    patient = msgspec.structs.replace(slow, retrain=msgspec.structs.replace(slow.retrain, lease="10m"))
    worker = scene.worker(patient, sleep=60)
    scene.training()
    child = int(scene.marks.read_text())
    worker.terminate()
    assert worker.wait(15) == 0
    assert not _alive(child)
    assert (scene.status(), scene.committed()) == ("running", 0)
    scene.worker(patient)  # its predecessor's lease of ten minutes does not stand in its way
    scene.settled(offsets=1)
    assert scene.status() == "promoted"


def test_what_is_no_trigger_goes_to_the_dead_letters_and_holds_up_nothing(scene: Scene) -> None:
    scene.send(b"{", b"\xff", b"[" * 100_000, world.live(scene.engine, scene.settings, "moved"))
    scene.worker()
    scene.settled(offsets=4)
    letters = scene.records(topic_name(DEAD_LETTERS, scene.settings.kafka))
    assert sorted(letter.value for letter in letters) == sorted([b"{", b"\xff", b"[" * 100_000])
    for letter in letters:
        headers = dict(letter.headers)
        assert headers["__connect.errors.stage"] == b"retrain"
        assert headers["__connect.errors.topic"].endswith(b"retrain-triggers")


@pytest.mark.parametrize(
    ("trainer", "limits", "reason"),
    [("Deadly", {}, "the training process was ended by signal 9"), ("Slow", {"deadline": "2s"}, "the training took longer than 2s")],
)
def test_a_training_that_ends_badly_settles_its_trigger(scene: Scene, trainer: str, limits: dict[str, str], reason: str) -> None:
    scene.send(world.live(scene.engine, scene.settings, "flipped"))
    odd = scene.with_model(trainer=f"tests.retrain.odd_trainers:{trainer}")
    scene.worker(msgspec.structs.replace(odd, retrain=msgspec.structs.replace(odd.retrain, **limits)), sleep=60)
    scene.settled(offsets=1)
    last = scene.turns()[-1]
    assert (last.status, last.version, last.sequence) == ("failed", "1", 2)
    assert last.sentence == f"The run failed and the champion stays: {reason}."
    assert runs.open_triggers(scene.engine) == []


def test_turns_that_others_left_in_the_outbox_are_published(scene: Scene) -> None:
    scene.worker()
    scene.until(lambda: len(scene.turns()) == 1)
    accepted = msgspec.structs.replace(scene.turns()[0], sequence=2, status="drift_accepted", sentence="by hand")
    versions.promote(scene.engine, accepted, 1, headers_of(accepted))
    scene.until(lambda: len(scene.turns()) == 2)


def test_what_is_missing_at_the_start_is_said_plainly(tmp_path: Path, bootstrap: str, topic_prefix: str) -> None:
    url = f"sqlite:///{tmp_path / 'driftline.db'}"
    settings = world.settings_of(tmp_path, url, bootstrap=bootstrap, prefix=topic_prefix)
    with pytest.raises(SchemaOutdated):
        run_worker(settings)
    engine = open_database(url)
    migrate(engine)
    engine.dispose()
    with pytest.raises(TopicError, match="retrain-triggers does not exist: run `driftline topics create`"):
        run_worker(settings)
    nobody = msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, bootstrap_servers="127.0.0.1:9"))
    with pytest.raises(SetupError, match=r"no broker answers at 127\.0\.0\.1:9"):
        run_worker(nobody)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_ctrl_c_twice_ends_the_worker_at_once(scene: Scene) -> None:
    scene.send(world.live(scene.engine, scene.settings, "flipped"))
    worker = scene.worker(scene.with_model(trainer="tests.retrain.odd_trainers:Slow"), sleep=60)
    scene.training()
    worker.send_signal(signal.SIGSTOP)  # so that both signals are there before either is looked at
    worker.send_signal(signal.SIGINT)
    worker.send_signal(signal.SIGTERM)
    worker.send_signal(signal.SIGCONT)
    assert worker.wait(10) in (128 + signal.SIGTERM, 128 + signal.SIGINT, 0)
    scene.workers.remove(worker)
    child = int(scene.marks.read_text())
    scene.until(lambda: not _alive(child), 5)
