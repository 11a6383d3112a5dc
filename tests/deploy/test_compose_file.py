from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Any

import pytest
import yaml
from tests.deploy.compose import ROOT, Compose, Service, read_compose, seconds

from driftline.cli.config import load_settings
from driftline.contracts.times import SECOND_MS, parse_duration
from driftline.health.catalogue import BY_NAME
from driftline.health.process import port_of

COMPOSE = read_compose({"POSTGRES_PASSWORD": "s3cret/@:"})
OURS = {name: service for name, service in COMPOSE.services.items() if service.ours}
LASTING = {name: service for name, service in OURS.items() if not service.once}
SETTINGS = load_settings(ROOT / "deploy" / "driftline.yaml", LASTING["detect"].environment)


def test_it_does_not_start_without_a_password() -> None:
    with pytest.raises(ValueError, match="set POSTGRES_PASSWORD"):
        read_compose({})


def test_the_steps_are_scaled_and_all_parts_are_there() -> None:
    assert set(LASTING) == {"summarise", "join", "detect", "reports", "retrain"}
    assert {name for name, s in LASTING.items() if s.deploy is not None and s.deploy.replicas > 1} == {"summarise", "join", "detect"}
    assert {"kafka", "postgres", "migrate", "topics", "prometheus"} <= set(COMPOSE.services)
    assert COMPOSE.services["demo"].profiles == ["demo"]


def test_what_a_service_depends_on_is_there_and_can_come_true() -> None:
    for service in COMPOSE.services.values():
        for name, needed in service.depends_on.items():
            other = COMPOSE.services[name]
            if needed.condition == "service_healthy":
                assert other.healthcheck is not None
            if needed.condition == "service_completed_successfully":
                assert other.once
    assert order(COMPOSE)


def test_every_process_that_lasts_has_a_health_check_and_time_to_drain() -> None:
    lasting = {name: s for name, s in COMPOSE.services.items() if not s.once}
    assert {name for name, s in lasting.items() if s.healthcheck is None} == {"grafana"}  # its image has none to ask, and nothing waits for it
    for service in LASTING.values():
        assert seconds(service.stop_grace_period) * SECOND_MS > parse_duration(SETTINGS.worker.drain_timeout) + 5 * SECOND_MS


@pytest.mark.parametrize("name", OURS)
def test_our_containers_may_do_little(name: str) -> None:
    service = OURS[name]
    assert service.read_only
    assert service.cap_drop == ["ALL"]
    assert service.security_opt == ["no-new-privileges:true"]
    assert service.init


def test_volumes_are_declared_and_files_that_are_mounted_exist() -> None:
    named = set()
    for service in COMPOSE.services.values():
        for volume in service.volumes:
            source, target, *_ = volume.split(":")
            assert PurePosixPath(target).is_absolute()
            if source.startswith("."):
                assert (ROOT / source).exists(), source
                assert volume.endswith(":ro")
            else:
                named.add(source)
    assert named == set(COMPOSE.volumes)


def test_what_our_containers_write_stands_on_their_volume() -> None:
    for service in OURS.values():
        assert [v for v in service.volumes if not v.endswith(":ro")] == ["state:/state"]
    for path in (SETTINGS.artifacts, SETTINGS.reports.folder):
        assert path.startswith("/state/")


def test_images_are_pinned_and_ports_are_open_to_this_machine_only() -> None:
    for service in COMPOSE.services.values():
        assert service.ours or re.fullmatch(r"[\w./-]+:v?\d+(\.\d+)*", service.image)
        assert all(port.startswith("127.0.0.1:") for port in service.ports)


def test_the_database_s_password_is_in_no_address() -> None:
    for service in OURS.values():
        assert not [value for name, value in service.environment.items() if "s3cret" in value and name != "PGPASSWORD"]
        assert service.environment["PGPASSWORD"] == COMPOSE.services["postgres"].environment["POSTGRES_PASSWORD"]


def test_prometheus_scrapes_each_process_at_its_port() -> None:
    jobs = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())["scrape_configs"]
    scraped = {job["job_name"]: (job["dns_sd_configs"][0]["names"], job["dns_sd_configs"][0]["port"]) for job in jobs}
    assert scraped == {name: ([name], port_of(SETTINGS, name)) for name in LASTING}  # type: ignore[arg-type]  # the services' names are the processes'


def expressions() -> list[str]:
    rules = yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text())["groups"][0]["rules"]
    board: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "driftline.json").read_text())
    return [rule["expr"] for rule in rules] + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("expression", expressions())
def test_alert_rules_and_panels_ask_for_metrics_and_labels_that_exist(expression: str) -> None:
    found = re.findall(r"\b(driftline_\w+|process_\w+|up)\b(?:\{(.*?)\})?", expression)
    assert found
    known = {"job", "instance", "le"}
    for name, selectors in found:
        if name.startswith("driftline_"):
            metric = BY_NAME[re.sub(r"_(bucket|sum|count)$", "", name)]
            known |= set(metric.labels)
        assert set(re.findall(r"(\w+)\s*[=!]~?\"", selectors)) <= known
    for group in re.findall(r"by \(([^)]*)\)", expression):
        assert set(re.split(r",\s*", group)) <= known
    assert expression.count("(") == expression.count(")")


def test_the_dockerfile_copies_what_is_there_and_runs_as_nobody_in_particular() -> None:
    lines = ROOT.joinpath("Dockerfile").read_text().replace("\\\n", "").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    copied = [source for kind, rest in steps if kind == "COPY" and "--from" not in rest for source in rest.split()[:-1]]
    let_in = {line.removeprefix("!") for line in ROOT.joinpath(".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == let_in
    assert all((ROOT / source).exists() for source in copied)
    assert sum(kind == "FROM" for kind, _ in steps) == 2
    assert [rest for kind, rest in steps if kind == "USER"] == ["10001"]
    assert ["ENTRYPOINT", '["driftline"]'] in steps


def order(compose: Compose) -> list[tuple[str, Service]]:
    """Return the services in an order in which they can start; ValueError for a circle."""
    started: dict[str, Service] = {}
    while len(started) < len(compose.services):
        able = [n for n, s in compose.services.items() if n not in started and set(s.depends_on) <= set(started)]
        if not able:
            raise ValueError(f"after {list(started)} nothing can start")
        started |= {name: compose.services[name] for name in able}
    return list(started.items())
