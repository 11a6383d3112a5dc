"""The services of docker-compose.yml as processes of this machine: the same commands, environments and health checks, other addresses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests import postgres as pg
from tests.deploy.compose import ROOT, Service, seconds

from driftline.cli.kafka_jars import find_jars, find_java

#: What the scripts of Kafka's image run.
_SCRIPTS = {"/opt/kafka/bin/kafka-configs.sh": "kafka.admin.ConfigCommand"}


@dataclass
class Outside:
    """``addresses`` says what stands for what in commands and environments; ``folder`` is where volumes are."""

    folder: Path
    addresses: Mapping[str, str]
    environment: Mapping[str, str]
    running: dict[str, tuple[Service, subprocess.Popen[bytes]]] = field(default_factory=dict)

    def start(self, name: str, service: Service) -> None:
        """Start a service that lasts."""
        command = self._kafka(service) if name == "kafka" else self._ours(service.command)
        with (self.folder / f"{name}.log").open("ab") as log:
            environment = self._environment(service)
            process = subprocess.Popen(command, env=environment, cwd=self._cwd(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.running[name] = (service, process)

    def run(self, service: Service, command: list[str] | None = None, within_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a service to its end, or another command in its place."""
        return subprocess.run(
            self._ours(service.command) if command is None else command,
            env=self._environment(service), cwd=self._cwd(), capture_output=True, text=True, timeout=within_s, check=False,
        )  # fmt: skip

    def becomes_healthy(self, name: str, service: Service, within_s: float = 120.0) -> None:
        """Run the health check until it says yes, as an engine does."""
        assert service.healthcheck is not None
        kind, *test = service.healthcheck.test
        assert kind == "CMD"
        deadline = time.monotonic() + within_s
        while not (said := self._healthy(service, test, 2 * seconds(service.healthcheck.timeout))).startswith("yes"):
            if name in self.running:
                assert self.running[name][1].poll() is None, self.log(name)
            assert time.monotonic() < deadline, f"{name}: {said}{self.log(name)}"
            time.sleep(0.5)

    def _healthy(self, service: Service, test: list[str], within_s: float) -> str:
        try:
            done = self.run(service, self._program(test), within_s)
        except subprocess.TimeoutExpired:
            return f"no answer within {within_s:g} s"
        return f"no: {done.stdout}{done.stderr}" if done.returncode else "yes"

    def stop(self, name: str) -> tuple[int, float]:
        """Stop a service as an engine does; return the exit code and the seconds it took."""
        service, process = self.running.pop(name)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(seconds(service.stop_grace_period)), time.monotonic() - begun
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def kill(self) -> None:
        """End whatever still runs."""
        for _, process in self.running.values():
            process.kill()
            process.wait()

    def log(self, name: str) -> str:
        """Return the end of a service's log."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def here(self, text: str) -> str:
        """Return the text with this machine's addresses and folders."""
        for there, here in self.addresses.items():
            text = text.replace(there, here)
        return text

    def _environment(self, service: Service) -> dict[str, str]:
        own = {name: self.here(value) for name, value in service.environment.items()}
        base = {name: value for name, value in os.environ.items() if not name.startswith("DRIFTLINE")}
        return {**base, **own, **self.environment, "PYTHONPATH": str(ROOT / "src")}

    def _cwd(self) -> Path:
        state = Path(self.here("/state"))
        state.mkdir(parents=True, exist_ok=True)
        return state

    def _ours(self, command: list[str]) -> list[str]:
        return [sys.executable, "-m", "driftline", *command]

    def _program(self, test: list[str]) -> list[str]:
        program, *arguments = (self.here(word) for word in test)
        if program == "driftline":
            return self._ours(arguments)
        return [*_java(), _SCRIPTS[program], *arguments] if program in _SCRIPTS else [pg._program(program), *arguments]

    def _kafka(self, service: Service) -> list[str]:
        """Set the broker up with the very program that Kafka's image begins with, and return what it then runs."""
        made = self.folder / "kafka"
        for name in ("defaults", "mounted", "final"):
            (made / name).mkdir(parents=True)
        for name in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
            (made / "defaults" / name).write_text("\n")
        folders = [f"--{kind}-configs-dir={made / name}" for kind, name in (("default", "defaults"), ("mounted", "mounted"), ("final", "final"))]
        environment = {**self._environment(service), "CLUSTER_ID": "5L6g3nShT-eMCtK--X86sw"}
        subprocess.run(
            [*_java(), "kafka.docker.KafkaDockerWrapper", "setup", *folders], env=environment, capture_output=True, timeout=120, check=True
        )
        return [*_java(), "kafka.Kafka", str(made / "final" / "server.properties")]


def _java() -> list[str]:
    jars = find_jars()
    assert jars is not None
    return [str(find_java()), "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{jars}/*"]
