"""What an insert does where the key is there already; both dialects spell it alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table


def or_replaced(insert: Any, into: Table, names: Sequence[str], unless_newer: str | None) -> Any:
    """Return an insert that puts its rows in the place of those there, unless one there has a greater value of ``unless_newer``."""
    keys = [c.name for c in into.primary_key]
    changed = {name: insert.excluded[name] for name in names if name not in keys}
    where = insert.excluded[unless_newer] >= into.c[unless_newer] if unless_newer else None
    return insert.on_conflict_do_update(index_elements=keys, set_=changed, where=where)
