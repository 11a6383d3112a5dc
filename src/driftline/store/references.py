"""References, with the rows they were sampled from. Immutable: one that is there already stays as it is."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import select

from driftline.contracts.reference import Reference, decode_reference, encode_reference
from driftline.contracts.summaries import SampleRow
from driftline.store import bulk
from driftline.store.tables import counters, references
from driftline.store.transactions import Target, reading, writing

_COUNTER = "references"
_samples = msgspec.msgpack.Decoder(list[SampleRow])


def put(target: Target, reference: Reference, rows: Sequence[SampleRow] = ()) -> bool:
    """Store a reference and its sample; say whether it is new. Both stay as they were when the ``reference_id`` is
    known.
    """
    with writing(target) as conn:
        bulk.insert_one(conn, counters, {"name": _COUNTER, "value": 0})
        # The counter's row is the lock that makes sequences appear in their own order: a poller that has seen 7 never
        # misses a 6 under way.
        here = counters.c.name == _COUNTER
        newest: int = conn.execute(counters.update().where(here).values(value=counters.c.value).returning(counters.c.value)).scalar_one()
        new = bulk.insert_one(
            conn,
            references,
            {
                "reference_id": reference.reference_id,
                "sequence": newest + 1,
                "model": reference.model,
                "version": reference.version,
                "effective_from": reference.effective_from,
                "origin": reference.origin,
                "payload": encode_reference(reference),
                "samples": msgspec.msgpack.encode(rows),
            },
        )
        if new:
            conn.execute(counters.update().where(here).values(value=newest + 1))
        return new


def get(target: Target, reference_id: str) -> Reference | None:
    """Return a reference."""
    t = references
    with reading(target) as conn:
        raw = conn.scalar(select(t.c.payload).where(t.c.reference_id == reference_id))
    return None if raw is None else decode_reference(raw)


def payload(target: Target, reference_id: str) -> bytes | None:
    """Return the bytes of a reference as they were put."""
    t = references
    with reading(target) as conn:
        raw: bytes | None = conn.scalar(select(t.c.payload).where(t.c.reference_id == reference_id))
    return raw


def for_model(target: Target, model: str) -> list[Reference]:
    """Return a model's references by (effective_from, reference_id)."""
    t = references
    with reading(target) as conn:
        found = [decode_reference(raw) for raw in conn.scalars(select(t.c.payload).where(t.c.model == model))]
    return sorted(found, key=lambda r: (r.effective_from, r.reference_id))


def names(target: Target) -> list[tuple[str, str, str]]:
    """Return id, model and origin of each reference, by model and the event time from which it holds; what is inside is not read."""
    t = references
    with reading(target) as conn:
        found = conn.execute(select(t.c.reference_id, t.c.model, t.c.origin).order_by(t.c.model, t.c.effective_from, t.c.reference_id))
        return [(row.reference_id, row.model, row.origin) for row in found]


def models(target: Target) -> list[str]:
    """Return the models that have a reference."""
    with reading(target) as conn:
        return sorted(conn.scalars(select(references.c.model).distinct()))


def newest_sequence(target: Target) -> int:
    """Return how many references were ever put: what a poller compares, one row read by its key."""
    with reading(target) as conn:
        return conn.scalar(select(counters.c.value).where(counters.c.name == _COUNTER)) or 0


def since(target: Target, sequence: int) -> list[tuple[int, Reference]]:
    """Return the references put after a sequence, in order of theirs."""
    t = references
    with reading(target) as conn:
        rows = conn.execute(select(t.c.sequence, t.c.payload).where(t.c.sequence > sequence).order_by(t.c.sequence)).all()
    return [(number, decode_reference(raw)) for number, raw in rows]


def sample_rows(target: Target, reference_id: str) -> list[SampleRow]:
    """Return the sample put with a reference, none where there is no such reference."""
    t = references
    with reading(target) as conn:
        raw = conn.scalar(select(t.c.samples).where(t.c.reference_id == reference_id))
    return [] if raw is None else _samples.decode(raw)
