"""TCP ports of this machine: which are free, and where somebody listens."""

from __future__ import annotations

import errno
import socket
from typing import Final

HOST: Final = "127.0.0.1"
"""Where everything that Driftline starts for itself listens: nowhere that the network can reach."""


def listens(bootstrap: str) -> bool:
    """Whether a TCP connection to ``host:port`` is accepted."""
    host, _, port = bootstrap.rpartition(":")
    with socket.socket() as probe:
        probe.settimeout(1.0)
        try:
            probe.connect((host, int(port)))
        except OSError:
            return False
        return True


def is_free(port: int) -> bool:
    """Whether a server could listen at ``port`` now."""
    with socket.socket() as probe:
        # As servers do: connections of the last run may linger.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
        return True


def free_port(*, apart_from: int = 0) -> int:
    """A port that is free now, other than ``apart_from``."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port != apart_from:
            return port
