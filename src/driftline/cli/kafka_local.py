"""One real Apache Kafka in KRaft mode on this machine: started detached, watched until it serves, stopped cleanly.

The broker runs in a session of its own, so it outlives the command that started it. What is needed to find it again is
in ``state.json`` in its state folder; whether that pid is still it, is asked of the operating system, never believed.
"""

from __future__ import annotations

import fcntl
import math
import os
import signal
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from driftline.cli.kafka_jars import fetch_jars, find_jars, find_java, tail
from driftline.cli.kafka_properties import log_properties, server_properties
from driftline.cli.ports import HOST, free_port, is_free, listens
from driftline.cli.processes import is_process, stop_process
from driftline.contracts.errors import SetupError

_HEAP: Final = "512m"
_MAIN_CLASS: Final = "kafka.Kafka"
_SPAWN_TRIES: Final = 3
#: A Java that has not said a word for so long (s) hangs: it was seen once, alive and with an empty log. It is ended, and another one started.
_WORD_WITHIN_S: Final = 30.0


class BrokerState(msgspec.Struct, frozen=True):
    """A local broker: where it listens, which process it is, where it keeps its log, and when it was started (UTC)."""

    bootstrap: str
    pid: int
    started: datetime
    state_dir: str
    log: str


def start_broker(
    state_dir: Path,
    *,
    port: int | None = None,
    more: Mapping[str, str] = MappingProxyType({}),
    timeout_s: float = 90.0,
    progress: Callable[[str], None] = lambda _: None,
) -> BrokerState:
    """Start the broker of ``state_dir`` unless it runs already, wait until it serves, and say where it is.

    ``port`` is the client port: by default the one it had last time, so that clients find it again, else a free one.
    Two callers at once get the same broker. ``more`` are further settings of Kafka's, see ``server_properties``.
    ``progress`` receives sentences worth showing while this waits.

    Raises :class:`SetupError` when Java or the jars are missing and can't be had, when ``port`` is taken, or when the
    broker does not answer a Metadata request within ``timeout_s`` seconds (it is then stopped again).
    """
    state_dir = state_dir.resolve()
    with _only_one(state_dir):
        running = broker_status(state_dir)
        if running is not None:
            if port is not None and running.bootstrap != f"{HOST}:{port}":
                msg = f"The broker of {state_dir} already runs at {running.bootstrap}; take it down first."
                raise SetupError(msg)
            _wait_until_it_serves(running, timeout_s)
            return running
        java = find_java()
        jars = find_jars()
        if jars is None:
            progress("Fetching Apache Kafka's jars through Maven (45 MB, once) ...")
            jars = fetch_jars()
        command = [
            str(java), f"-Xmx{_HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={state_dir / 'log4j2.properties'}", "-cp", f"{jars}/*",
        ]  # fmt: skip
        for attempt in range(1, _SPAWN_TRIES + 1):
            state = _spawn(state_dir, command, port, more)
            try:
                _wait_until_it_serves(state, timeout_s, word_within_s=_WORD_WITHIN_S)
            except SetupError as error:
                stop_process(state.pid, str(_properties(state_dir)))
                # A free port is only free when it is looked for: another process may have taken it since.
                taken = port is None and "BindException" in _read(Path(state.log))
                if attempt == _SPAWN_TRIES or not (taken or isinstance(error, _SilentError)):
                    raise
                if taken:
                    (state_dir / "state.json").unlink()
            else:
                return state
    raise AssertionError  # the loop's last turn returns or raises


def stop_broker(state_dir: Path, *, timeout_s: float = 30.0) -> BrokerState | None:
    """Stop the broker of ``state_dir`` with SIGTERM, after ``timeout_s`` seconds with SIGKILL.

    Returns what was stopped, ``None`` if nothing ran. Its topics stay in the state folder.
    """
    state_dir = state_dir.resolve()
    if not state_dir.is_dir():
        return None
    with _only_one(state_dir):
        state = broker_status(state_dir)
        if state is not None:
            stop_process(state.pid, str(_properties(state_dir)), timeout_s=timeout_s)
        return state


