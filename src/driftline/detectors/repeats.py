"""Events of one block that came again: rows with the id of another one, as far as the block shows them.

A block is so many consecutive offsets, or bytes, of one partition, so a producer that tries again is seen, unless its block ended in between; what
comes again much later, or on another partition, is not (outcomes are kept once by id, whatever comes again). Which of the rows of one id counts as
the first does not depend on the order in which they were read: it is the one of the least pane.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

#: Rows whose ids are remembered. A block of large columnar records has more: then only ids below a limit are, and what is found is scaled up.
MOST_ROWS = 1 << 17
_PLACES = 1 << 63


class Repeats:
    """What the rows of a block had for ids (by their places in the hash samples), and where each of them counts.

    >>> repeats = Repeats()
    >>> repeats.note("reference", np.array([7, 8, 7]), np.array([20, 20, 22]))
    >>> repeats.counts()
    Counter({('reference', 22): 1})
    """

    def __init__(self, most: int = MOST_ROWS) -> None:
        self._most = most
        self._names: dict[str, int] = {}
        self._noted: list[tuple[Ints, Ints, Ints]] = []
        self._rows = 0
        self._halvings = 0

    def note(self, name: str, places: Ints, codes: Ints) -> None:
        """Note rows: ``codes`` tell their panes."""
        number = self._names.setdefault(name, len(self._names))
        noted = self._below((places, codes, np.full(len(places), number, np.int64)))
        self._noted.append(noted)
        self._rows += len(noted[0])
        while self._rows > self._most and self._halvings < 63:
            self._halvings += 1
            self._noted = [self._below(noted) for noted in self._noted]
            self._rows = sum(len(places) for places, _, _ in self._noted)

    def counts(self) -> Counter[tuple[str, int]]:
        """Return for each name and code how many rows had the id of another one that counts before them."""
        places = np.concatenate([noted[0] for noted in self._noted]) if self._noted else np.zeros(0, np.int64)
        ordered = np.sort(places)
        if not (ordered[1:] == ordered[:-1]).any():
            return Counter()
        codes, numbers = (np.concatenate([part[i] for part in self._noted]) for i in (1, 2))
        # By names, not by the order in which they came.
        names = sorted(self._names)
        ranks = np.array([names.index(name) for name in self._names])[numbers]
        order = np.lexsort((ranks, codes, places))
        again = order[1:][places[order[1:]] == places[order[:-1]]]
        found = Counter(zip(ranks[again].tolist(), codes[again].tolist(), strict=True))
        return Counter({(names[rank], code): n << self._halvings for (rank, code), n in found.items()})

    def _below(self, noted: tuple[Ints, Ints, Ints]) -> tuple[Ints, Ints, Ints]:
        if not self._halvings:
            return noted
        kept = noted[0] < _PLACES >> self._halvings
        return noted[0][kept], noted[1][kept], noted[2][kept]
