"""The tolerance of each term, and the fixed grid of bets against it: no learning lag, no tuning.

A bet's payoff f is a combination of moments, f = sum of theta_k phi_k with 1 + f > 0, or of the shape that a whole change has
(``detectors.shapes``). While each moment's mean is within its tolerance, E[1 + f] of a combination is at most 1 + sum of |theta_k| tolerance_k:
the bet's price. That of a shape is 1 + tolerance sd(f), which holds while the distribution as a whole is within tolerance.

The small bets are on one moment: they tell whatever moves it. The greater ones on the location and on a wider scale have a shape, and see it in
three fifths to nine tenths of the events, where the reference says how shapes wander (``detectors.tempering``) and moments would be no sooner.
Elsewhere the greatest bets on the location are joint ones (one that moves by its sd takes the second moment along).

A bet is tempered by the V of what it is on; one on a wider scale, and one that has a shape, also for what a wandering location does to it
(``_tempers``, ``_shape``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtri

from driftline.detectors.moments import Floats, Moments
from driftline.detectors.shapes import SHAPES, shaped, spread

#: Excess over the tolerance that each bet is made for, in standard deviations of the term; upwards and downwards.
EXCESS = (0.1, 0.25, 0.5, 0.8)
BETS = 2 * len(EXCESS)
# A bet never stakes more than this: 1 + theta phi stays above 1 - .9 on every slot, so no single event can ruin it.
_STAKE = 0.9
# Location and scale in a joint bet: the best against a normal distribution that moves by its sd, seen through its ranks.
_JOINT = (0.78, 0.265)
#: In the place of which bet on which term each of ``SHAPES`` is.
PLACES = ((0, 2), (0, 3), (0, 6), (0, 7), (1, 2), (1, 3))


@dataclass(frozen=True, eq=False)
class Bets:
    """The bets of one column's terms: ``theta``, ``price`` (log of what the payoff may come to on average) and ``variance`` (V, hours) of the shape
    (terms, BETS), ``gain`` = log(1 + f) on each slot (terms, BETS, slots). A bet that can't be made has theta 0 and gains nothing.
    """

    theta: Floats
    gain: Floats
    price: Floats
    variance: Floats
    #: (terms, BETS, terms and shapes): how much of each moment, or of which shape's payoff, a bet's holds.
    stakes: Floats
    #: (terms, BETS): how much steeper a shape's payoff 1 + f = 1 + part (q / p - 1) is where it comes to one more: 1 / part; 0 of moments.
    steepness: Floats


def tolerances_of(
    moments: Moments, user: float, n: Floats, variance_hours: Floats, span_hours: float, *, risk: float, error: Floats | float = 0.0
) -> Floats:
    """Return for each term the greater of what the user calls an effect that matters and the reference's own error,
    in sd of the term.

    ``n`` rows over ``span_hours`` are worth ``1 / (1 / n + V / span)`` independent ones. ``risk`` is the two-sided
    probability, for one term, that the reference is off by more; ``error`` is the standard error of its means
    by hour. Shares take the exact interval of Clopper and Pearson (1934) in place of the normal one: nulls and new values are rare.
    """
    worth = 1 / (1 / np.maximum(n, 1) + variance_hours / span_hours + np.square(error)) if span_hours > 0 else np.ones_like(n)
    normal = -ndtri(risk / 2) / np.sqrt(worth)
    share = _shares(moments)
    sd = np.sqrt(share * (1 - share))
    upper = _upper(share, worth, risk / 2) - share
    lower = _upper(1 - share, worth, risk / 2) - (1 - share)
    return np.maximum(user, np.where(moments.indicator, np.maximum(upper, lower) / sd, normal))


def bets_of(moments: Moments, tolerances: Floats, variance_hours: Floats, calibrated: npt.NDArray[np.bool_], *, rate: float = 0.0) -> Bets:
    """Return the bets of a column's terms, of which ``rate`` rows come an hour. What is known of the terms may go on with what is known of shapes, in
    the order of ``with_shapes``; without, or where a shape is not calibrated, bets are on moments.

    A share of nearly nothing can't fall: no bet is made on it.
    """
    k = len(moments.terms)
    theta = _alone(moments, tolerances[:k])
    payoff = theta[:, :, None] * moments.phi[:, None, :]
    price = np.abs(theta) * tolerances[:k, None]
    variance = _tempers(moments, theta, tolerances, variance_hours[:k])
    stakes = np.eye(k, len(tolerances))[:, None, :] * theta[:, :, None]
    bets = Bets(theta, np.log1p(payoff), np.log1p(price), variance, stakes, np.zeros_like(theta))
    if moments.terms[:2] == ("location", "scale") and calibrated[:2].all():
        _join(bets, moments, tolerances, variance_hours)
        _shape(bets, moments, tolerances, variance_hours, calibrated, rate=rate)
    return bets


def _join(bets: Bets, moments: Moments, tolerances: Floats, variance_hours: Floats) -> None:
    """Bet on location and scale at once, in the place of the two greatest on the location, which the stake cuts down to little more than others."""
    for bet, sign in ((len(EXCESS) - 1, 1.0), (BETS - 1, -1.0)):
        joint = np.array([sign * _JOINT[0], _JOINT[1]])
        lowest = float((joint @ moments.phi[:2]).min())
        joint *= min(1.0, _STAKE / max(-lowest, 1e-9))
        bets.theta[0, bet], bets.gain[0, bet] = joint[0], np.log1p(joint @ moments.phi[:2])
        bets.stakes[0, bet, :2] = joint
        bets.price[0, bet], bets.variance[0, bet] = np.log1p(np.abs(joint) @ tolerances[:2]), float(variance_hours[:2].max())


def _shape(bets: Bets, moments: Moments, tolerances: Floats, variance_hours: Floats, calibrated: npt.NDArray[np.bool_], *, rate: float) -> None:
    """Bet on whole changes in the place of the greater bets, where these are calibrated and such a change is seen sooner so.

    Where the location wanders by delta up to 1, evidence grows an event by (c + E log(1 + f) - price) delta^2 at the most, beside what goes with
    delta itself; c = E[log(1 + f) (phi_1^2 - 1)] / 2. V is at least twice that times V_1, as of the scale (``_tempers``).
    """
    k = len(moments.terms)
    if len(calibrated) == k:
        return
    p, payoff = moments.p * moments.base[0] / (moments.p @ moments.base[0]), shaped(moments)
    for own, (at, shape, f, sd) in enumerate(zip(PLACES, SHAPES, payoff, spread(payoff, moments), strict=True), k):
        if not calibrated[own]:
            continue
        log, changed = np.log1p(f), p * (1 + f / shape.part)
        price = float(np.log1p(max(tolerances[own], tolerances[:k][~moments.indicator].max()) * sd))
        curvature = float((log * p) @ (moments.phi[0] ** 2 - 1)) / 2
        variance = max(float(variance_hours[own]), 2 * max(curvature + float(log @ p) - price, 0.0) * float(variance_hours[0]))
        before = (float(bets.gain[at] @ changed) - bets.price[at]) / (1 + bets.variance[at] * rate)
        if (float(log @ changed) - price) / (1 + variance * rate) > before:
            bets.theta[at], bets.price[at], bets.variance[at] = (f * p) @ moments.phi[at[0]], price, variance
            bets.gain[at], bets.stakes[at], bets.steepness[at] = log, np.eye(len(tolerances))[own] * sd, 1 / shape.part


def _tempers(moments: Moments, theta: Floats, tolerances: Floats, variance_hours: Floats) -> Floats:
    """V (hours) by which each bet on one moment is tempered, (terms, BETS).

    Where the location wanders by delta, the scale is c delta^2 with c = E[phi_1^2 phi_2] / 2 (the reference tilted by delta). Its own V tells the
    variance of that square but not its tail: of an Ornstein-Uhlenbeck delta with V_1 = 2 s^2 tau, E exp(b integral of delta^2) grows by
    (1 - sqrt(1 - 2 b V_1)) / (2 tau) an hour, and is finite only up to b = 1 / (2 V_1) (Cameron and Martin, 1945). A bet wins by the square what is
    beyond its tolerance: for delta up to 1 (more is a drift of the location, told as that) at most theta (c - tolerance) delta^2 an event, so that
    b comes up to theta (c - tolerance) / V. Hence V is at least 2 theta (c - tolerance) V_1.
    """
    variance = np.repeat(variance_hours[:, None], BETS, axis=1)
    if moments.terms[:2] == ("location", "scale"):
        curvature = 0.5 * float(moments.p @ (moments.phi[0] ** 2 * moments.phi[1]))
        gained = np.maximum(theta[1], 0.0) * max(curvature - float(tolerances[1]), 0.0)
        variance[1] = np.maximum(variance[1], 2 * gained * variance_hours[0])
    return variance


def _alone(moments: Moments, tolerances: Floats) -> Floats:
    """The bets on one moment each; 0 where a bet can't be made."""
    excess = np.array(EXCESS)
    tol = tolerances[:, None]
    highest = moments.phi.max(axis=1, initial=0)[:, None]
    lowest = -moments.phi.min(axis=1, initial=0)[:, None]
    up = np.minimum(excess, _STAKE / np.maximum(lowest, 1e-9))
    down = np.minimum(excess, _STAKE / np.maximum(highest, 1e-9))
    share = _shares(moments)[:, None]
    rises = _indicator_bets(share, tol, excess)
    falls = _indicator_bets(1 - share, tol, excess)
    kind = moments.indicator[:, None]
    return np.concatenate([np.where(kind, rises, up), -np.where(kind, falls, down)], axis=1)


