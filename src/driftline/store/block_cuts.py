"""How each partition of the events is cut into blocks, from which offset on. A change of the settings takes effect beyond everything that anybody may
have said under the former ones: a block that is said twice has to end at the same record.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from driftline.contracts.cutting import Cut, Cuts
from driftline.store import bulk
from driftline.store.tables import block_cuts as t
from driftline.store.transactions import Target, reading, writing


def settle(target: Target, partition: int, cut: Cut, end: int, *, fresh: bool) -> Cuts:
    """Return how a partition is cut, ``cut`` being what the settings want from now on.

    ``end``: the log's next offset, as whoever has taken the partition over saw it. ``fresh``: nobody has read of the partition. Where somebody has
    and nothing is stored, it was a version that ended blocks by their offsets only.
    """
    with reading(target) as conn:
        known = _stored(conn, partition)
    if known is not None and known.last == cut:
        return known
    with writing(target) as conn:
        # Rivals may settle it at the same time: each offset is given once, and whoever comes second looks again.
        while (known := _stored(conn, partition)) is None or known.last != cut:
            if known is None:
                since, wanted = 0, cut if fresh else _unsaid(cut.size)
            else:
                since, wanted = known.last.boundary(max(end, known.latest + 1)), cut
            row = {"partition": partition, "since": since, "size": wanted.size, "span": wanted.span, "bytes": wanted.most_bytes}
            bulk.insert_one(conn, t, row)
        return known


def known(target: Target, partition: int) -> Cuts | None:
    """Return how a partition has been cut, None where nobody has said."""
    with reading(target) as conn:
        return _stored(conn, partition)


def of_read(target: Target, partition: int, size: int) -> Cuts:
    """Return how a partition that somebody has read is cut, with blocks of ``size`` offsets where nobody has said."""
    return known(target, partition) or Cuts(((0, _unsaid(size)),))


def _unsaid(size: int) -> Cut:
    """Return how whoever left nothing stored has cut: a version that ended blocks by their offsets only."""
    return Cut(size, 0)


def _stored(conn: Connection, partition: int) -> Cuts | None:
    rows = conn.execute(select(t.c.since, t.c.size, t.c.span, t.c.bytes).where(t.c.partition == partition).order_by(t.c.since))
    found = tuple((since, Cut(size, span, most)) for since, size, span, most in rows)
    return Cuts(found) if found else None
