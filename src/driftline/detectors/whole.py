"""The decider as a worker runs it: the tables of a reference, its traffic, and the pairs of its columns, under the one budget. Pure.

``streams.detect`` lets it take closed panes and their samples, ``driftline calibrate`` null data, the demo a year at once; ``driftline explain``
reads what it stored. All have it from here: with other extras every weight, and so every threshold, would be another decider's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import SampleRow
from driftline.detectors.decider import Carrier, Decider, TermEffect, Verdict
from driftline.detectors.evidence import DeciderState
from driftline.detectors.extras import Extra
from driftline.detectors.moments import Floats
from driftline.detectors.multivariate.pairs import COLUMN, MOST_ROWS, TERM, PairEffect, PairTable
from driftline.detectors.terms import DeciderConfig

#: Pairs that one alert names at the most.
MOST_PAIRS = 4
#: A pair below this share of the pairs' evidence is company.
_LEAST = 0.05


@dataclass(frozen=True, eq=False)
class Whole:
    """``decider`` knows of ``pairs`` (None where there are none) as one extra; ``config`` is what both were made with."""

    reference: Reference
    config: DeciderConfig
    decider: Decider
    pairs: PairTable | None

    @classmethod
    def of(cls, reference: Reference, config: DeciderConfig, rows: Sequence[SampleRow] | Callable[[], Sequence[SampleRow]]) -> Whole:
        """Return the decider of a reference and the rows that are stored with it, which are asked for only where they are needed."""
        pairs = None
        if config.weights.get(COLUMN) != 0:
            held = rows() if callable(rows) else rows
            pairs = PairTable.of(reference, held, config) if held else None
        return cls(reference, config, Decider(reference, config, () if pairs is None else (pairs.extra,)), pairs)

    @property
    def extras(self) -> tuple[Extra, ...]:
        """What has a share of the budget beside the tables."""
        volume = self.decider.volume
        return (*(() if volume is None else (volume.extra,)), *(() if self.pairs is None else (self.pairs.extra,)))

    def take(self, state: DeciderState, growth: Floats, end: int, hours: float, most: int) -> DeciderState:
        """Return the state after what the sampled rows of a pane of features told the pairs (``PairTable.growth``), which the tables have taken
        already; the sample keeps ``most`` rows of so many ``hours``. Without pairs nothing changes.
        """
        if self.pairs is None:
            return state
        rate = np.minimum(self.decider.rates(state, [c.name for c in self.pairs.scorer.columns]), most / hours)
        return self.decider.take(state, self.pairs.extra.name, self.pairs.tempered(growth, rate[self.pairs.faster]), end, hours)

    def verdict(self, state: DeciderState) -> Verdict:
        """Return where the evidence stands, with the pairs themselves in the place of all of them."""
        return self.named(self.decider.verdict(state), state)

    def named(self, verdict: Verdict, state: DeciderState) -> Verdict:
        """Return a verdict of the decider's with the pairs themselves in the place of all of them."""
        table, all_of_them = self.pairs, next((c for c in verdict.carriers if (c.column, c.term) == (COLUMN, TERM)), None)
        if table is None or all_of_them is None:
            return verdict
        own = [
            Carrier("features", pair_name(table, place), TERM, all_of_them.share * share, all_of_them.direction, onset)
            for place, share, onset in table.carriers(state.extras[table.extra.name], MOST_PAIRS)
            if share >= _LEAST
        ]
        rest = [carrier for carrier in verdict.carriers if carrier is not all_of_them]
        carriers = tuple(sorted((*rest, *own), key=lambda c: (-c.share, c.kind, c.column, c.term)))
        return replace(verdict, carriers=carriers, onset=carriers[0].onset if carriers else verdict.onset)

    def importance(self) -> Mapping[str, float]:
        """Return the share of the importance of each column and each pair: a pair matters as much as the one of its columns that matters more."""
        own, table = self.reference.importance_by_column(), self.pairs
        if table is None or not own:
            return own
        pairs = {pair_name(table, k): max(own.get(name, 0.0) for name in table.names(k)) for k in range(len(table.left))}
        return {**pairs, **own}


def related(effects: Iterable[PairEffect], names: Iterable[str]) -> list[TermEffect]:
    """Return the effects of the pairs called ``names`` as those of terms."""
    wanted = set(names)
    return [
        TermEffect(
            kind="features", column=e.column, term=TERM, effect=e.effect, low=e.low, high=e.high, tolerance=e.tolerance, n=e.n,
            calibrated=True, direction="up" if e.effect >= 0 else "down",
        )
        for e in effects
        if e.column in wanted
    ]  # fmt: skip


def pair_name(table: PairTable, place: int) -> str:
    """Return what an alarm calls a pair."""
    return " x ".join(table.names(place))


def most_rows(settings: ModelSettings) -> int:
    """Return how many sampled rows of one pane the pairs look at, at the most."""
    return min(settings.sample_rows_per_pane, MOST_ROWS)