def _indicator_bets(share: Floats, tol: Floats, excess: Floats) -> Floats:
    """The bets that make e the likelihood ratio of the share at tolerance + excess against the share at tolerance:
    optimal for two values of phi.
    """
    sd = np.sqrt(share * (1 - share))
    null = share + tol * sd
    possible = null < 1
    null = np.where(possible, null, 0.5)
    tol = np.where(possible, tol, 0.0)
    alternative = np.minimum(null + excess * sd, 1 - 0.1 * (1 - null))
    ratio = alternative / null
    theta = (ratio - 1) / ((1 - share) / sd - tol * ratio)
    return np.where(possible, theta, 0.0)


def _shares(moments: Moments) -> Floats:
    """The reference share of each term's event, from the two values of phi; one half for polynomials (not used)."""
    top = moments.phi.max(axis=1, initial=0)
    return np.where(moments.indicator & (top > 0), 1 / (1 + top**2), 0.5)


def _upper(share: Floats, worth: Floats, risk: float) -> Floats:
    """Upper confidence limit of a share seen among ``worth`` rows; at least one event is taken as seen, half a row
    being no evidence.
    """
    seen = np.maximum(share * worth, 1.0)
    unseen = np.maximum((1 - share) * worth, 1.0)
    return np.asarray(betaincinv(seen + 1, unseen, 1 - risk), np.float64)
