"""What has to be published, written in the transaction that decided it; a publisher sends and deletes it afterwards,
as often as it takes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import func, select

from driftline.store import bulk
from driftline.store.tables import outbox
from driftline.store.transactions import Target, reading, writing


class OutboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """A record to publish. ``topic`` has no prefix; ``owner`` names the step and partition that publishes it; ``id``
    is set on rows read back.
    """

    owner: str
    topic: str
    key: bytes
    value: bytes
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    id: int | None = None


_headers = msgspec.msgpack.Decoder(tuple[tuple[str, bytes], ...])


def add(target: Target, rows: Sequence[OutboxRow]) -> None:
    """Add records, to be published in this order."""
    if not rows:
        return
    values = [
        {
            "owner": r.owner,
            "topic": r.topic,
            "partition": r.partition,
            "key": r.key,
            "value": r.value,
            "headers": msgspec.msgpack.encode(r.headers),
        }
        for r in rows
    ]
    with writing(target) as conn:
        bulk.append(conn, outbox, values)


def pending(target: Target, owner: str, limit: int = 1000) -> list[OutboxRow]:
    """Return an owner's records that nobody has published and deleted yet, in order of insertion."""
    t = outbox
    columns = (t.c.owner, t.c.topic, t.c.key, t.c.value, t.c.partition, t.c.headers, t.c.id)
    with reading(target) as conn:
        rows = conn.execute(select(*columns).where(t.c.owner == owner).order_by(t.c.id).limit(limit)).all()
    return [
        OutboxRow(owner=o, topic=topic, key=key, value=value, partition=p, headers=_headers.decode(h), id=i) for o, topic, key, value, p, h, i in rows
    ]


def waiting(target: Target) -> dict[str, int]:
    """Return how many records each owner has yet to publish; owners without any are left out."""
    counted = select(outbox.c.owner, func.count()).group_by(outbox.c.owner)
    with reading(target) as conn:
        return {row[0]: row[1] for row in conn.execute(counted)}


def delete(target: Target, ids: Sequence[int]) -> None:
    """Forget records that the broker has acknowledged."""
    if not ids:
        return
    with writing(target) as conn:
        condition = bulk.among(conn, outbox.c.id, "ids")
        conn.execute(outbox.delete().where(condition), {"ids": bulk.listed(conn, sorted(ids))})
