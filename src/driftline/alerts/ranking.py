"""Which of an episode's causes come first: those by which the model is moved most. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from driftline.contracts.findings import Cause


def ranked(causes: Iterable[Cause]) -> list[Cause]:
    """Return the causes by the size of their impact (importance x effect); those without one by their share of the evidence, then by their effect.

    >>> def moved(column: str, effect: float, importance: float, share: float) -> Cause:
    ...     return Cause(column=column, term="location", direction="up", effect=effect, low=effect, high=effect, tolerance=0.2, share=share,
    ...                  importance=importance, impact=importance * effect, onset=0)
    >>> [c.column for c in ranked([moved("loud", 2.0, 0.01, 0.9), moved("weighty", 0.5, 0.4, 0.1)])]
    ['weighty', 'loud']
    >>> [c.column for c in ranked([moved("little", 2.0, 0.0, 0.1), moved("most", 0.5, 0.0, 0.9)])]
    ['most', 'little']
    """
    return sorted(causes, key=lambda c: (-abs(c.impact), -c.share, -abs(c.effect), c.column, c.term))
