"""How long nothing may come before that alone is worth an alarm, whatever is known of the rate.

A silence speaks when it is ``TIMES`` as long as the longest one before, and an hour at least. Before two weekends have
been seen nobody knows nights and weekends either: it has to be as long as all the time that is known, too, three days
at the most. So each such alarm that was none doubles what is known, and there are few of them in a model's life.
"""

from __future__ import annotations

from driftline.contracts.times import DAY_MS, HOUR_MS

TIMES = 20
LEAST_MS = HOUR_MS
#: So much has to be known for the longest time between two events to hold two nights and two weekends.
KNOWN_MS, UNKNOWN_MS = 14 * DAY_MS, 3 * DAY_MS
#: The term, beside that of the volume, in the same column.
SILENCE = "silence"


def longest_silence(known: int, longest_gap: int) -> int:
    """Return the ms after which a silence speaks, from the ms that are known and the longest gap in them.

    >>> longest_silence(30 * DAY_MS, 12 * 60_000) // 60_000, longest_silence(5 * HOUR_MS, 1_000) // HOUR_MS
    (240, 5)
    """
    unknown = min(known, UNKNOWN_MS) if known < KNOWN_MS else 0
    return max(LEAST_MS, TIMES * longest_gap, unknown)
