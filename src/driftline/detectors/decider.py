"""The decider: has anything changed that matters? One answer for all terms, under one budget of false alarms.

Tempered e-detectors in Shiryaev-Roberts form (Shin, Ramdas and Rinaldo, 2023). While a column is within
its tolerance, for each bet f (of a single moment theta phi, at the price of |theta| tolerance: ``detectors.bets``)

    log e = eta * [ sum_b n_b log(1 + f(b)) - n log(1 + price) ]        E[e | past] <= 1
    R     = (R + hours * weight) * e        W = max(W, 0) + log e

so the sum of R over all terms and bets, whose weights sum to 1, grows no faster than the clock on average: the mean
time until it reaches ``budget`` hours is at least that long. An alarm also asks that some W reaches log 20, else a
quiet model's start mass alone would one day do.

``eta = 1 / (1 + V rate)`` tempers for what neighbouring events share (V: ``calibration``). The rate is smoothed over
V / 4 hours: with the rate of a pane of seconds, one event looks like a flood; smoothed over much more than V, a flood
after a quiet night would count in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from driftline.contracts.ids import stable_id
from driftline.contracts.reference import Reference
from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import HOUR_MS
from driftline.detectors.bets import BETS
from driftline.detectors.evidence import DeciderState, KindState
from driftline.detectors.extras import Extra, ExtraState
from driftline.detectors.moments import Floats
from driftline.detectors.terms import DeciderConfig, TermTable, term_tables
from driftline.detectors.volume import VOLUME, Volume
from driftline.detectors.weights import KINDS, shares

Direction = Literal["up", "down", "changed"]
Counts = npt.NDArray[np.int64]
#: A stretch of event time, start and end in ms, and how many events it held.
Span = tuple[int, int, int]

__all__ = ["Carrier", "Decider", "DeciderConfig", "Span", "TermEffect", "Verdict", "direction_of"]

#: What the CUSUM must reach beside the budget: evidence of 20 to 1 since the onset.
GATE = float(np.log(20))
MAX_CARRIERS = 20
#: A term below this share of the evidence is no carrier.
MIN_SHARE = 0.01
# Two sides, 95 %.
_Z = 1.959963984540054
# exp of more is no finite float.
_MAX_LOG = 700.0
# Changes of the formulas make old states another table's.
_FORMULA = 2


@dataclass(frozen=True)
class Carrier:
    """A term that carries evidence: its ``share`` of the sum, and the event time (ms) since which it has."""

    kind: PaneKind
    column: str
    term: str
    share: float
    direction: Direction
    onset: int


@dataclass(frozen=True)
class Verdict:
    """The evidence (hours) against the budget (hours), and who carries it, greatest share first. ``onset`` is the
    first carrier's.
    """

    evidence: float
    budget: float
    crossed: bool
    carriers: tuple[Carrier, ...]
    onset: int | None


@dataclass(frozen=True)
class TermEffect:
    """Mean of a term over ``n`` rows in reference sd with its 95 % interval. Without rows the interval is the whole
    line.
    """

    kind: PaneKind
    column: str
    term: str
    effect: float
    low: float
    high: float
    tolerance: float
    n: int
    calibrated: bool
    direction: Direction
    #: Whether it may alarm: a column with weight 0 is shown only.
    weighted: bool = True

    @property
    def beyond(self) -> bool:
        """Whether the whole interval lies outside the tolerance."""
        return self.low > self.tolerance or self.high < -self.tolerance

    @property
    def within(self) -> bool:
        """Whether the whole interval lies inside the tolerance."""
        return -self.tolerance < self.low and self.high < self.tolerance


class Decider:
    """Immutable tables of one reference under one configuration; ``step`` makes new states from old ones."""

    def __init__(self, reference: Reference, config: DeciderConfig, extras: Sequence[Extra] = ()) -> None:
        if not (config.budget_hours > 0 and np.isfinite(config.budget_hours)):
            raise ValueError("budget_hours must be positive and finite")
        self.budget = config.budget_hours
        self.volume = Volume.of(reference, config)
        if self.volume is not None:
            extras = (self.volume.extra, *extras)
        self._tables = term_tables(reference, config, extras)
        self._extras = {extra.name: extra for extra in extras}
        if len(self._extras) != len(extras):
            raise ValueError("two extras of one name")
        _, weights = shares(reference, config, extras)
        self._masses = {extra.name: np.full(len(extra.signs), weights[extra.name] / len(extra.signs)) for extra in extras}
        # Settings that are as they always were do not make old evidence another decider's.
        settings = [
            config.budget_hours,
            config.tolerance,
            sorted(config.tolerances.items()),
            sorted(config.weights.items()),
            *([config.weighting] if config.weighting != "equal" else []),
            *([config.volume_tolerance] if self.volume is not None else []),
        ]
        self._terms = stable_id(_FORMULA, reference.reference_id, repr(settings), repr([t.terms for t in self._tables.values()]))

    def start(self) -> DeciderState:
        """Return the state before any evidence: of a new model, and after an episode has resolved."""
        features, outcomes = (KindState.fresh(len(self._tables[kind].terms), BETS) for kind in KINDS)
        return DeciderState(self._terms, features, outcomes, {name: ExtraState.fresh(len(extra.signs)) for name, extra in self._extras.items()})

    def decode(self, raw: bytes) -> DeciderState:
        """Return an encoded state; ValueError where it was made with another reference, tolerance or budget."""
        return DeciderState.unpack(raw, self.start())

    def step(  # noqa: PLR0917 - a pane's fields
        self, state: DeciderState, kind: PaneKind, counts: Counts, end: int, hours: float, events: int | None = None
    ) -> DeciderState:
        """Return the state after one closed pane of ``hours`` that ends at ``end`` (ms) and held so many ``events``; panes
        come in order, those without events may be left out. Without that the volume is not judged.
        """
        if not (hours > 0 and np.isfinite(hours)):
            raise ValueError(f"a pane of {hours} hours")
        table, before = self._tables[kind], state.of(kind)
        n, held = _rows(table, counts)
        start = end - round(hours * HOUR_MS)
        rate = _smoothed(before, n / hours, table.variance, end, hours)
        eta = 1 / (1 + table.bet_variance * rate[:, None])
        log_e = eta * ((table.gain @ held).reshape(table.theta.shape) - n[:, None] * table.price_over(start, end))
        with np.errstate(divide="ignore"):
            log_r = np.logaddexp(before.log_r, np.log(table.mass * hours)) + log_e
        onset = np.where(before.cusum > 0, before.onset, start)
        after = KindState(log_r, np.maximum(before.cusum, 0) + log_e, onset, rate, end)
        if kind == "features" and events is not None and self.volume is not None:
            state = self._counted(state, self.volume, events, start, end)
        return replace(state, features=after) if kind == "features" else replace(state, outcomes=after)

    def _counted(self, state: DeciderState, volume: Volume, n: int, start: int, end: int) -> DeciderState:
        name = volume.extra.name
        mass = self._masses[name]
        extra = volume.after_nothing(state.extras[name], mass, start)
        # Of a pane out of its order the time has been counted already, as one without events.
        again = extra.end is not None and extra.end > start
        log_e = volume.log_e(n, start, end, timed=not again)
        return state.with_extra(name, extra.stepped(log_e, mass, max(end, extra.end or 0), 0.0 if again else (end - start) / HOUR_MS))

    def quiet_until(self, state: DeciderState, now: int) -> DeciderState:
        """Return the state as it would be had nothing come up to ``now`` (ms); to look at, not to go on from."""
        if self.volume is None:
            return state
        name = self.volume.extra.name
        return state.with_extra(name, self.volume.after_nothing(state.extras[name], self._masses[name], now))

    def volume_effect(self, n: int, start: int, end: int) -> TermEffect | None:
        """Return the effect on the number of events between two event times (ms), as the log of their multiple of the
        reference's; None where the reference can't tell.
        """
        if self.volume is None:
            return None
        effect, low, high = self.volume.effect(n, start, end)
        return TermEffect(
            kind="features",
            column=VOLUME,
            term=VOLUME,
            effect=effect,
            low=low,
            high=high,
            tolerance=self.volume.tolerance,
            n=max(n, 1),
            calibrated=True,
            direction="up" if effect >= 0 else "down",
            weighted=bool(self._masses[self.volume.extra.name].any()),
        )

    def take(self, state: DeciderState, name: str, log_e: Floats, end: int, hours: float) -> DeciderState:
        """Return the state after the e-values of an extra (one for each of its bets) for the ``hours`` up to ``end``
        (ms); stretches come in order.
        """
        if not (hours > 0 and np.isfinite(hours)):
            raise ValueError(f"e-values of {hours} hours")
        return state.with_extra(name, state.extras[name].stepped(log_e, self._masses[name], end, hours))

    def rates(self, state: DeciderState, columns: Sequence[str]) -> Floats:
        """Return the events an hour of each of these columns of features, smoothed as the column's first term has it; 0 before any pane."""
        first: dict[str, int] = {}
        for place, (column, _) in enumerate(self._tables["features"].terms):
            first.setdefault(column, place)
        return state.features.rate[[first[column] for column in columns]]

    def verdict(self, state: DeciderState) -> Verdict:
        """Return the evidence of all terms together; pure, and cheap enough for every pane."""
        log_r = [*(state.of(kind).log_r for kind in KINDS), *(extra.log_r for extra in state.extras.values())]
        top = max((float(part.max()) for part in log_r if part.size), default=-np.inf)
        if not np.isfinite(top):
            return Verdict(0.0, self.budget, crossed=False, carriers=(), onset=None)
        total = top + float(np.log(sum(float(np.exp(part - top).sum()) for part in log_r)))
        gates = [np.where(self._tables[kind].mass > 0, state.of(kind).cusum, 0) for kind in KINDS]
        gates += [np.where(self._masses[name] > 0, extra.cusum, 0) for name, extra in state.extras.items()]
        gate = max(float(part.max(initial=0)) for part in gates)
        found = [carrier for kind in KINDS for carrier in self._carriers(kind, state.of(kind), total, MIN_SHARE)]
        found += [carrier for name, extra in state.extras.items() for carrier in self._carrier(name, extra, total)]
        if not found:  # so many carry it that none carries much
            found = [carrier for kind in KINDS for carrier in self._carriers(kind, state.of(kind), total, 0.0)]
        carriers = sorted(found, key=lambda c: (-c.share, c.kind, c.column, c.term))[:MAX_CARRIERS]
        crossed = total >= np.log(self.budget) and gate >= GATE
        return Verdict(
            evidence=float(np.exp(min(total, _MAX_LOG))),
            budget=self.budget,
            crossed=bool(crossed),
            carriers=tuple(carriers),
            onset=carriers[0].onset if carriers else None,
        )

    def normal(self, kind: PaneKind, spans: Sequence[Span]) -> Floats:
        """Return the mean of each term that is normal over stretches of event time, in the order of the table: that of
        their hours, where the reference shows a cycle.
        """
        stretches = [(start, end) for start, end, _ in spans]
        weights = np.array([max(n, 0) for _, _, n in spans], np.float64)
        if not weights.any():
            weights = np.array([end - start for start, end in stretches], np.float64)
        return self._tables[kind].normal_over(np.array(stretches, np.int64).reshape(-1, 2), weights)

    def terms(self, kind: PaneKind) -> tuple[tuple[str, str], ...]:
        """Return column and name of each term of a kind of pane."""
        return self._tables[kind].terms

    def effects(self, kind: PaneKind, counts: Counts, hours: float, spans: Sequence[Span] = ()) -> tuple[TermEffect, ...]:
        """Return the effect of each term over the rows in ``counts``, which cover ``hours``: regimes last in time, so
        n alone does not tell its worth. ``spans`` say when they were, for references with a calendar.
        """
        if not (hours > 0 and np.isfinite(hours)):
            raise ValueError(f"a window of {hours} hours")
        table = self._tables[kind]
        n, events = _rows(table, counts)
        safe = np.maximum(n, 1)
        mean = (table.phi @ events) / safe
        variance = np.maximum((table.phi_squared @ events) / safe - mean**2, 1.0)
        effect = np.where(n > 0, mean - self.normal(kind, spans), 0.0) if len(spans) else mean
        # What a window's rows share can't vary by more than the term itself does, however long the regimes are.
        half = np.where(n > 0, _Z * np.sqrt(variance * (1 / safe + np.minimum(table.variance / hours, 1))), np.inf)
        return tuple(
            TermEffect(
                kind=kind,
                column=column,
                term=term,
                effect=float(effect[i]),
                low=float(effect[i] - half[i]),
                high=float(effect[i] + half[i]),
                tolerance=float(table.tolerance[i]),
                n=int(n[i]),
                calibrated=bool(table.calibrated[i]),
                direction=direction_of(term, effect[i]),
                weighted=bool(table.mass[i].any()) or not table.calibrated[i],
            )
            for i, (column, term) in enumerate(table.terms)
        )

    def _carriers(self, kind: PaneKind, state: KindState, total: float, least: float) -> list[Carrier]:
        table = self._tables[kind]
        if not table.terms:
            return []
        share = np.exp(np.minimum(state.log_r - total, 0))
        of_term, best = share.sum(axis=1), share.argmax(axis=1)
        return [
            Carrier(
                kind,
                *table.terms[i],
                share=float(of_term[i]),
                direction=direction_of(table.terms[i][1], table.theta[i, best[i]]),
                onset=int(state.onset[i, best[i]]),
            )
            for i in np.flatnonzero(of_term >= least).tolist()
        ]

    def _carrier(self, name: str, state: ExtraState, total: float) -> list[Carrier]:
        extra, share = self._extras[name], np.exp(np.minimum(state.log_r - total, 0))
        if share.sum() < MIN_SHARE:
            return []
        best = int(share.argmax())
        direction: Direction = "up" if extra.signs[best] > 0 else "down"
        return [Carrier(extra.kind, extra.column, extra.term, share=float(share.sum()), direction=direction, onset=int(state.onset[best]))]


