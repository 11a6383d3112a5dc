"""The registry: each model's champion and every turn in its life. A turn and its `model-versions` record are one
commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from driftline.contracts.errors import StaleState
from driftline.contracts.findings import ModelVersion, encode_json
from driftline.contracts.topics import MODEL_VERSIONS
from driftline.store import bulk, outbox
from driftline.store.outbox import OutboxRow
from driftline.store.tables import champions as t
from driftline.store.tables import model_versions
from driftline.store.transactions import Target, reading, writing

#: Owner of the outbox rows.
OWNER = "versions"

Headers = Sequence[tuple[str, bytes]]
_decode = msgspec.json.Decoder(ModelVersion).decode


class Champion(msgspec.Struct, frozen=True, kw_only=True):
    """The version that services serve, after turn ``sequence``."""

    model: str
    sequence: int
    version: str
    artifact: str | None
    sha256: str | None
    reference_id: str
    effective_from: int


def register_first(target: Target, version: ModelVersion, headers: Headers = ()) -> bool:
    """Make a version (sequence 1) the first champion of its model; False when the model has one already, whichever."""
    if version.sequence != 1:
        raise ValueError(f"the first version has sequence {version.sequence}; expected 1")
    with writing(target) as conn:
        files = {"artifact": version.artifact, "sha256": version.sha256}
        new = bulk.insert_one(conn, t, {"model": version.model, **_champion(version), **files})
        if new:
            _append(conn, version, headers)
        return new


def promote(target: Target, version: ModelVersion, expected_sequence: int, headers: Headers = ()) -> None:
    """Take the turn after ``expected_sequence``, or raise StaleState when the model has gone on (or has no champion).

    Every status is a turn. One that is no promotion and names no artifact leaves the champion's artifact as it is.
    """
    if version.sequence != expected_sequence + 1:
        raise ValueError(f"sequence {version.sequence} does not follow {expected_sequence}")
    values = _champion(version)
    if version.status == "champion" or version.artifact is not None:
        values |= {"artifact": version.artifact, "sha256": version.sha256}
    with writing(target) as conn:
        here = (t.c.model == version.model) & (t.c.sequence == expected_sequence)
        if conn.execute(t.update().where(here).values(values)).rowcount != 1:
            raise StaleState(f"model {version.model} is not at sequence {expected_sequence}")
        _append(conn, version, headers)


def current(target: Target, model: str) -> Champion | None:
    """Return a model's champion."""
    with reading(target) as conn:
        row = conn.execute(select(t).where(t.c.model == model)).mappings().first()
    return None if row is None else Champion(**row)


def champions(target: Target) -> list[Champion]:
    """Return every model's champion, by model."""
    with reading(target) as conn:
        return sorted((Champion(**row) for row in conn.execute(select(t)).mappings()), key=lambda c: c.model)


def history(target: Target, model: str) -> list[ModelVersion]:
    """Return the turns of a model's life, the first one first."""
    m = model_versions
    with reading(target) as conn:
        turns = select(m.c.payload).where(m.c.model == model).order_by(m.c.sequence)
        return [_decode(text) for text in conn.scalars(turns)]


def _champion(version: ModelVersion) -> dict[str, Any]:
    return {
        "sequence": version.sequence,
        "version": version.version,
        "reference_id": version.reference_id,
        "effective_from": version.effective_from,
    }


def _append(conn: Connection, version: ModelVersion, headers: Headers) -> None:
    payload = encode_json(version)
    turn = {"model": version.model, "sequence": version.sequence, "status": version.status, "version": version.version}
    bulk.insert_new(conn, model_versions, [{**turn, "payload": payload.decode()}])
    key = version.model.encode()
    outbox.add(conn, [OutboxRow(owner=OWNER, topic=MODEL_VERSIONS.name, key=key, value=payload, headers=tuple(headers))])
