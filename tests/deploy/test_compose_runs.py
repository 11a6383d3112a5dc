"""Every command and health check of docker-compose.yml, in the order in which an engine would start them, outside of containers."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from tests import postgres as pg
from tests.deploy.compose import ROOT, Compose, Service, read_compose, seconds
from tests.deploy.outside import Outside
from tests.deploy.test_compose_file import order
from tests.health.live import free_ports

from driftline.health.catalogue import PROCESSES
from driftline.producers import Publisher

pytestmark = pytest.mark.timeout(600)

COMPOSE: Compose = read_compose({"POSTGRES_PASSWORD": "s3cret/@:", "DEMO_DAYS": "1"})
#: Other people's programs, which this machine need not have.
THEIRS = {"prometheus", "grafana"}
EVENTS = 300
#: A step of which a second is started beside the first.
TWICE = "detect"


@pytest.fixture
def outside(postgres: str, tmp_path: Path) -> Iterator[Outside]:
    http_port = free_ports(len(PROCESSES) + 4)
    kafka_port = http_port + len(PROCESSES) + 1  # one is left for the second of a step
    with pg.fresh_database(postgres) as url:
        server, _, database = url.rpartition("/")
        addresses = {
            "kafka:29092": f"localhost:{kafka_port}",
            "localhost:29092": f"localhost:{kafka_port}",
            ":29092": f":{kafka_port}",
            "localhost:9092": f"localhost:{kafka_port + 1}",
            ":9092": f":{kafka_port + 1}",
            "kafka:9093": f"localhost:{kafka_port + 2}",
            ":9093": f":{kafka_port + 2}",
            "9464": str(http_port),
            "@postgres/driftline": f"@127.0.0.1/{database}",
            "/etc/driftline/driftline.yaml": str(ROOT / "deploy" / "driftline.yaml"),
            "/var/lib/kafka/data": str(tmp_path / "kafka" / "data"),
            "/state": str(tmp_path / "state"),
        }
        made = Outside(tmp_path, addresses, {"PGPORT": server.rpartition(":")[2]})
        try:
            yield made
        finally:
            made.kill()


def test_an_engine_could_start_it_all_see_it_healthy_scrape_it_and_stop_it_in_time(outside: Outside) -> None:
    lasting = {name: s for name, s in COMPOSE.services.items() if s.ours and not s.once}
    for name, service in order(COMPOSE):
        if name in THEIRS or service.profiles:
            continue
        if service.ours and service.once:
            done = outside.run(service)
            assert done.returncode == 0, (name, done.stderr)
            assert outside.run(service).returncode == 0, f"{name} run again has nothing to do"
        elif name != "postgres":  # the test run's own
            outside.start(name, service)
        if name in ("kafka", "postgres"):
            outside.becomes_healthy(name, service)
    # In containers the second has an address of its own; here a port.
    another = {"DRIFTLINE__HTTP__PORT": str(int(outside.here("9464")) + len(PROCESSES) - PROCESSES.index(TWICE))}
    lasting[f"{TWICE}-2"] = replace(lasting[TWICE], environment=lasting[TWICE].environment | another)
    outside.start(f"{TWICE}-2", lasting[f"{TWICE}-2"])
    for name, service in lasting.items():
        outside.becomes_healthy(name, service)
    publish(outside)
    ready = ("health", "--ready", *PROCESSES)
    until(outside, COMPOSE.services["detect"], ready)
    until(outside, COMPOSE.services["detect"], ("status",), "Caught up")
    for name in PROCESSES:
        assert scraped(outside, name) == {name}
    shares = [last_assigned(outside, name) for name in (TWICE, f"{TWICE}-2")]
    assert all(shares)
    assert not shares[0] & shares[1]
    for name, service in [*lasting.items(), ("kafka", COMPOSE.services["kafka"])]:
        code, took = outside.stop(name)
        assert code in {0, 143}, (name, outside.log(name))  # a JVM that SIGTERM has ended says 143
        assert took < seconds(service.stop_grace_period)
        assert name == "kafka" or code == 0, outside.log(name)


@pytest.mark.skipif(os.environ.get("DRIFTLINE_DEPLOY") != "long", reason="a minute of training and scoring; set DRIFTLINE_DEPLOY=long to run it")
def test_the_demo_s_profile_runs(outside: Outside) -> None:
    outside.start("kafka", COMPOSE.services["kafka"])
    outside.becomes_healthy("kafka", COMPOSE.services["kafka"])
    done = outside.run(COMPOSE.services["demo"], within_s=400)
    assert done.returncode in {0, 1}, done.stderr  # 1: within a day the loop does not close
    assert "The year is over" in done.stdout


def publish(outside: Outside) -> None:
    with Publisher(bootstrap_servers=outside.here("localhost:9092"), model="m") as publisher:
        for i in range(EVENTS):
            event_id = publisher.publish({"amount": i % 7}, prediction=1.0)
            publisher.publish_label(event_id, 1.0)
        assert publisher.flush(30)
        assert publisher.lost == 0


def until(outside: Outside, service: Service, arguments: tuple[str, ...], says: str = "") -> None:
    """Run a command of ours in a service's place until it exits 0 and says what it should."""
    for _ in range(60):
        done = outside.run(service, outside._ours(list(arguments)))
        if done.returncode == 0 and says in done.stdout:
            return
    raise AssertionError(done.stdout + done.stderr)


def last_assigned(outside: Outside, name: str) -> set[str]:
    """Return the partitions that a process was given last, by its log."""
    lines = [line for line in (outside.folder / f"{name}.log").read_text().splitlines() if '"event": "assigned"' in line]
    return set(json.loads(lines[-1])["partitions"]) if lines else set()


def scraped(outside: Outside, name: str) -> set[str]:
    """Return which processes answer at the port at which Prometheus would ask for ``name``."""
    port = int(outside.here("9464")) + PROCESSES.index(name)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    families = {f.name: f for f in text_string_to_metric_families(text)}
    return {sample.labels["process"] for sample in families["driftline_process_info"].samples}
