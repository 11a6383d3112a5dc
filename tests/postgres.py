"""A private PostgreSQL of this machine's binaries, on a free port, for one test run."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

import psycopg

_USER = "driftline"
_DEBIAN = Path("/usr/lib/postgresql")


class NotInstalledError(Exception):
    """The machine has no PostgreSQL server."""


class _RunAs(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def start(folder: Path, *, durable: bool = False) -> str:
    """Start the server of ``folder`` unless it runs; its SQLAlchemy URL. Callers at once get the same server.

    ``durable`` waits for the disk as a server in service does: for measurements.
    """
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        url_file = folder / "url"
        if url_file.is_file():
            return url_file.read_text()
        account = _account()
        if account:
            os.chown(folder, account["user"], account["group"])
        data = folder / "data"
        _run(
            [initdb, "-D", str(data), "-U", _USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"],
            folder,
            account,
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        _serve(folder, pg_ctl, port, durable=durable)
        url = f"postgresql+psycopg://{_USER}@127.0.0.1:{port}/postgres"
        url_file.write_text(url)
        return url


def resume(folder: Path) -> None:
    """Start the server of ``folder`` again, at the port where it was, after :func:`stop`."""
    port = int((folder / "url").read_text().rpartition(":")[2].partition("/")[0])
    _serve(folder, _program("pg_ctl"), port)


def _serve(folder: Path, pg_ctl: str, port: int, *, durable: bool = False) -> None:
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
    if not durable:  # its data lives as long as the tests do: nothing is worth waiting for the disk
        options += " -c fsync=off -c full_page_writes=off"
    _run([pg_ctl, "-D", str(folder / "data"), "-w", "-t", "60", "-l", str(folder / "log"), "-o", options, "start"], folder, _account())


def stop(folder: Path) -> None:
    """Stop the server of ``folder``, if there is one."""
    if (folder / "data" / "postmaster.pid").is_file():
        _run([_program("pg_ctl"), "-D", str(folder / "data"), "-w", "-m", "immediate", "stop"], folder, _account())


@contextmanager
def fresh_database(server: str) -> Iterator[str]:
    """An empty database on ``server``, dropped afterwards with whatever connections are left to it."""
    name = f"t{uuid.uuid4().hex}"
    dsn = server.replace("+psycopg", "")
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    try:
        yield server.rpartition("/")[0] + "/" + name
    finally:
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _program(name: str) -> str:
    # Debian keeps the server's programs out of PATH, by version.
    versions = sorted(_DEBIAN.glob("[0-9]*"), key=lambda version: float(version.name), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *(str(version / "bin") for version in versions)]))
    if found is None:
        message = f"PostgreSQL's {name} is not on this machine; to install it (Debian, Ubuntu): apt-get install postgresql"
        raise NotInstalledError(message)
    return found


def _account() -> _RunAs:
    """Whom to run as: the server refuses to be root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    message = "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor nobody"
    raise NotInstalledError(message)


def _run(command: list[str], folder: Path, account: _RunAs) -> None:
    # To a file, not a pipe: the server inherits it, and would hold a pipe open.
    with (folder / "out").open("ab") as out:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", check=False, **account)
    if done.returncode:
        message = f"{command[0]} failed (exit {done.returncode}):\n{(folder / 'out').read_text(errors='replace')[-2000:]}"
        raise RuntimeError(message)
