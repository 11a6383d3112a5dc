"""A publisher in a service behind gunicorn: made before the fork, used in workers that come and go."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.producers.conftest import Read

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

REQUESTS = 90
SERVICE = """
    import os
    from driftline.producers import Publisher

    publisher = Publisher(bootstrap_servers=os.environ["BOOTSTRAP"], topic_prefix=os.environ["PREFIX"], model="m")
    publisher.publish({"x": 0}, event_id="before-the-fork")

    def app(environ, start_response):
        publisher.publish({"x": 1}, event_id=environ["PATH_INFO"].strip("/"))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [str(os.getpid()).encode()]
"""


@pytest.mark.parametrize("kind", [["--worker-class", "sync"], ["--worker-class", "gthread", "--threads", "3"]], ids=lambda kind: kind[1])
def test_what_workers_published_is_sent_before_they_go(bootstrap: str, prefix: str, read: Read, tmp_path: Path, kind: list[str]) -> None:
    (tmp_path / "service.py").write_text(textwrap.dedent(SERVICE))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # After so many requests a worker makes room for another, which is forked from a master that has published. One that is told to stop before it
    # listens for signals never hears of it (gunicorn's own race: py-spy shows it idle in gunicorn's loop) and is killed after the graceful timeout.
    options = ["--preload", "--workers", "3", "--max-requests", "20", "--graceful-timeout", "20", "--timeout", "90", "--no-control-socket", *kind]
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--chdir", str(tmp_path), *options, "service:app"]
    log = tmp_path / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(command, env={**os.environ, "BOOTSTRAP": bootstrap, "PREFIX": prefix}, stdout=out, stderr=out)
    try:
        _until_it_answers(server, port, log)
        with ThreadPoolExecutor(6) as callers:
            answers = list(callers.map(lambda i: ask(port, f"asked-{i}"), range(REQUESTS)))
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, log.read_text()
    finally:
        server.kill()
        server.wait()
    assert len({worker for _, worker in answers}) > 3, "workers were forked anew"
    found = Counter(key.decode() for _, key, _, _, _ in read(prefix + "inference-events") if key)
    assert {"before-the-fork", *(event_id for event_id, _ in answers)} <= found.keys()
    assert set(found.values()) == {1}


def ask(port: int, name: str) -> tuple[str, int]:
    """Have an event published; return its id and the pid of the worker. A connection that a leaving worker dropped is made again, as a proxy would,
    for another event.
    """
    for attempt in range(20):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", f"/{name}-{attempt}")
            return f"{name}-{attempt}", int(connection.getresponse().read())
        except (ConnectionError, http.client.RemoteDisconnected):
            time.sleep(0.2)
        finally:
            connection.close()
    raise AssertionError(f"{name} was never answered")


def _until_it_answers(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 90
    while True:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    ask(port, "ready")
