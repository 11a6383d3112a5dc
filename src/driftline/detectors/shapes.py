"""Payoffs of a likelihood ratio's own shape: what the slots would hold if normal scores moved or widened, against what they hold in the reference.

A bet on one moment is the best first step towards any change of that moment. Against a whole change the likelihood ratio q / p gains as much an event
as any bet can: its Kullback-Leibler divergence (Kelly, 1956). Values are seen through their ranks, so that the shape is that of a normal distribution
whatever the column's own is: a payoff f with E f = 0 in the reference, and a bet like any other.

No list of moments says what f comes to elsewhere. But for any distribution P of the slots (Cauchy and Schwarz)

    |E_P f| <= sd(f) chi(P),    chi^2 = sum of (P - p)^2 / p,

and the mean of a moment, whose sd is 1, keeps to the same bound. So 1 + tolerance sd(f) is the price of f while P is no further from the reference
than the tolerance, in chi. For a small shift or widening chi is the effect, in standard deviations of its moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from driftline.detectors.moments import SHAPE, Floats, Moments


@dataclass(frozen=True)
class Shape:
    """Normal scores with a mean of ``shift`` and a standard deviation of ``ratio``. ``part`` of it is staked, so that no event ruins the bet."""

    shift: float
    ratio: float
    part: float

    @property
    def term(self) -> str:
        """The name of what the reference says about its wandering; another shape's is another.

        >>> Shape(-0.5, 1.0, 0.9).term
        'shape:-0.5,1,0.9'
        """
        return f"{SHAPE}{self.shift:g},{self.ratio:.4g},{self.part:g}"


#: Half and a whole standard deviation up and down; a scale that grows by 1.41 and 1.73.
SHAPES = (
    Shape(0.5, 1.0, 0.9),
    Shape(1.0, 1.0, 0.8),
    Shape(-0.5, 1.0, 0.9),
    Shape(-1.0, 1.0, 0.8),
    Shape(0.0, 2.0**0.5, 0.6),
    Shape(0.0, 3.0**0.5, 0.7),
)


def with_shapes(moments: Moments) -> Moments:
    """Return the terms of a column and, after them, the payoffs of ``SHAPES`` in their standard deviations, where it has them."""
    payoff = shaped(moments)
    if not len(payoff):
        return moments
    terms = (*moments.terms, *(shape.term for shape in SHAPES))
    phi = np.concatenate([moments.phi, payoff / spread(payoff, moments)[:, None]])
    return Moments(terms, phi, np.concatenate([moments.base, np.repeat(moments.base[:1], len(payoff), axis=0)]), moments.p)


def growths(moments: Moments) -> Floats:
    """Return log(1 + f) of each shape's payoff, by which evidence grows, from its mean and in its standard deviations."""
    log = np.log1p(shaped(moments))
    mean = log @ (moments.p * moments.base[0]) / (moments.p @ moments.base[0])
    standard: Floats = (log - mean[:, None]) * moments.base[0]
    standard /= spread(standard, moments)[:, None]
    return standard


def shaped(moments: Moments) -> Floats:
    """Return the payoffs of ``SHAPES``, (shapes, slots of the column), 0 on what is no value; none without a location and a scale."""
    if moments.terms[:2] != ("location", "scale"):
        return np.zeros((0, len(moments.p)))
    values = moments.base[0] > 0
    payoff = np.zeros((len(SHAPES), len(values)))
    payoff[:, values] = payoffs(SHAPES, moments.p[values] / moments.p[values].sum())
    return payoff


def spread(rows: Floats, moments: Moments) -> Floats:
    """Return the standard deviation of each row in the reference, over the column's values; the rows have mean 0 there."""
    found: Floats = np.sqrt(np.maximum(rows**2 @ (moments.p * moments.base[0]) / (moments.p @ moments.base[0]), 1e-300))
    return found


def payoffs(shapes: Sequence[Shape], p: Floats) -> Floats:
    """Return f = part (q / p - 1) of each shape, (shapes, slots), on slots in order of their values that hold the shares ``p`` (sum 1, all above 0).

    The first and the last slot lie outside what the reference has seen. What they would hold is a guess (``unseen`` is the term that watches
    them), so that their neighbours speak for them.

    >>> payoffs([Shape(1.0, 1.0, 1.0)], np.array([0.01, 0.24, 0.25, 0.25, 0.24, 0.01])).round(2).tolist()
    [[-0.81, -0.81, -0.55, -0.15, 1.51, 1.51]]
    """
    inner = p[1:-1].copy()
    inner[0] += p[0]
    inner[-1] += p[-1]
    edges = ndtri(np.concatenate([[0.0], np.cumsum(inner)[:-1], [1.0]]))
    shift, ratio, part = np.array([(shape.shift, shape.ratio, shape.part) for shape in shapes]).T[:, :, None]
    moved = np.diff(ndtr((edges - shift) / ratio), axis=1)
    return np.pad(part * (moved / inner - 1), ((0, 0), (1, 1)), mode="edge")
