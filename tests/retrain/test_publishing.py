"""What a turn says is forgotten only once the broker has each record.

A stand-in for kafka-python's producer: a real one loses a record in a transaction that commits all the same only in a race of milliseconds.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka.errors import KafkaError, ProducerFencedError

from driftline.contracts.settings import KafkaSettings
from driftline.retrain import publishing
from driftline.store import outbox, versions
from driftline.store.database import migrate, open_database


class Failed:
    """The fate of a record that was refused."""

    def get(self, timeout: float) -> object:
        raise ProducerFencedError


class Fenced:
    """Its sends fail, its commit does not say so."""

    def __init__(self, **_: object) -> None: ...

    def init_transactions(self) -> None: ...

    def begin_transaction(self) -> None: ...

    def commit_transaction(self) -> None: ...

    def close(self, timeout: float) -> None: ...

    def send(self, _topic: str, **_: object) -> Failed:
        return Failed()


def test_a_turn_whose_record_did_not_arrive_waits_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "KafkaProducer", Fenced)
    engine = open_database(f"sqlite:///{tmp_path / 'turns.db'}")
    migrate(engine)
    outbox.add(engine, [outbox.OutboxRow(owner=versions.OWNER, topic="model-versions", key=b"m", value=b"{}")])
    with pytest.raises(KafkaError):
        publishing.publish_turns(engine, KafkaSettings())
    assert len(outbox.pending(engine, versions.OWNER)) == 1
    engine.dispose()
