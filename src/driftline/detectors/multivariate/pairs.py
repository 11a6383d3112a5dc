"""Relations of pairs of columns, as e-values: has any two columns' product of scores moved although neither column has?

For columns i and j with scores phi (mean 0, variance 1, bounded: ``scores``) the term of a row is

    psi = (phi_i phi_j - r) / s          r, s: mean and sd of the product over the reference's own rows

whose mean is 0 under the reference whatever its correlations are, and moves when the correlation of ranks does. It is watched like any term of the
decider: bets theta with 1 + theta psi > 0, and while |E psi| is within tolerance

    log e = eta [ sum over rows log(1 + theta psi) - n log(1 + |theta| tolerance) ]            E[e | past] <= 1,   eta = 1 / (1 + V rate)

One ``Extra`` holds the bets of all pairs, so they share one weight of the budget and cost log(pairs) once. A second-order term sees a change of
correlation in some hundreds of rows where a classifier needs thousands: it knows what it looks for. What moves the dependence and leaves the product
alone, an XOR of three columns say, is left to the classifier of each window (``classifier``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from driftline.contracts.reference import Reference
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import HOUR_MS
from driftline.detectors.calibration import wandering
from driftline.detectors.extras import Extra, ExtraState
from driftline.detectors.moments import Floats
from driftline.detectors.multivariate.scores import Mask, Scorer
from driftline.detectors.rows import Held
from driftline.detectors.terms import REFERENCE_RISK, DeciderConfig
from driftline.detectors.weights import told_of

COLUMN, TERM = "pairs", "correlation"
#: Bets of each pair: what a correlation of ranks that has moved by .1 and by .3 asks for, upwards and downwards.
THETAS = (0.1, 0.3, -0.1, -0.3)
#: Rows of one pane that are looked at: the cost of a pane has an end.
MOST_ROWS = 256
# 1 + theta psi stays above 1 - .9 on every row.
_STAKE = 0.9
#: Fewer rows of the reference say nothing about products.
LEAST_ROWS = 500
_Z = 1.959963984540054


@dataclass(frozen=True)
class PairEffect:
    """How far the relation of two columns has moved, in sd of the term, with its 95 % interval over ``n`` rows."""

    left: str
    right: str
    effect: float
    low: float
    high: float
    tolerance: float
    n: int

    @property
    def column(self) -> str:
        """What an alarm calls the pair."""
        return f"{self.left} x {self.right}"


@dataclass(frozen=True, eq=False)
class PairTable:
    """All pairs of a reference. ``theta`` and ``price`` have the shape (bets, pairs); a bet that can't be made has theta 0."""

    scorer: Scorer
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    mean: Floats
    sd: Floats
    tolerance: Floats
    variance: Floats
    calibrated: Mask
    theta: Floats
    price: Floats
    #: Of the two columns of each pair, the place of the one that forgets faster: what neighbouring events share lasts no longer than that.
    faster: npt.NDArray[np.int64]

    @classmethod
    def of(cls, reference: Reference, rows: Sequence[SampleRow], config: DeciderConfig) -> PairTable | None:
        """Return the table of a reference and its sampled rows; None where there are too few rows or columns for any pair."""
        scorer = Scorer.of(reference)
        score, there = scorer.of_rows(rows)
        return cls._made(reference, scorer, score, there, times=np.array([row.event_time for row in rows], np.int64), config=config)

    @classmethod
    def of_columns(cls, reference: Reference, values: Mapping[str, Held], times: npt.NDArray[np.int64], config: DeciderConfig) -> PairTable | None:
        """Return the table of a reference and its rows by column; their ``times`` are epoch ms in any order."""
        scorer = Scorer.of(reference)
        score, there = scorer.matrix(values, len(times))
        return cls._made(reference, scorer, score, there, times=np.asarray(times, np.int64), config=config)

    @classmethod
    def _made(
        cls, reference: Reference, scorer: Scorer, score: Floats, there: Mask, *, times: npt.NDArray[np.int64], config: DeciderConfig
    ) -> PairTable | None:
        count = len(scorer.columns)
        if count < 2 or len(times) < LEAST_ROWS:
            return None
        left, right = np.triu_indices(count, 1)
        both = there[:, left] & there[:, right]
        product = score[:, left] * score[:, right]
        n = both.sum(axis=0)
        safe = np.maximum(n, 1)
        mean = (product * both).sum(axis=0) / safe
        sd = np.sqrt((((product - mean) * both) ** 2).sum(axis=0) / safe)
        # One that is a copy of the other: its product is a square and has its own sd; nothing but a constant product has none.
        told = (n >= LEAST_ROWS) & (sd > 0.05)
        sd = np.where(told, sd, 1.0)
        psi = np.where(both, (product - mean) / sd, 0.0)
        # A pair that can't be judged must not be looked at as one without rows: it has a bet of 0.
        variance, steady = wandering(psi, both.astype(np.float64), times)
        # A sample is too thin to see what neighbouring events share. All rows of the reference told that of each column, and the product of two
        # columns forgets no slower than the one of them that forgets faster.
        of_column, known = _columns_wandering(reference, scorer)
        variance, steady = np.maximum(variance, np.minimum(of_column[left], of_column[right])), steady & known[left] & known[right]
        # Two columns that both follow the hour move together with it: their product has a cycle that nothing here takes off.
        cyclic = _cyclic(reference, scorer)
        steady &= ~(cyclic[left] & cyclic[right])
        faster = np.where(of_column[left] <= of_column[right], left, right)
        span = float(times.max() - times.min()) / HOUR_MS
        worth = 1 / (1 / safe + variance / span) if span > 0 else np.ones(len(n))
        own_error = -ndtri(REFERENCE_RISK / len(left) / 2) / np.sqrt(np.maximum(worth, 1e-9))
        user, weight = (_by_column(scorer, of, rest) for of, rest in ((config.tolerances, config.tolerance), (config.weights, 1.0)))
        tolerance = np.maximum(np.maximum(user[left], user[right]), own_error)
        watched = told & steady & (weight[left] > 0) & (weight[right] > 0)
        theta = _bets(scorer, left, right, mean, sd) * watched
        if not theta.any():
            return None
        return cls(scorer, left, right, mean, sd, tolerance, variance, told & steady, theta, np.log1p(np.abs(theta) * tolerance), faster)

    @property
    def extra(self) -> Extra:
        """What the decider knows the pairs as: the bets that can be made, in the order of ``theta``."""
        return Extra("features", COLUMN, TERM, signs=tuple(np.sign(self.theta[self.live]).tolist()))

    @property
    def live(self) -> Mask:
        """Which bets can be made; the others take no part of the budget."""
        live: Mask = self.theta != 0
        return live

    def log_e(self, rows: Sequence[SampleRow], rate: float | Floats) -> Floats:
        """Return the logarithm of the e-value of each bet for the sampled rows of a pane, of which ``rate`` an hour come (one number, or one for each
        pair); the shape is that of the extra's ``signs``. Of more than ``MOST_ROWS`` rows, the first ones by place.
        """
        score, there = self.scorer.of_rows(rows[:MOST_ROWS])
        return self.log_e_of(score, there, rate)

    def log_e_of(self, score: Floats, there: Mask, rate: float | Floats) -> Floats:
        """Return ``log_e`` of rows that are scored already."""
        return self.tempered(self.growth(score, there), rate)

    def growth(self, score: Floats, there: Mask) -> Floats:
        """Return what each bet gains by scored rows, less what it pays, before any tempering; shape (bets, pairs). Of all rows it is the sum."""
        psi, both = self._psi(score, there)
        gain = np.stack([np.log1p(theta * psi).sum(axis=0) for theta in self.theta])
        grown: Floats = gain - both.sum(axis=0) * self.price
        return grown

    def psi(self, rows: Sequence[SampleRow], place: int) -> Floats:
        """Return the term of a pair on each of the rows that have both of its columns."""
        psi, both = self._psi(*self.scorer.of_rows(rows))
        found: Floats = psi[both[:, place], place]
        return found

    def tempered(self, growth: Floats, rate: float | Floats) -> Floats:
        """Return the logarithm of the e-value of each bet out of the growth by rows that come so often, in the order of the extra's ``signs``."""
        eta = 1 / (1 + self.variance * rate)
        total: Floats = eta * growth
        return total[self.live]

    def effects(self, rows: Sequence[SampleRow], hours: float) -> list[PairEffect]:
        """Return how far each pair has moved over rows that cover ``hours`` (> 0); pairs without rows are left out."""
        return self.effects_of(*self.scorer.of_rows(rows), hours)

    def effects_of(self, score: Floats, there: Mask, hours: float) -> list[PairEffect]:
        """Return ``effects`` of rows that are scored already."""
        psi, both = self._psi(score, there)
        n = both.sum(axis=0)
        safe = np.maximum(n, 1)
        effect = psi.sum(axis=0) / safe
        variance = np.maximum((psi**2).sum(axis=0) / safe - effect**2, 1.0)
        half = _Z * np.sqrt(variance * (1 / safe + np.minimum(self.variance / hours, 1)))
        return [self._effect(k, effect[k], half[k], int(n[k])) for k in np.flatnonzero(n > 0).tolist()]

    def carriers(self, state: ExtraState, most: int) -> list[tuple[int, float, int]]:
        """Return the pairs that carry the most evidence: place, share of the pairs' evidence, onset (ms), greatest share first."""
        top = float(state.log_r.max(initial=-np.inf))
        if not np.isfinite(top):
            return []
        share, onset = np.zeros(self.theta.shape), np.zeros(self.theta.shape, np.int64)
        share[self.live], onset[self.live] = np.exp(state.log_r - top), state.onset
        of_pair, best = share.sum(axis=0) / share.sum(), share.argmax(axis=0)
        chosen = sorted(range(len(of_pair)), key=lambda k: (-of_pair[k], k))[:most]
        return [(k, float(of_pair[k]), int(onset[best[k], k])) for k in chosen]

    def names(self, place: int) -> tuple[str, str]:
        """Return the two columns of a pair."""
        return self.scorer.columns[self.left[place]].name, self.scorer.columns[self.right[place]].name

    def _psi(self, score: Floats, there: Mask) -> tuple[Floats, Mask]:
        both = there[:, self.left] & there[:, self.right]
        return np.where(both, (score[:, self.left] * score[:, self.right] - self.mean) / self.sd, 0.0), both

    def _effect(self, place: int, effect: float, half: float, n: int) -> PairEffect:
        left, right = self.names(place)
        return PairEffect(left, right, float(effect), float(effect - half), float(effect + half), float(self.tolerance[place]), n)


