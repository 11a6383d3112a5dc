"""Knocking at a broker, beside the clients: whether it answers at all, and what it has against these credentials.

Kafka's libraries say "timed out" of a wrong password as of an empty room. This asks the first questions of Kafka's protocol itself, and says which of
them failed. It stands here because the light client, the steps and the commands have no other room in common; nothing in ``contracts`` calls it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct
import time
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final

from driftline.contracts.errors import SetupError
from driftline.contracts.security import ClientSecurity

_API_VERSIONS: Final = 18
_SASL_HANDSHAKE: Final = 17
_SASL_AUTHENTICATE: Final = 36
_LONGEST_ANSWER: Final = 1 << 20
_UNSUPPORTED_MECHANISM: Final = 33


class _RefusedError(Exception):
    """The broker answered, and does not want us."""


def broker_answers(servers: Iterable[str], tls: ssl.SSLContext | None, timeout_s: float) -> bool:
    """Whether any of ``servers`` (``host:port``) answers Kafka's first question, which needs no login, within ``timeout_s`` altogether.

    That somebody accepts the connection says nothing: the kernel does so for a broker that is stopped.

    >>> broker_answers(["127.0.0.1:1"], None, timeout_s=1.0)
    False
    """
    security = ClientSecurity("PLAINTEXT" if tls is None else "SSL", tls=tls)
    deadline = time.monotonic() + timeout_s
    return any(_knock(server, security, deadline) != "" for server in servers)


def check_welcome(servers: Iterable[str], security: ClientSecurity, timeout_s: float = 5.0) -> None:
    """Raise SetupError where a broker answers and refuses these settings, with what it says; never with a secret.

    Where nobody answers it says nothing: that is for the client to wait for, or not.
    """
    deadline = time.monotonic() + timeout_s
    for server in servers:
        refusal = _knock(server, security, deadline)
        if refusal:
            raise SetupError(f"the broker at {server} does not let us in by kafka.security: {refusal}")
        if refusal is None:
            return


def _knock(server: str, security: ClientSecurity, deadline: float) -> str | None:
    """Return None for a welcome, "" where nobody answers, else why not."""
    host, _, port = server.strip().rpartition(":")
    host = host.strip("[]")
    with ExitStack() as opened:
        try:
            line = opened.enter_context(socket.create_connection((host, int(port)), timeout=_left(deadline)))
            line.settimeout(_left(deadline))
            if security.tls is not None:
                line = opened.enter_context(security.tls.wrap_socket(line, server_hostname=host))
            conversation = _Conversation(line, deadline)
            conversation.ask(_API_VERSIONS, 0, b"")
            if security.mechanism is not None:
                _log_in(conversation, security.mechanism, security.username or "", security.password or "")
        except ssl.SSLCertVerificationError as error:
            return f"its certificate is not one to trust ({error.verify_message}): look at ca_file, and at the name in bootstrap_servers"
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return ""
        except ssl.SSLError as error:
            reason = error.reason or str(error)
            return f"TLS failed ({reason}): look at protocol, cert_file and key_file"
        except _RefusedError as error:
            return str(error)
        except (OSError, ValueError, OverflowError, struct.error):
            return ""
    return None


def _log_in(conversation: _Conversation, mechanism: str, username: str, password: str) -> None:
    answer = conversation.ask(_SASL_HANDSHAKE, 1, _string(mechanism))
    if struct.unpack_from(">h", answer)[0] == _UNSUPPORTED_MECHANISM:
        raise _RefusedError(f"it does not offer the mechanism {mechanism}")
    if mechanism == "PLAIN":
        _authenticate(conversation, f"\0{username}\0{password}".encode())
        return
    digest = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
    nonce = base64.b64encode(os.urandom(18)).decode()
    first = f"n={username.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
    challenge = _authenticate(conversation, f"n,,{first}".encode()).decode()
    said = dict(part.split("=", 1) for part in challenge.split(","))
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), base64.b64decode(said["s"]), int(said["i"]))
    final = f"c=biws,r={said['r']}"
    key = hmac.digest(salted, b"Client Key", digest)
    signature = hmac.digest(hashlib.new(digest, key).digest(), f"{first},{challenge},{final}".encode(), digest)
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
    _authenticate(conversation, f"{final},p={proof}".encode())


def _authenticate(conversation: _Conversation, content: bytes) -> bytes:
    answer = conversation.ask(_SASL_AUTHENTICATE, 0, struct.pack(">i", len(content)) + content)
    code, length = struct.unpack_from(">hh", answer)
    at = 4 + max(length, 0)
    if code:
        said = answer[4:at].decode(errors="replace")
        raise _RefusedError(f"it does not take this user name with this password ({said or f'error {code}'}): look at username and password_file")
    size = struct.unpack_from(">i", answer, at)[0]
    return answer[at + 4 : at + 4 + size]


class _Conversation:
    """Questions and answers over one connection, one after the other."""

    def __init__(self, line: socket.socket, deadline: float) -> None:
        self._line = line
        self._deadline = deadline
        self._asked = 0

    def ask(self, question: int, version: int, content: bytes) -> bytes:
        """Return what the broker answers, without the header; OSError where it answers nothing."""
        self._asked += 1
        request = struct.pack(">hhi", question, version, self._asked) + _string("driftline-knock") + content
        self._line.settimeout(_left(self._deadline))
        self._line.sendall(struct.pack(">i", len(request)) + request)
        length = struct.unpack(">i", self._received(4))[0]
        if not 4 <= length <= _LONGEST_ANSWER:
            raise _RefusedError("what answers is no Kafka broker, or wants TLS: look at protocol")
        return self._received(length)[4:]

    def _received(self, length: int) -> bytes:
        got = b""
        while len(got) < length:
            self._line.settimeout(_left(self._deadline))
            more = self._line.recv(length - len(got))
            if not more:
                raise ConnectionResetError
            got += more
        return got


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
