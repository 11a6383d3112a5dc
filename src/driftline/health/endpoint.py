"""/livez, /readyz and /metrics over HTTP, from threads of their own: they answer whatever the process is busy with.

Nothing here can stop the work: a port that is taken (by a predecessor that drains, say) is tried again until it is free.
"""

from __future__ import annotations

import errno
import json
import logging
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from typing import Any, Final

from driftline.health.vitals import Vitals

log = logging.getLogger("driftline.health")

_RETRY_S: Final = 1.0
#: A client that sends nothing, or reads nothing, is left after this long.
_CLIENT_S: Final = 5.0
_CLIENTS_MOST: Final = 8

Metrics = Callable[[], tuple[bytes, str]]


class Endpoint(threading.Thread):
    """Serves one process. ``metrics`` returns the body of /metrics and its content type."""

    def __init__(self, host: str, port: int, *, process: str, vitals: Vitals, metrics: Metrics) -> None:
        super().__init__(name="health", daemon=True)
        self._address = (host, port)
        self._answers: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            "/livez": lambda: _judged(process, vitals.trouble()),
            "/readyz": lambda: _judged(process, vitals.unready()),
            "/metrics": lambda: _measured(metrics),
        }
        self.port: int | None = None

    def run(self) -> None:
        """Serve until the process ends."""
        told = False
        while True:
            try:
                server = _Server(self._address, self._answers)
            except OSError as error:
                if not told:
                    again = "trying until it is free" if error.errno == errno.EADDRINUSE else "trying again"
                    log.warning("No health endpoint at %s:%d yet, %s: %s", *self._address, again, error.strerror)
                told = True
                time.sleep(_RETRY_S)
                continue
            self.port = int(server.server_address[1])
            log.info(
                "/livez, /readyz and /metrics at %s:%d", self._address[0], self.port, extra={"fields": {"event": "listening", "port": self.port}}
            )
            server.serve_forever()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], answers: dict[str, Callable[[], tuple[int, str, bytes]]]) -> None:
        self.answers = answers
        self._places = threading.BoundedSemaphore(_CLIENTS_MOST)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: socket | tuple[bytes, socket], client_address: Any) -> None:
        """Say nothing: a client that went away is no event of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _CLIENT_S
    server_version = "driftline"
    sys_version = ""

    def do_GET(self) -> None:  # the name that http.server looks for
        answer = self.server.answers.get(self.path.partition("?")[0])
        status, kind, body = answer() if answer else (404, "text/plain", b"There is /livez, /readyz and /metrics.\n")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Log no requests."""


def _judged(process: str, wrong: str | None) -> tuple[int, str, bytes]:
    body = {"process": process, "ok": wrong is None, "reason": wrong}
    return (503 if wrong else 200, "application/json", json.dumps(body).encode() + b"\n")


def _measured(metrics: Metrics) -> tuple[int, str, bytes]:
    try:
        body, kind = metrics()
    except Exception as error:
        # A scrape that fails is seen in Prometheus (`up`); the place goes to the log, the message, which may quote anything, does not.
        log.warning("/metrics failed", exc_info=True)
        return 500, "text/plain", f"{type(error).__name__}\n".encode()
    return 200, kind, body
