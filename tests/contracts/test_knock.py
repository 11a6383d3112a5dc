"""Knocking where no broker is; ``tests/transport/test_secured.py`` does it at a real one."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from driftline.contracts.errors import SetupError
from driftline.contracts.knock import broker_answers, check_welcome
from driftline.contracts.security import ClientSecurity, Secret

OPEN = ClientSecurity("PLAINTEXT")
TLS = ClientSecurity("SSL", tls=ssl.create_default_context())


@contextmanager
def server(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """Somebody who accepts connections and deals with each by ``answer``; yields where."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10.0)

        def serve() -> None:
            try:
                line, _ = listening.accept()
            except OSError:
                return
            with line, suppress(OSError):
                answer(line)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def closes(line: socket.socket) -> None:
    line.recv(1)


def is_silent(line: socket.socket) -> None:
    while line.recv(1024):
        pass


def drips(line: socket.socket) -> None:
    line.sendall(struct.pack(">i", 200))
    for _ in range(40):
        line.sendall(b"\0")
        time.sleep(0.1)


def speaks_http(line: socket.socket) -> None:
    line.recv(1024)
    line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("security", [OPEN, TLS])
@pytest.mark.parametrize("answer", [closes, is_silent])
def test_who_says_nothing_is_no_broker_and_refuses_nobody(answer: Callable[[socket.socket], object], security: ClientSecurity) -> None:
    with server(answer) as here:
        assert not broker_answers([here], security.tls, timeout_s=0.5)
    with server(answer) as here:
        check_welcome([here], security, timeout_s=0.5)


def test_an_answer_that_never_ends_is_not_waited_for() -> None:
    with server(drips) as here:
        began = time.monotonic()
        assert not broker_answers([here], None, timeout_s=0.5)
        assert time.monotonic() - began < 3.0


def test_something_else_behind_the_port_is_said() -> None:
    with server(speaks_http) as here, pytest.raises(SetupError, match="no Kafka broker, or wants TLS"):
        check_welcome([here], OPEN)
    with server(speaks_http) as here, pytest.raises(SetupError, match=r"TLS failed.*protocol"):
        check_welcome([here], TLS)


def test_the_first_that_answers_decides() -> None:
    with server(speaks_http) as here, pytest.raises(SetupError, match=here):
        check_welcome(["127.0.0.1:1", "nonsense", here], OPEN)


def test_a_secret_is_a_password_to_whom_it_is_given_and_to_nobody_who_shows_it() -> None:
    secret = Secret("hunter2")
    assert secret == "hunter2"
    assert secret.encode() == b"hunter2"
    assert "hunter2" not in repr({"password": secret})
