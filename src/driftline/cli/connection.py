"""How the commands reach the broker: quickly when it is there, with one clear sentence when it is not."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from driftline.contracts.errors import SetupError
from driftline.contracts.knock import check_welcome
from driftline.contracts.security import open_security
from driftline.contracts.settings import KafkaSettings

if TYPE_CHECKING:
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer

Client = TypeVar("Client")

_CONNECT_S = 3.0
_BOOTSTRAP_MS = 10_000


def open_admin(kafka: KafkaSettings) -> KafkaAdminClient:
    """Return an admin client. Raises SetupError where no broker answers, or where it refuses the settings."""
    from kafka import KafkaAdminClient

    return _opened(kafka, lambda options: KafkaAdminClient(request_timeout_ms=_BOOTSTRAP_MS, **options))


def open_consumer(kafka: KafkaSettings) -> KafkaConsumer:
    """Return a consumer without a group, which commits nothing and reads what is committed. Raises SetupError where no broker answers."""
    from kafka import KafkaConsumer

    return _opened(kafka, lambda options: KafkaConsumer(enable_auto_commit=False, isolation_level="read_committed", **options))


def open_transactions(kafka: KafkaSettings, name: str, max_bytes: int) -> KafkaProducer:
    """Return a producer whose predecessors of the same name are shut out, and their open transactions undone. Raises SetupError likewise."""
    from kafka import KafkaProducer

    producer = _opened(
        kafka, lambda options: KafkaProducer(transactional_id=kafka.topic_prefix + name, acks="all", max_request_size=max_bytes, **options)
    )
    producer.init_transactions()
    return producer


def options_of(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the keywords that any of kafka-python's clients takes."""
    from driftline.producers.security import security_options

    return {"bootstrap_servers": servers(kafka), **security_options(kafka.security, os.environ)}


def check_listening(kafka: KafkaSettings) -> None:
    """Raise SetupError where nobody listens: the cheap question, for kafka-python would back off for longer and longer, and leak a socket."""
    if not any(_listens(server) for server in servers(kafka)):
        raise _absent(kafka, "nobody listens there")


def servers(kafka: KafkaSettings) -> list[str]:
    """Return each ``host:port``.

    >>> servers(KafkaSettings(bootstrap_servers="a:1, b:2"))
    ['a:1', 'b:2']
    """
    return [server.strip() for server in kafka.bootstrap_servers.split(",") if server.strip()]


def _opened(kafka: KafkaSettings, client: Callable[[dict[str, Any]], Client]) -> Client:
    from kafka.errors import KafkaError

    check_listening(kafka)
    check_welcome(servers(kafka), open_security(kafka.security, os.environ))
    try:
        return client({"bootstrap_timeout_ms": _BOOTSTRAP_MS, **options_of(kafka)})
    except (KafkaError, OSError) as error:
        raise _absent(kafka, str(error)) from error


def _absent(kafka: KafkaSettings, why: str) -> SetupError:
    return SetupError(
        f"no broker answers at {kafka.bootstrap_servers} ({why}). Name yours in kafka.bootstrap_servers, or start one here: `driftline broker up`"
    )


def _listens(server: str) -> bool:
    host, _, port = server.rpartition(":")
    with suppress(OSError, ValueError, OverflowError), socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S):
        return True
    return False
