"""How small a shift one term's evidence would still notice, at the rate at which events come now. Pure.

While a shift of effect d (E phi = d) lasts, the evidence of a bet f grows on average by

    g = eta rate [ E log(1 + f) - price ]   an hour,      eta = 1 / (1 + V rate)

(``detectors.bets``; of a bet on one moment f = theta phi, and the price is log(1 + |theta| tolerance)). From the mass w that is put in each hour,
R' = w + g R gives R(T) = w (exp(g T) - 1) / g, and the alarm wants R >= budget and a CUSUM of log 20, so it comes on average after

    T = max( log(1 + budget g / w) / g,  log 20 / g )   hours, with the best of the bets,

and at the end of a pane. Of all distributions with effect d the one nearest to the reference is taken, p exp(s phi): the hardest one to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from driftline.contracts.reference import Column
from driftline.contracts.summaries import SampleRow
from driftline.detectors.bets import BETS
from driftline.detectors.decider import GATE
from driftline.detectors.moments import POLYNOMIALS, Floats, moments_of
from driftline.detectors.multivariate.pairs import TERM, PairTable
from driftline.detectors.terms import TermTable

FORMULA = (
    "a shift is visible within T hours if T >= max(log(1 + budget g / w) / g, log 20 / g) for one of the bets f, "
    "g = eta rate [E log(1 + f) - log(1 + what f may come to within tolerance)], eta = 1 / (1 + V rate), w the bet's start mass per hour, "
    "E over the reference tilted to that effect"
)

#: Halvings of the interval that the tilt is looked for in.
_HALVINGS = 50
_SMALLEST, _LARGEST = 1e-6, 60.0


#: Hours within which the smallest visible shift is told.
HORIZONS = {"hour": 1.0, "day": 24.0, "week": 168.0}


class Visible(msgspec.Struct, frozen=True):
    """The smallest effects, up and down, that alarm on average within so many hours; None where none does. Of shares also what they would become."""

    hours: float
    up: float | None
    down: float | None
    up_share: float | None
    down_share: float | None


@dataclass(frozen=True)
class Watch:
    """What one term watches with: ``phi`` and ``p`` on the slots it counts (p sums to 1); of each bet what it gains on these slots, its price, its V
    (hours) and its start mass; the budget (hours).
    """

    phi: Floats
    p: Floats
    gain: Floats
    price: Floats
    variance: Floats
    mass: Floats
    tolerance: float
    budget: float

    @classmethod
    def of(cls, table: TermTable, column: Column, term: str, budget: float) -> Watch:
        """Return the watch of a column's term, which the table has."""
        i = table.terms.index((column.name, term))
        moments = moments_of(column)
        at = moments.terms.index(term)
        own = moments.base[at] > 0
        phi, p = moments.phi[at][own], moments.p[own] / moments.p[own].sum()
        counted = table.base[[i], :].nonzero()[1]
        gain = table.gain[i * BETS : (i + 1) * BETS, :][:, counted].toarray()
        return cls(phi, p, gain, table.price[i], table.bet_variance[i], table.mass[i], float(table.tolerance[i]), budget)

    @classmethod
    def of_pair(cls, table: PairTable, place: int, rows: Sequence[SampleRow], mass: float, budget: float) -> Watch:
        """Return the watch of a pair of columns; in the place of slots are the reference's own ``rows``, of which each is as likely."""
        psi = table.psi(rows, place)
        theta = table.theta[:, place]
        gain = np.log1p(theta[:, None] * psi)
        variance = np.full(len(theta), table.variance[place])
        p = np.full(len(psi), 1 / max(len(psi), 1))
        return cls(psi, p, gain, table.price[:, place], variance, mass * (theta != 0), float(table.tolerance[place]), budget)

    def growth(self, tilted: Floats, rate: float) -> Floats:
        """Return g of each bet, per hour, while the slots have the shares ``tilted``."""
        eta = 1 / (1 + self.variance * rate)
        grown: Floats = eta * rate * (self.gain @ tilted - self.price)
        return grown

    def tilt(self, s: float) -> Floats:
        """Return the distribution nearest to the reference among those of its effect: p exp(s phi), normalised."""
        weight = s * self.phi
        shares: Floats = self.p * np.exp(weight - weight.max())
        shares /= shares.sum()
        return shares

    def effect_of(self, s: float) -> float:
        """Return the effect, E phi, of that distribution; it grows with s."""
        return float(self.tilt(s) @ self.phi)

    def hours(self, s: float, rate: float) -> float:
        """Return T for the shift p exp(s phi); infinite where no bet gains by it."""
        if rate <= 0:
            return np.inf
        g = self.growth(self.tilt(s), rate)
        good = (g > 0) & (self.mass > 0)
        if not good.any():
            return np.inf
        g, w = g[good], self.mass[good]
        return float(np.maximum(np.log1p(self.budget * g / w) / g, GATE / g).min())

    def hours_for(self, effect: float, rate: float) -> float:
        """Return T for a shift of this effect; infinite where it can't be, or is not seen."""
        sign = 1.0 if effect >= 0 else -1.0
        top = sign * _LARGEST / self._reach()
        if abs(effect) >= abs(self.effect_of(top)):
            return self.hours(top, rate)
        low, high = 0.0, top
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if abs(self.effect_of(middle)) >= abs(effect) else (middle, high)
        return self.hours(high, rate)

    def smallest(self, within: float, rate: float, *, up: bool) -> float | None:
        """Return the smallest effect that alarms on average within so many hours; None where none does."""
        sign = 1.0 if up else -1.0
        low, high = sign * _SMALLEST, sign * _LARGEST / self._reach()
        if self.hours(high, rate) > within:
            return None
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.hours(middle, rate) <= within else (middle, high)
        return self.effect_of(high)

    def _reach(self) -> float:
        return max(float(np.abs(self.phi).max(initial=0)), 1e-9)


def visible(watch: Watch, term: str, rate: float) -> dict[str, Visible]:
    """Return the smallest shifts that are visible within each horizon while ``rate`` rows come an hour."""
    told = {}
    for name, hours in HORIZONS.items():
        up, down = watch.smallest(hours, rate, up=True), watch.smallest(hours, rate, up=False)
        told[name] = Visible(hours, up, down, *(None if effect is None else share_at(term, watch.phi, effect) for effect in (up, down)))
    return told


def share_at(term: str, phi: Floats, effect: float) -> float | None:
    """Return the share that an effect means, for terms that are shares: phi has two values, (hit - share) / sd. None for the others."""
    top, bottom = float(phi.max(initial=0)), float(phi.min(initial=0))
    if term in POLYNOMIALS or term == TERM or top <= bottom:
        return None
    sd = 1 / (top - bottom)
    return min(max(-bottom * sd + effect * sd, 0.0), 1.0)
