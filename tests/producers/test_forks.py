from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from tests.producers.conftest import Read

from driftline.producers import Publisher, forking

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def run(program: str, bootstrap: str, prefix: str) -> None:
    subprocess.run([sys.executable, "-c", textwrap.dedent(program), bootstrap, prefix], check=True, timeout=100)


def keys(read: Read, prefix: str) -> list[str]:
    return sorted(key.decode() for _, key, _, _, _ in read(prefix + "inference-events") if key)


def test_a_publisher_made_before_a_fork_serves_parent_and_child(bootstrap: str, prefix: str, read: Read) -> None:
    program = """
        import os, sys
        from driftline.producers import Publisher
        publisher = Publisher(bootstrap_servers=sys.argv[1], topic_prefix=sys.argv[2], model="m")
        publisher.publish({"x": 0}, event_id="before")
        assert publisher.flush(20)
        child = os.fork()
        publisher.publish({"x": 1}, event_id="parent" if child else "child")
        assert publisher.flush(20)
        if child:
            assert os.waitpid(child, 0)[1] == 0
            publisher.publish({"x": 2}, event_id="after")
    """
    run(program, bootstrap, prefix)
    assert keys(read, prefix) == ["after", "before", "child", "parent"]


def test_a_pre_fork_server_whose_workers_serve_and_fork_under_load_loses_nothing(bootstrap: str, prefix: str, read: Read) -> None:
    program = """
        import os, signal, sys, threading, time
        from driftline.producers import Publisher
        publisher = Publisher(bootstrap_servers=sys.argv[1], topic_prefix=sys.argv[2], model="m", close_timeout=30)

        def serve(name, n):
            for i in range(n):
                publisher.publish({"x": i}, event_id=f"{name}-{i}")

        # The master has published from several threads, and still does while it forks its workers.
        threads = [threading.Thread(target=serve, args=(f"master{t}", 300)) for t in range(3)]
        for thread in threads:
            thread.start()
        workers = []
        for w in range(4):
            pid = os.fork()
            if pid == 0:
                try:
                    assert publisher.stats.published == 0, publisher.stats  # the master's events are the master's
                    inner = [threading.Thread(target=serve, args=(f"worker{w}{t}", 100)) for t in range(2)]
                    for thread in inner:
                        thread.start()
                    for thread in inner:
                        thread.join()
                    assert publisher.flush(60)
                    assert (publisher.stats.delivered, publisher.lost) == (200, 0), publisher.stats
                    publisher.close()
                    os._exit(0)
                except BaseException:
                    import traceback
                    traceback.print_exc()
                    os._exit(1)
            workers.append(pid)
        for thread in threads:
            thread.join()
        assert [os.waitpid(pid, 0)[1] for pid in workers] == [0] * 4
        assert publisher.flush(60)
        assert (publisher.stats.delivered, publisher.lost) == (900, 0), publisher.stats
    """
    run(program, bootstrap, prefix)
    expected = [f"master{t}-{i}" for t in range(3) for i in range(300)] + [
        f"worker{w}{t}-{i}" for w in range(4) for t in range(2) for i in range(100)
    ]
    assert keys(read, prefix) == sorted(expected)


def test_in_an_outage_no_fork_waits_for_a_connection_but_for_the_first_one() -> None:
    def until(held: bool, within_s: float = 60.0) -> None:
        deadline = time.monotonic() + within_s
        while forking._steady.locked() != held:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    # The kernel accepts for a broker that hangs: so long as Kafka's client may take to find out, a fork would have to wait.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        publisher = Publisher(bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}", model="m", close_timeout=0)
        publisher.publish({"x": 0})
        until(held=True)
        until(held=False)
        again = time.monotonic() + 3.0  # another attempt begins after .05 s, and takes 2 s
        held = []
        while time.monotonic() < again:
            held.append(forking._steady.locked())
            time.sleep(0.005)
        publisher.close()
    assert held
    assert not any(held)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_what_a_process_of_multiprocessing_published_is_sent_before_it_ends(
    bootstrap: str, prefix: str, read: Read, method: str, tmp_path: object
) -> None:
    program = f"""
        import multiprocessing, sys
        from driftline.producers import Publisher

        def work(bootstrap, prefix, name):
            publisher = Publisher(bootstrap_servers=bootstrap, topic_prefix=prefix, model="m")
            for i in range(50):
                publisher.publish({{"x": i}}, event_id=f"{{name}}-{{i}}")

        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            processes = [context.Process(target=work, args=(*sys.argv[1:3], name)) for name in "ab"]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
            assert [process.exitcode for process in processes] == [0, 0]
    """
    file = f"{tmp_path}/program.py"
    with open(file, "w") as out:  # noqa: PTH123 - spawn runs a file again
        out.write(textwrap.dedent(program))
    subprocess.run([sys.executable, file, bootstrap, prefix], check=True, timeout=100)
    assert keys(read, prefix) == sorted(f"{name}-{i}" for name in "ab" for i in range(50))