def _bets(scorer: Scorer, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], mean: Floats, sd: Floats) -> Floats:
    """The bets of each pair, no greater than its stake allows on any row that there can be."""
    high = np.array([float(score.max(initial=0)) for score in scorer.scores])
    low = np.array([float(score.min(initial=0)) for score in scorer.scores])
    corners = np.stack([high[left] * high[right], low[left] * low[right], high[left] * low[right], low[left] * high[right]])
    most, least = (corners.max(axis=0) - mean) / sd, (mean - corners.min(axis=0)) / sd
    up, down = _STAKE / np.maximum(least, 1e-9), _STAKE / np.maximum(most, 1e-9)
    return np.stack([np.minimum(theta, up) if theta > 0 else -np.minimum(-theta, down) for theta in THETAS])


def _by_column(scorer: Scorer, told: Mapping[str, float], rest: float) -> Floats:
    """Return what is said of each column, by its own name or by that of its feature."""
    own = [told_of(told, column) for column in scorer.columns]
    return np.array([rest if said is None else said for said in own])


def _columns_wandering(reference: Reference, scorer: Scorer) -> tuple[Floats, Mask]:
    """Return of each scored column the greatest V (hours) of its values' terms, and whether all of them are calibrated."""
    told: dict[str, list[tuple[float, bool]]] = {}
    for entry in reference.terms:
        if entry.term in {"location", "scale"} or entry.term.startswith("value:"):
            told.setdefault(entry.column, []).append((entry.variance_hours, entry.calibrated))
    found = [told.get(column.name, [(0.0, False)]) for column in scorer.columns]
    return np.array([max(v for v, _ in own) for own in found]), np.array([all(known for _, known in own) for own in found])


def _cyclic(reference: Reference, scorer: Scorer) -> Mask:
    """Return whether the reference shows a cycle of hours in each scored column."""
    found = {entry.column for entry in reference.terms if entry.seasons}
    return np.array([column.name in found for column in scorer.columns])
