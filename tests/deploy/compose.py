"""docker-compose.yml as an engine reads it: variables filled in, every key known, lengths of time in seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

ROOT = Path(__file__).parents[2]

_VARIABLE = re.compile(r"\$\{(\w+)(?:(:-|:\?)((?:[^{}]|\$\{[^{}]*\})*))?\}")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

# What of the compose specification this project uses, and no more: a key that is misspelt, or new, is an error here.


class Condition(msgspec.Struct, forbid_unknown_fields=True):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"]


class Healthcheck(msgspec.Struct, forbid_unknown_fields=True):
    test: list[str]
    interval: str
    timeout: str
    retries: int
    start_period: str


class Deploy(msgspec.Struct, forbid_unknown_fields=True):
    replicas: int


class Service(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    image: str
    build: str | None = None
    command: list[str] = []
    init: bool = False
    restart: Literal["no", "always", "on-failure", "unless-stopped"] = "no"
    read_only: bool = False
    tmpfs: list[str] = []
    cap_drop: list[str] = []
    security_opt: list[str] = []
    volumes: list[str] = []
    environment: dict[str, str] = {}
    ports: list[str] = []
    profiles: list[str] = []
    stop_grace_period: str = "10s"
    shm_size: str | None = None
    depends_on: dict[str, Condition] = {}
    deploy: Deploy | None = None
    healthcheck: Healthcheck | None = None

    @property
    def ours(self) -> bool:
        """Whether the image is the one that is built here."""
        return self.build is not None

    @property
    def once(self) -> bool:
        """Whether it ends by itself."""
        return self.restart in ("no", "on-failure")


class Compose(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    services: dict[str, Service]
    volumes: dict[str, None]


def read_compose(variables: Mapping[str, str]) -> Compose:
    """Return the file. ValueError for a variable that has to be set and is not, ValidationError for what is no compose file."""
    tree: dict[str, Any] = yaml.safe_load(ROOT.joinpath("docker-compose.yml").read_text())
    own = {key: value for key, value in tree.items() if not key.startswith("x-")}
    return msgspec.convert(_filled(own, variables), Compose)


def seconds(duration: str) -> float:
    """Return the seconds of a duration as compose writes it.

    >>> seconds("1m30s")
    90.0
    """
    parts = re.findall(r"(\d+)(ms|[smh])", duration)
    assert "".join(number + unit for number, unit in parts) == duration, duration
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def _filled(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, variables) for value in node]
    return fill(node, variables) if isinstance(node, str) else node


def fill(text: str, variables: Mapping[str, str]) -> str:
    """Return the text with its variables filled in.

    >>> fill("${A:-${B:?set B}}", {"B": "x"})
    'x'
    """

    def value(match: re.Match[str]) -> str:
        name, rule, rest = match.groups()
        if variables.get(name):
            return variables[name]
        if rule == ":?":
            raise ValueError(f"{name}: {rest}")
        return fill(rest or "", variables)

    return _VARIABLE.sub(value, text)
