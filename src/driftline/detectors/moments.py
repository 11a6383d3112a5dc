"""The terms that are watched: for each column a few functions of its slots with mean 0 and variance 1 while all is as
in the reference.

Numbers are seen through their mid-rank ``u`` under the reference: the orthonormal polynomials of ``u`` of degree 1,
2, 3 feel a change of location, of scale and of the tails, are bounded whatever a value is, and do not depend on the
unit (Neyman's smooth test, 1937). Categories are seen through standardised indicators. A mean of a term's ``phi`` is
therefore an effect in standard deviations, comparable over all columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from driftline.contracts.reference import (
    CATEGORICAL_EXTRAS,
    NUMERIC_EXTRAS,
    CategoricalColumn,
    Column,
    GridColumn,
    NumericColumn,
)

Floats = npt.NDArray[np.float64]

#: Terms of a numeric column that need values of different size: one for each degree of the polynomial.
POLYNOMIALS = ("location", "scale", "tails")
#: What the name of a whole change begins with (``detectors.shapes``).
SHAPE = "shape:"
#: Categories with an indicator of their own; rarer ones are watched through ``unseen`` and the distances only.
MAX_VALUE_TERMS = 16

# A run of value slots counts as a support point of the polynomials if it holds this many rows and this share of them:
# degree d needs d + 1 points.
_SUPPORT_ROWS, _SUPPORT_SHARE = 5, 0.001


@dataclass(frozen=True, eq=False)
class Moments:
    """The terms of one column. ``phi`` and ``base`` have the shape (terms, slots of the column), ``p`` (slots).

    ``base`` is 1 on the slots that a term counts as its rows, 0 elsewhere (nulls have no location); ``phi`` is 0
    where ``base`` is. ``p`` are the reference's shares, smoothed by half a row for each slot (Krichevsky and
    Trofimov, 1981).
    """

    terms: tuple[str, ...]
    phi: Floats
    base: Floats
    p: Floats

    @property
    def indicator(self) -> npt.NDArray[np.bool_]:
        """Whether each term is a share (two values of phi) and not a polynomial or a shape."""
        return np.array([term not in POLYNOMIALS and not term.startswith(SHAPE) for term in self.terms], dtype=np.bool_)


@lru_cache(maxsize=8192)
def moments_of(column: Column) -> Moments:
    """Return the terms of a column of a reference.

    >>> moments_of(CategoricalColumn(name="c", role="feature", values=("a", "b"), counts=(60, 40, 0, 0, 0, 0))).terms
    ('value:b', 'unseen', 'null')
    """
    counts = np.asarray(column.counts, np.float64)
    p = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    if isinstance(column, GridColumn):
        return Moments((), np.zeros((0, len(counts))), np.zeros((0, len(counts))), p)
    rows = _numeric(column, counts, p) if isinstance(column, NumericColumn) else _categorical(column, counts, p)
    phi = np.array([row[1] for row in rows])
    base = np.array([row[2] for row in rows])
    return Moments(tuple(row[0] for row in rows), phi, base, p)


def indicator(hit: Floats, base: Floats, share: float) -> Floats:
    """Return the standardised indicator of the slots ``hit`` among ``base``, for an event whose share in the
    reference is ``share``.
    """
    share = min(max(share, 1e-9), 1 - 1e-9)
    return base * (hit - share) / float(np.sqrt(share * (1 - share)))


def _numeric(column: NumericColumn, counts: Floats, p: Floats) -> list[tuple[str, Floats, Floats]]:
    everything = np.ones(len(counts))
    values = everything.copy()
    values[-len(NUMERIC_EXTRAS) :] = 0
    rows = [(name, phi, values) for name, phi in zip(POLYNOMIALS, _polynomials(counts, p * values), strict=False)]
    outside = np.zeros(len(counts))
    outside[[0, len(column.edges)]] = 1
    # The next of m exchangeable values falls outside their range with probability 2 / (m + 1), although the reference
    # itself shows none there.
    rows.append(("unseen", indicator(outside, values, float((counts @ outside + 2) / (counts @ values + 3))), values))
    missing = 1 - values
    rows.append(("null", indicator(missing, everything, float((counts @ missing + 0.5) / (counts.sum() + 1))), everything))
    return rows


def _polynomials(counts: Floats, p: Floats) -> list[Floats]:
    """Orthonormal polynomials of the mid-rank, no more than the support carries."""
    enough = max(_SUPPORT_ROWS, _SUPPORT_SHARE * counts.sum())
    support, held = 0, 0.0
    for count in counts[p > 0]:
        held += count
        if held >= enough:
            support, held = support + 1, 0.0
    degree = min(len(POLYNOMIALS), support - 1)
    if degree < 1:
        return []
    p = p / p.sum()
    u = np.cumsum(p) - p / 2 - 0.5
    vandermonde = np.vander(u, degree + 1, increasing=True)
    root = np.sqrt(p)[:, None]
    _, triangle = np.linalg.qr(root * vandermonde)
    phi = np.linalg.solve(triangle.T * np.sign(np.diag(triangle)), vandermonde.T)
    return [np.where(p > 0, row, 0.0) for row in phi[1:]]


def _categorical(column: CategoricalColumn, counts: Floats, p: Floats) -> list[tuple[str, Floats, Floats]]:
    everything = np.ones(len(counts))
    k = len(column.values)
    present = everything.copy()
    present[[k + CATEGORICAL_EXTRAS.index("null"), k + CATEGORICAL_EXTRAS.index("wrong_type")]] = 0
    kept = p @ present
    frequent = sorted(range(k), key=lambda slot: (-counts[slot], slot))[:MAX_VALUE_TERMS]
    if k == 2:
        frequent = frequent[1:]  # of two values one tells all; the rarer names what happened
    slots = [(f"value:{column.values[slot]}", slot) for slot in sorted(frequent)]
    slots.append(("unseen", k + CATEGORICAL_EXTRAS.index("unseen")))
    rows = [(term, indicator(np.eye(len(counts))[slot], present, float(p[slot] / kept)), present) for term, slot in slots]
    missing = 1 - present
    rows.append(("null", indicator(missing, everything, float((counts @ missing + 0.5) / (counts.sum() + 1))), everything))
    return rows
