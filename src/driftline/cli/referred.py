"""Stored references, found by the beginning of an id, and checked against their hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from driftline.contracts.errors import DriftlineError
from driftline.contracts.reference import Reference, content_id
from driftline.store import references

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Verified(msgspec.Struct, frozen=True):
    """A reference, and what is wrong with it; nothing: its content has the hash that its id says."""

    reference_id: str
    model: str
    origin: str
    flaw: str | None


def found_reference(engine: Engine, beginning: str) -> Reference:
    """Return the reference whose id begins so. Raises DriftlineError for none, or several."""
    known = [name for name, _, _ in references.names(engine) if name.startswith(beginning)]
    if len(known) != 1:
        raise DriftlineError(f"{len(known) or 'no'} references begin with {beginning!r}; `driftline reference list --json` has their ids")
    found = references.get(engine, known[0])
    if found is None:
        raise DriftlineError(f"reference {known[0]} is gone")
    return found


def verified(engine: Engine, model: str | None = None) -> list[Verified]:
    """Return each stored reference, with what is wrong with it."""
    return [_verified(engine, *row) for row in references.names(engine) if model is None or row[1] == model]


def hash_of(engine: Engine, reference_id: str) -> str:
    """Return the hash of what is stored under an id. Raises DriftlineError where it is no reference any more."""
    raw = references.payload(engine, reference_id)
    if raw is None:
        raise DriftlineError(f"reference {reference_id} is gone")
    return content_id(raw)


def _verified(engine: Engine, reference_id: str, model: str, origin: str) -> Verified:
    try:
        actual = hash_of(engine, reference_id)
        found = references.get(engine, reference_id)
    except DriftlineError as error:
        return Verified(reference_id, model, origin, str(error))
    fine = actual == reference_id and found is not None and found.reference_id == reference_id
    return Verified(reference_id, model, origin, None if fine else f"the hash of what is stored is {actual}")
