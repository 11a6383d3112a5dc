"""The table of all terms of one kind of pane against its slots: moments, tolerances, bets, weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from driftline.contracts.reference import Column, Reference, TermCalibration, where_of
from driftline.contracts.settings import ModelSettings, budget_hours
from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import HOUR_MS
from driftline.detectors.bets import BETS, bets_of, tolerances_of
from driftline.detectors.calendar import share_of_hours
from driftline.detectors.extras import Extra
from driftline.detectors.moments import Floats, moments_of
from driftline.detectors.shapes import with_shapes
from driftline.detectors.weights import KINDS, SLICE_SHARE, preferred_bets, shares, told_of

#: Probability that the reference's own error exceeds a tolerance, over all terms together.
REFERENCE_RISK = 0.05
_PARTS = ("phi", "base", "gain", "theta", "price", "bet_variance", "tolerance", "variance", "mass", "cost", "seasons", "drifts")


@dataclass(frozen=True)
class DeciderConfig:
    """The user's words: hours between false alarms, and the effect that matters (in sd), with exceptions and weights
    by column name.

    A column's weight (1 where not named) is its share of the budget's attention; with 0 it never alarms but still has
    effects. ``weighting``: ``importance`` gives features that have no weight of their own half of it in any case (what
    matters little may be the first sign) and the rest by their importance, where the reference has it.
    """

    budget_hours: float
    tolerance: float = 0.2
    tolerances: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    weighting: Literal["equal", "importance"] = "equal"
    volume_tolerance: float = 1.0

    @classmethod
    def of(cls, settings: ModelSettings) -> DeciderConfig:
        """Return what a model's settings say to the decider."""
        return cls(
            budget_hours=budget_hours(settings),
            tolerance=settings.tolerance,
            tolerances=settings.tolerances,
            weights=settings.weights,
            weighting=settings.weighting,
            volume_tolerance=settings.volume_tolerance,
        )

    def tolerance_of(self, column: Column) -> float:
        """Return the tolerance that the user set for a column, by whichever of its names, else for all."""
        told = told_of(self.tolerances, column)
        return self.tolerance if told is None else told


@dataclass(frozen=True, eq=False)
class TermTable:
    """All terms of one kind of pane against its slots. Sparse: a term sees its own column only."""

    slots: int
    terms: tuple[tuple[str, str], ...]
    phi: sparse.csr_array
    phi_squared: sparse.csr_array
    base: sparse.csr_array
    gain: sparse.csr_array  # (terms * bets, slots): log(1 + payoff)
    price: Floats  # (terms, bets): log of what 1 + payoff may be on average
    bet_variance: Floats  # (terms, bets): V (hours) that the bet is tempered by
    theta: Floats
    tolerance: Floats
    variance: Floats
    calibrated: npt.NDArray[np.bool_]
    mass: Floats  # (terms, bets): what is put in per hour
    cost: Floats  # (terms, bets): what a bet's payoff may come to on average at tolerance
    #: The terms' means by hour of the calendar, (hours, terms), and the bets' payoffs at these means, (hours, terms, bets); no hours without a cycle.
    seasons: Floats
    drifts: Floats

    def price_over(self, start: int, end: int) -> Floats:
        """Return the price of each bet, (terms, bets), for rows between two event times (ms): the hour's own mean is
        what is normal then.
        """
        if not len(self.seasons):
            return self.price
        share = share_of_hours(np.array([[start, end]]), np.ones(1), len(self.seasons))
        there = np.flatnonzero(share)
        drift = np.tensordot(share[there], self.drifts[there], 1)
        price: Floats = np.log(np.maximum(1 + self.cost + drift, 1e-6))
        return price

    def normal_over(self, spans: npt.NDArray[np.int64], weights: Floats) -> Floats:
        """Return the mean of each term that is normal over stretches of event time ((start, end), ms), weighted."""
        if not len(self.seasons):
            return np.zeros(len(self.terms))
        normal: Floats = share_of_hours(spans, weights, len(self.seasons)) @ self.seasons
        return normal


def term_tables(reference: Reference, config: DeciderConfig, extras: Sequence[Extra] = ()) -> dict[PaneKind, TermTable]:
    """Return the tables of both kinds of pane; the weights of all calibrated terms, and of what is watched beside the
    tables, sum to 1.
    """
    weights, _ = shares(reference, config, extras)
    risks = _risks(reference)
    return {kind: _table(reference, config, kind, risks, weights) for kind in KINDS}


def _risks(reference: Reference) -> tuple[float, float]:
    """Return for one term, of a whole column and of a slice, the probability that the reference's own error exceeds its tolerance."""
    counts = [0, 0]
    for kind in KINDS:
        for column in reference.columns_of(kind):
            counts[where_of(column) is not None] += len(moments_of(column).terms)
    whole, slices = counts
    share = SLICE_SHARE if slices else 0.0
    return REFERENCE_RISK * (1 - share) / max(whole, 1), REFERENCE_RISK * share / max(slices, 1)


