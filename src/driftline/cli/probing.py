"""One question to one process's health endpoint."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from typing import Literal

import msgspec

from driftline.contracts.errors import SettingsError
from driftline.contracts.settings import Settings
from driftline.health.catalogue import Process
from driftline.health.process import port_of

Path = Literal["/livez", "/readyz"]

#: An endpoint that listens everywhere is asked here.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - read, not bound


class Answer(msgspec.Struct, frozen=True):
    """What a process says of itself; ``reason`` says why it is not ``ok``."""

    process: str
    ok: bool
    reason: str | None = None


def probe(settings: Settings, process: Process, path: Path, timeout_s: float) -> Answer:
    """Ask a process on this machine; one that does not answer in time is not well. Raises SettingsError where it has no port."""
    port = port_of(settings, process)
    if port is None:
        raise SettingsError("http.port", settings.http.port, "a port above 0: without one no process can be asked")
    host = _EVERYWHERE.get(settings.http.host, settings.http.host)
    connection = HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return msgspec.json.decode(connection.getresponse().read(), type=Answer)
    except (OSError, HTTPException, msgspec.MsgspecError) as error:
        return Answer(process, ok=False, reason=f"no answer from {host}:{port}: {error}")
    finally:
        connection.close()
