"""What a turn says to the world: from the outbox to the topic, in order, as often as it takes, by one publisher at a time."""

from __future__ import annotations

from typing import Any

from kafka import KafkaProducer
from sqlalchemy import Engine

from driftline.contracts.deadletters import dead_letter
from driftline.contracts.errors import DecodeError
from driftline.contracts.settings import KafkaSettings, LimitSettings
from driftline.contracts.topics import DEAD_LETTERS
from driftline.retrain.connection import connection
from driftline.store import outbox, versions

_WAIT_SECONDS = 20.0
#: Whoever publishes turns does so under this transactional id (below the prefix): the broker then refuses all who came before.
PUBLISHER = "driftline-versions"


def publish_turns(engine: Engine, kafka: KafkaSettings) -> int:
    """Publish what waits in the outbox, forget what the broker has acknowledged, and return how many.

    The topic is compacted, so a publisher that slept must never append an old turn after a newer one: it would be the
    one that stays. Each call fences its predecessors first and only then looks what is still to be said. A crash before
    the rows are forgotten publishes them again, with the same ids and bytes. Raises KafkaError where the broker doesn't
    take them.
    """
    if not outbox.pending(engine, versions.OWNER, limit=1):
        return 0
    producer = KafkaProducer(transactional_id=kafka.topic_prefix + PUBLISHER, acks="all", **connection(kafka))
    try:
        producer.init_transactions()
        rows = outbox.pending(engine, versions.OWNER)
        producer.begin_transaction()
        sent = [producer.send(kafka.topic_prefix + row.topic, key=row.key, value=row.value, headers=list(row.headers)) for row in rows]
        producer.commit_transaction()
        for future in sent:  # a commit alone does not say that each of them is in it
            future.get(timeout=_WAIT_SECONDS)
    finally:
        producer.close(timeout=_WAIT_SECONDS)
    outbox.delete(engine, [row.id for row in rows if row.id is not None])
    return len(rows)


def bury(producer: Any, kafka: KafkaSettings, limits: LimitSettings, record: Any, error: DecodeError) -> None:
    """Send a record that can't be read to the dead letters, as it came, the reason beside it; returns once it is
    acknowledged.
    """
    letter = dead_letter(
        record.key,
        record.value,
        list(record.headers or ()),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        stage="retrain",
        error=error,
        most=limits.letter_bytes,
    )
    name = kafka.topic_prefix + DEAD_LETTERS.name
    producer.send(name, key=letter.key, value=letter.value, headers=letter.headers).get(timeout=_WAIT_SECONDS)
