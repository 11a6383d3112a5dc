"""A real Prometheus on deploy/'s files, with the processes at ports of this machine and its data in a folder."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from tests.deploy.compose import ROOT

RULES = ROOT / "deploy" / "alerts.yml"


class NotInstalledError(Exception):
    """The machine has no Prometheus."""


def program(name: str) -> str:
    """Return where one of Prometheus' programs is; NotInstalledError says how to come by it."""
    found = shutil.which(name)
    if found is None:
        raise NotInstalledError(f"Prometheus' {name} is not on this machine; to install it (Debian, Ubuntu): apt-get install prometheus")
    return found


def checked(*command: str) -> str:
    """Run promtool and return what it says; AssertionError with that where it finds something wrong."""
    done = subprocess.run([program("promtool"), *command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def adapted(folder: Path, ports: Mapping[str, int] | None = None) -> Path:
    """Write deploy's configuration with the rules where they are here; with ``ports``, each job asks this machine in place of a container network."""
    tree: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
    assert tree["rule_files"] == ["/etc/prometheus/alerts.yml"]  # where docker-compose.yml mounts them
    tree["rule_files"] = [str(RULES)]
    if ports is not None:
        tree["global"] |= {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
        for job in tree["scrape_configs"]:
            del job["dns_sd_configs"]
            job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(tree))
    return path


class Prometheus:
    """One that runs, asked over its own interface."""

    def __init__(self, port: int, log: Path) -> None:
        self._port = port
        self._log = log

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API, or raise AssertionError with what it says instead."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", f"/api/v1/{path}?{urlencode(parameters)}")
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert answer["status"] == "success", (parameters, answer)
        return answer["data"]

    def until(self, path: str, holds: Any, within_s: float = 60.0) -> Any:
        """Ask until ``holds`` is true of the answer, and return that."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                answer = self.ask(path)
            except (OSError, http.client.HTTPException, ValueError):  # not there yet: "Service Unavailable"
                answer = None
            if answer is not None and holds(answer):
                return answer
            assert time.monotonic() < deadline, (answer, self._log.read_text()[-3000:])
            time.sleep(0.05)


@contextmanager
def running(folder: Path, config: Path, port: int) -> Iterator[Prometheus]:
    """Yield a Prometheus of this configuration that listens on ``port`` of this machine alone."""
    command = [program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}"]
    log = folder / "prometheus.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder)
    try:
        yield Prometheus(port, log)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
