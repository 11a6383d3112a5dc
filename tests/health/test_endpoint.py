from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable

from driftline.health.endpoint import Endpoint
from driftline.health.process import exposition
from driftline.health.telemetry import Telemetry
from driftline.health.vitals import Pulse


class Spoken:
    def __init__(self, trouble: str | None = None, unready: str | None = None) -> None:
        self.said = (trouble, unready)

    def trouble(self) -> str | None:
        return self.said[0]

    def unready(self) -> str | None:
        return self.said[1]


def ask(port: int, path: str, timeout_s: float = 5.0) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def begun(vitals: Spoken | Pulse, metrics: Callable[[], tuple[bytes, str]] = lambda: (b"", "text/plain"), port: int = 0) -> Endpoint:
    endpoint = Endpoint("127.0.0.1", port, process="join", vitals=vitals, metrics=metrics)
    endpoint.start()
    return endpoint


def port_of(endpoint: Endpoint) -> int:
    deadline = time.monotonic() + 20
    while endpoint.port is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return endpoint.port


def test_a_process_that_is_well_says_yes_twice() -> None:
    port = port_of(begun(Spoken()))
    assert [ask(port, path)[0] for path in ("/livez", "/readyz", "/livez?verbose")] == [200, 200, 200]


def test_one_that_is_behind_lives_and_is_not_ready() -> None:
    port = port_of(begun(Spoken(None, "it is behind by 12 records")))
    assert ask(port, "/livez")[0] == 200
    status, body = ask(port, "/readyz")
    assert (status, json.loads(body)) == (503, {"process": "join", "ok": False, "reason": "it is behind by 12 records"})


def test_other_paths_are_not_found() -> None:
    assert ask(port_of(begun(Spoken())), "/etc/passwd")[0] == 404


def test_metrics_that_fail_say_the_kind_of_failure_and_no_more() -> None:
    def broken() -> tuple[bytes, str]:
        raise ValueError("age 41")

    assert ask(port_of(begun(Spoken(), broken)), "/metrics") == (500, b"ValueError\n")


def test_the_text_is_prometheus_own() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    telemetry = Telemetry()
    telemetry.count("driftline_records_read_total", 3, "inference-events")
    with telemetry.timed("flush"):
        pass
    port = port_of(begun(Spoken(), exposition(telemetry)))
    status, body = ask(port, "/metrics")
    assert status == 200
    families = {f.name: f for f in text_string_to_metric_families(body.decode())}
    assert families["driftline_records_read"].samples[0].value == 3
    assert families["driftline_step_duration_seconds"].samples[-2].value == 1
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6


def test_a_port_that_is_taken_is_tried_until_it_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        endpoint = begun(Spoken(), port=port)
        time.sleep(0.2)
        assert endpoint.port is None
        assert endpoint.is_alive()
    assert port_of(endpoint) == port
    assert ask(port, "/livez")[0] == 200


def test_clients_that_say_nothing_do_not_keep_others_out_for_long() -> None:
    port = port_of(begun(Spoken()))
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                assert ask(port, "/livez")[0] == 200
                break
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < deadline
                time.sleep(0.2)
    finally:
        for one in silent:
            one.close()


def test_a_loop_that_does_not_come_round_is_told_while_it_hangs() -> None:
    now = [0.0]
    pulse = Pulse(60.0, now=lambda: now[0])
    hung = threading.Event()
    threading.Thread(target=hung.wait, daemon=True).start()
    pulse.beat()
    port = port_of(begun(pulse))
    assert ask(port, "/livez")[0] == 200
    now[0] = 61.0
    status, body = ask(port, "/livez")
    assert (status, json.loads(body)["reason"]) == (503, "its loop has not come round for 61 s")
    pulse.beat("the database does not answer")
    assert [ask(port, path)[0] for path in ("/livez", "/readyz")] == [200, 503]
    hung.set()
