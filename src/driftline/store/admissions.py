"""Names from outside that are let in, up to a number: whoever comes first, for good. It is stored, so that a replay decides the same."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select

from driftline.store import bulk
from driftline.store.tables import admitted as t
from driftline.store.transactions import Target, reading, writing


def admit(target: Target, scope: str, names: Iterable[str], most: int) -> None:
    """Let names into a scope, the least first, while there are fewer than ``most``. Rivals may do so at the same time: each number is given once."""
    with writing(target) as conn:
        for name in sorted(names):
            # A rival may take the number: then the next one is tried, until the name is in or there is none left.
            while True:
                taken: int = conn.scalar(select(func.count()).select_from(t).where(t.c.scope == scope)) or 0
                known = conn.scalar(select(t.c.number).where(t.c.scope == scope, t.c.name == name))
                if known is not None or taken >= most or bulk.insert_one(conn, t, {"scope": scope, "name": name, "number": taken}):
                    break
            if known is None and taken >= most:
                return


def admitted(target: Target, scope: str) -> set[str]:
    """Return the names that are in."""
    with reading(target) as conn:
        return set(conn.scalars(select(t.c.name).where(t.c.scope == scope)))