def direction_of(term: str, sign: float) -> Direction:
    """Return where a term went: ``scale`` up is wider, a share up is larger; the third polynomial has no plain word."""
    if term == "tails":
        return "changed"
    return "up" if sign >= 0 else "down"


def _rows(table: TermTable, counts: Counts) -> tuple[Floats, Floats]:
    """Return each term's rows, and the counts as floats; an outcome taken back before it was counted is no negative
    event.
    """
    events = np.maximum(np.asarray(counts), 0).astype(np.float64)
    if events.shape != (table.slots,):
        raise ValueError(f"counts of shape {events.shape}, expected {(table.slots,)}")
    n: Floats = table.base @ events
    return n, events


def _smoothed(before: KindState, rate: Floats, variance: Floats, end: int, hours: float) -> Floats:
    """Exponentially weighted rate with the time constant V / 4; panes left out held nothing. The first pane's own
    rate starts it.
    """
    if before.end is None:
        return rate
    constant = np.maximum(variance / 4, 1e-12)
    gap = max((end - before.end) / HOUR_MS - hours, 0.0)
    keep = np.exp(-np.minimum(hours / constant, _MAX_LOG))
    smoothed: Floats = before.rate * np.exp(-np.minimum(gap / constant, _MAX_LOG)) * keep + rate * (1 - keep)
    return smoothed
