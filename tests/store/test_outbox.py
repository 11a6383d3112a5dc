from __future__ import annotations

from sqlalchemy import Engine
from tests.store.builders import outbox_row

from driftline.store import outbox


def test_records_come_back_in_the_order_they_were_added(engine: Engine) -> None:
    headers = (("ce_id", b"\x00\xff"), ("ce_id", b""))
    outbox.add(engine, [outbox_row(b"1", partition=3, headers=headers), outbox_row(b"\x00\xff")])
    outbox.add(engine, [outbox_row(b"else", owner="other"), outbox_row(b"3")])
    outbox.add(engine, [])
    rows = outbox.pending(engine, "o")
    assert [(r.value, r.partition, r.headers) for r in rows] == [
        (b"1", 3, headers),
        (b"\x00\xff", None, ()),
        (b"3", None, ()),
    ]
    assert [r.value for r in outbox.pending(engine, "o", limit=2)] == [b"1", b"\x00\xff"]


def test_deleted_records_are_gone_and_their_ids_never_return(engine: Engine) -> None:
    outbox.add(engine, [outbox_row(b"1"), outbox_row(b"2"), outbox_row(b"3")])
    ids = [row.id for row in outbox.pending(engine, "o") if row.id is not None]
    outbox.delete(engine, [ids[2], ids[0]])
    assert [row.value for row in outbox.pending(engine, "o")] == [b"2"]
    outbox.delete(engine, ids)
    outbox.delete(engine, [])
    outbox.add(engine, [outbox_row(b"4")])
    [row] = outbox.pending(engine, "o")
    assert row.id is not None
    assert row.id > max(ids)
