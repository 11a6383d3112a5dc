"""docker-compose.yml under the schema that the compose specification publishes, as check-jsonschema carries it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.deploy.compose import ROOT

COMPOSE = ROOT / "docker-compose.yml"


def check(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_it_is_a_compose_file() -> None:
    done = check(COMPOSE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("    healthcheck: {", "    helthcheck: {", "services.summarise"),
        ("condition: service_healthy", "condition: service_is_healthy", "services.migrate.depends_on"),
        ("deploy: {replicas: 2}", "deploy: {replica: 2}", "services.summarise.deploy"),
        ("    profiles: [demo]", "    profiles: demo", "services.demo.profiles"),
    ],
)
def test_one_with_a_mistake_is_none(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    text = COMPOSE.read_text()
    assert right in text
    mistaken = tmp_path / "docker-compose.yml"
    mistaken.write_text(text.replace(right, wrong))
    done = check(mistaken)
    assert done.returncode == 1, done.stdout + done.stderr
    assert told in done.stdout