def broker_status(state_dir: Path) -> BrokerState | None:
    """The broker of ``state_dir`` if its process is alive, else ``None`` (also when another program has its pid)."""
    state_dir = state_dir.resolve()
    state = _last_state(state_dir)
    return state if state is not None and is_process(state.pid, str(_properties(state_dir))) else None


def serves(bootstrap: str, *, timeout_s: float = 5.0) -> bool:
    """Whether a Kafka broker answers a Metadata request at ``bootstrap`` and is one of its cluster's brokers."""
    # The cheap question first: where nobody listens, kafka-python backs off for longer and longer, and leaks a socket.
    if not listens(bootstrap):
        return False
    with suppress(KafkaError, OSError):
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap,
            bootstrap_timeout_ms=int(timeout_s * 1000),
            request_timeout_ms=int(timeout_s * 1000),
        )
        try:
            return len(admin.describe_cluster()["brokers"]) > 0
        finally:
            admin.close()
    return False


def _spawn(state_dir: Path, command: list[str], port: int | None, more: Mapping[str, str]) -> BrokerState:
    last = _last_state(state_dir)
    if port is None:
        port = int(last.bootstrap.rpartition(":")[2]) if last else 0
        port = port if port and is_free(port) else free_port()
    elif not is_free(port):
        msg = f"The port {port} is taken by another program; choose another, or leave it out to get a free one."
        raise SetupError(msg)
    properties = _properties(state_dir)
    log = state_dir / "broker.log"
    data = state_dir / "data"
    properties.write_text(server_properties(data, host=HOST, port=port, controller_port=free_port(apart_from=port), more=more))
    (state_dir / "log4j2.properties").write_text(log_properties())
    if log.is_file():
        log.replace(log.with_suffix(".log.1"))  # what the last run said before it ended
    if not (data / "meta.properties").is_file():
        _format(command, properties)
    # posix_spawn rather than Popen: no object remains that would complain about a child it does not wait for.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        command[0],
        [*command, _MAIN_CLASS, str(properties)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=(signal.SIGINT, signal.SIGHUP, signal.SIGTERM),
        setsigmask=(),
    )
    state = BrokerState(f"{HOST}:{port}", pid, datetime.now(UTC), str(state_dir), str(log))
    fresh = state_dir / "state.json.partial"
    fresh.write_bytes(msgspec.json.encode(state))
    fresh.rename(state_dir / "state.json")
    return state


def _format(command: list[str], properties: Path) -> None:
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    # joined by "=", for an identifier that begins with "-" would be read as an option
    tool = [
        "kafka.tools.StorageTool",
        "format",
        f"--cluster-id={cluster_id}",
        "--config",
        str(properties),
        "--ignore-formatted",
    ]
    done = subprocess.run([*command, *tool], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        said = tail(done.stdout + done.stderr)
        msg = f"Kafka could not format {properties.parent / 'data'} (exit {done.returncode}):\n{said}"
        raise SetupError(msg)


class _SilentError(SetupError):
    """A broker has started and said nothing at all."""


def _wait_until_it_serves(state: BrokerState, timeout_s: float, *, word_within_s: float = math.inf) -> None:
    argument, began = str(_properties(Path(state.state_dir))), time.monotonic()
    while time.monotonic() < began + timeout_s:
        if not is_process(state.pid, argument):
            msg = f"The broker ended while it was starting; its log, {state.log}, ends:\n{tail(_read(Path(state.log)))}"
            raise SetupError(msg)
        if serves(state.bootstrap, timeout_s=2.0):
            return
        if time.monotonic() > began + word_within_s and not _read(Path(state.log)):
            msg = f"The broker said nothing within {word_within_s:g} s; its process {state.pid} hangs."
            raise _SilentError(msg)
        time.sleep(0.05)
    msg = f"The broker did not serve within {timeout_s:g} s; its log, {state.log}, ends:\n{tail(_read(Path(state.log)))}"
    raise SetupError(msg)


@contextmanager
def _only_one(state_dir: Path) -> Iterator[None]:
    """Hold the state folder's lock; the kernel lets go of it if the holder dies."""
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _last_state(state_dir: Path) -> BrokerState | None:
    try:
        return msgspec.json.decode((state_dir / "state.json").read_bytes(), type=BrokerState)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _properties(state_dir: Path) -> Path:
    return state_dir / "server.properties"


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
