"""Which episode has a report, and where it lies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec
from sqlalchemy import select

from driftline.store import bulk
from driftline.store.episodes import Episode, episode_of
from driftline.store.tables import episodes
from driftline.store.tables import reports as t
from driftline.store.transactions import Target, reading, writing


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A report, or that it could not be made and why. ``html`` and ``json`` are paths."""

    episode_id: str
    status: Literal["ready", "failed"]
    html: str | None = None
    json: str | None = None
    made_at: int
    reason: str = ""


def put(target: Target, report: Report) -> None:
    """Keep a report in the place of the episode's former one."""
    with writing(target) as conn:
        bulk.upsert(conn, t, [msgspec.structs.asdict(report)])


def get(target: Target, episode_id: str) -> Report | None:
    """Return an episode's report."""
    with reading(target) as conn:
        row = conn.execute(select(t).where(t.c.episode_id == episode_id)).mappings().first()
    return None if row is None else Report(**row)


def left_over(target: Target, limit: int = 100) -> list[Report]:
    """Return reports on episodes that retention has let go of."""
    alone = select(t).outerjoin(episodes, t.c.episode_id == episodes.c.episode_id).where(episodes.c.episode_id.is_(None))
    with reading(target) as conn:
        return [Report(**row) for row in conn.execute(alone.order_by(t.c.episode_id).limit(limit)).mappings()]


def forget(target: Target, found: Iterable[Report]) -> None:
    """Forget reports; their files are the caller's to delete, and before: who dies in between does it again."""
    with writing(target) as conn:
        bulk.delete(conn, t, [{"episode_id": report.episode_id} for report in found])


def wanted(target: Target, limit: int = 10) -> list[Episode]:
    """Return the episodes that nobody has reported on yet, the oldest first."""
    missing = select(episodes).outerjoin(t, t.c.episode_id == episodes.c.episode_id).where(t.c.episode_id.is_(None))
    with reading(target) as conn:
        rows = conn.execute(missing.order_by(episodes.c.opened_at, episodes.c.episode_id).limit(limit)).mappings()
        return [episode_of(row) for row in rows]
