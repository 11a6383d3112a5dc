"""How long something takes, as plain numbers: written in nanoseconds of work, read when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

#: Upper bounds (s): from a batch in memory to a database that is away.
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Timing:
    """A histogram over BOUNDS, and the sum.

    >>> timing = Timing()
    >>> timing.add(0.003)
    >>> timing.add(99.0)
    >>> timing.cumulative()[2], timing.cumulative()[-1]
    (('0.005', 1.0), ('+Inf', 2.0))
    """

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Return (bound, how many took at most so long), as Prometheus has it."""
        counts, total = list(self.counts), 0
        found = []
        for bound, count in zip([*map(str, BOUNDS), "+Inf"], counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found