def _table(
    reference: Reference,
    config: DeciderConfig,
    kind: PaneKind,
    risks: tuple[float, float],
    weights: Mapping[tuple[PaneKind, str, str], float],
) -> TermTable:
    calibrations = reference.calibrations_of(kind)
    span = (reference.span_end - reference.span_start) / HOUR_MS
    terms: list[tuple[str, str]] = []
    parts: dict[str, list[Floats]] = {name: [] for name in _PARTS}
    calibrated: list[bool] = []
    calendar = max((len(entry.seasons) for entry in calibrations.values()), default=0)
    for column in reference.columns_of(kind):
        moments = moments_of(column)
        watched = with_shapes(moments)
        entries = [calibrations.get((column.name, term)) for term in watched.terms]
        variance = np.array([entry.variance_hours if entry else 0.0 for entry in entries])
        n = watched.base @ np.asarray(column.counts, np.float64)
        error = np.array([(entry.season_error if entry else None) or 0.0 for entry in entries])
        tolerance = tolerances_of(
            watched,
            config.tolerance_of(column),
            n,
            variance,
            span,
            risk=risks[where_of(column) is not None],
            error=error,
        )
        known = np.array([entry is not None and entry.calibrated for entry in entries], dtype=np.bool_)
        seasons = _seasons(entries, calendar)
        k = len(moments.terms)
        bets = bets_of(moments, tolerance, variance, known, rate=float(n[:1].sum()) / span if span > 0 else 0.0)
        drifts = np.einsum("tbk,hk->htb", bets.stakes, seasons)
        # Where an hour lets a shape's payoff come to more, what is within tolerance of that hour does so in proportion.
        drifts = _either_side(drifts + np.expm1(bets.price) * bets.steepness * np.maximum(drifts, 0.0))
        tolerance, variance, known, seasons = tolerance[:k], variance[:k], known[:k], seasons[:, :k]
        weight = np.array([weights.get((kind, column.name, term), 0.0) for term in moments.terms])
        preferred = preferred_bets(column, moments.terms, bets.theta)
        mass = weight[:, None] * preferred / np.maximum(preferred.sum(axis=1, keepdims=True), 1e-300)
        terms += [(column.name, term) for term in moments.terms]
        calibrated += known.tolist()
        gain = bets.gain.reshape(-1, column.slots)
        own = (
            moments.phi, moments.base, gain, bets.theta, bets.price, bets.variance, tolerance, variance, mass, np.expm1(bets.price), seasons, drifts,
        )  # fmt: skip
        for name, value in zip(parts, own, strict=True):
            parts[name].append(value)
    phi, base, gain_all = (_diagonal(parts[name]) for name in ("phi", "base", "gain"))
    theta, price, bet_variance, mass = (np.concatenate([np.zeros((0, BETS)), *parts[name]]) for name in ("theta", "price", "bet_variance", "mass"))
    tolerance, variance = (np.concatenate([np.zeros(0), *parts[name]]) for name in ("tolerance", "variance"))
    cost = np.concatenate([np.zeros((0, BETS)), *parts["cost"]])
    seasons = np.concatenate([np.zeros((calendar, 0)), *parts["seasons"]], axis=1)
    drifts = np.concatenate([np.zeros((calendar, 0, BETS)), *parts["drifts"]], axis=1)
    return TermTable(
        slots=phi.shape[1],
        terms=tuple(terms),
        phi=phi,
        phi_squared=phi.multiply(phi).tocsr(),
        base=base,
        gain=gain_all,
        price=price,
        bet_variance=bet_variance,
        theta=theta,
        tolerance=tolerance,
        variance=variance,
        calibrated=np.array(calibrated, dtype=np.bool_),
        mass=mass,
        cost=cost,
        seasons=seasons,
        drifts=drifts,
    )


def _either_side(drifts: Floats) -> Floats:
    """What is normal at an hour is what was so at it, or at the one before or after: hours are UTC's, and where people live clocks change twice a
    year. Each bet pays for the dearest of the three.
    """
    if not len(drifts):
        return drifts
    dearest: Floats = np.maximum.reduce([np.roll(drifts, by, axis=0) for by in (-1, 0, 1)])
    return dearest


def _seasons(entries: Sequence[TermCalibration | None], calendar: int) -> Floats:
    """The terms' means at each hour of the reference's calendar, shape (hours, terms); a daily cycle is the same on
    each day of a week.
    """
    seasons = np.zeros((calendar, len(entries)))
    for i, entry in enumerate(entries):
        if entry is not None and entry.seasons:
            seasons[:, i] = np.resize(np.array(entry.seasons), calendar)
    return seasons


def _diagonal(blocks: list[Floats]) -> sparse.csr_array:
    """Blocks down the diagonal; ``sparse.block_diag`` without its refusal of no blocks at all and of blocks without
    rows.
    """
    height, width = sum(b.shape[0] for b in blocks), sum(b.shape[1] for b in blocks)
    data, rows, columns = [np.zeros(0)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    top = left = 0
    for block in blocks:
        i, j = np.nonzero(block)
        data.append(block[i, j])
        rows.append(i + top)
        columns.append(j + left)
        top, left = top + block.shape[0], left + block.shape[1]
    return sparse.csr_array((np.concatenate(data), (np.concatenate(rows), np.concatenate(columns))), shape=(height, width))
