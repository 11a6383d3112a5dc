from __future__ import annotations

import logging
import socket
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from tests import postgres as pg

from driftline.cli.ports import HOST, free_port
from driftline.cli.waiting import absent_part, wait_for_parts
from driftline.contracts.settings import Settings, build_settings


def settings_of(port: int, database: str) -> Settings:
    return build_settings({"kafka": {"bootstrap_servers": f"{HOST}:{port}"}, "database": database})


@pytest.fixture
def broker_port() -> int:
    return free_port()


def test_it_waits_for_a_broker_and_says_so_once(broker_port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_of(broker_port, f"sqlite:///{tmp_path / 'd.db'}")
    with caplog.at_level(logging.INFO, "driftline.worker"), socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        waiting = threading.Thread(target=wait_for_parts, args=(settings,))
        waiting.start()
        time.sleep(1.0)
        assert waiting.is_alive()
        server.bind((HOST, broker_port))
        server.listen()
        waiting.join(20)
        assert not waiting.is_alive()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith(f"Waiting: no broker answers at {HOST}:{broker_port}")
    assert said[1] == "All is there again"


def test_a_postgresql_that_is_away_is_told_from_one_that_is_there(broker_port: int, postgres: str) -> None:
    with pg.fresh_database(postgres) as there, socket.create_server((HOST, broker_port)):
        gone = there.replace(there.rpartition(":")[2].partition("/")[0], str(free_port()))
        said = absent_part(settings_of(broker_port, gone))
        assert said is not None
        assert said.startswith("the database does not answer: connection")
        assert absent_part(settings_of(broker_port, there)) is None


def test_a_database_that_is_being_written_to_is_there(broker_port: int, tmp_path: Path) -> None:
    path = tmp_path / "d.db"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("BEGIN IMMEDIATE")
    with socket.create_server((HOST, broker_port)):
        began = time.monotonic()
        wait_for_parts(settings_of(broker_port, f"sqlite:///{path}"))
        assert time.monotonic() - began < 20
    writer.execute("ROLLBACK")
    writer.close()
