"""Relations between columns in detect: the pairs of each reference, what a closed pane's sample says of them, and their part in causes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import HOUR_MS
from driftline.detectors.decider import Carrier, Decider, TermEffect, Verdict
from driftline.detectors.evidence import DeciderState
from driftline.detectors.extras import Extra
from driftline.detectors.multivariate.pairs import COLUMN, MOST_ROWS, TERM, PairTable
from driftline.detectors.terms import DeciderConfig
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cell

#: Pairs that one alert names at the most.
MOST_PAIRS = 4
#: A pair below this share of the pairs' evidence is company.
_LEAST = 0.05

Samples = Callable[[str], Sequence[SampleRow]]


class Relations:
    """The pairs of a model's references. A reference's own rows are read once; those of one that was just learned are told before they are stored."""

    def __init__(self, settings: ModelSettings, samples: Samples) -> None:
        self._config = DeciderConfig.of(settings)
        self._cap = min(settings.sample_rows_per_pane, MOST_ROWS)
        self._samples = samples
        self._told: dict[str, Sequence[SampleRow]] = {}
        self._tables: dict[str, PairTable | None] = {}

    def learned(self, reference: Reference, rows: Sequence[SampleRow]) -> None:
        """Take the rows of a reference that is stored with this step."""
        self._told[reference.reference_id] = rows

    def extras(self, reference: Reference) -> tuple[Extra, ...]:
        """Return what the decider has to know of beside its tables."""
        table = self._table(reference)
        return () if table is None else (table.extra,)

    def take(self, decider: Decider, reference: Reference, state: DeciderState, key: PaneKey, cell: Cell) -> DeciderState:
        """Return the state after what the sample of a closed pane says, which the decider's own tables have taken already."""
        table = self._table(reference)
        if table is None or key.kind != "features" or not cell.pane.sample:
            return state
        hours = key.length / HOUR_MS
        rate = np.minimum(decider.rates(state, [c.name for c in table.scorer.columns]), self._cap / hours)
        return decider.take(state, table.extra.name, table.log_e(cell.pane.sample, rate[table.faster]), key.end, hours)

    def named(self, verdict: Verdict, reference: Reference, state: DeciderState) -> Verdict:
        """Return the verdict with the pairs themselves in the place of all of them."""
        table, all_of_them = self._table(reference), next((c for c in verdict.carriers if (c.column, c.term) == (COLUMN, TERM)), None)
        if table is None or all_of_them is None:
            return verdict
        own = [
            Carrier("features", _name(table, place), TERM, all_of_them.share * share, all_of_them.direction, onset)
            for place, share, onset in table.carriers(state.extras[table.extra.name], MOST_PAIRS)
            if share >= _LEAST
        ]
        rest = [carrier for carrier in verdict.carriers if carrier is not all_of_them]
        carriers = tuple(sorted((*rest, *own), key=lambda c: (-c.share, c.kind, c.column, c.term)))
        return replace(verdict, carriers=carriers, onset=carriers[0].onset if carriers else verdict.onset)

    def effects(self, reference: Reference, names: Iterable[str], found: Sequence[tuple[PaneKey, Cell]]) -> list[TermEffect]:
        """Return how far the pairs called ``names`` have moved over panes: what a window holds has no sample."""
        table, wanted = self._table(reference), set(names)
        rows = list(chain.from_iterable(cell.pane.sample for _, cell in found))
        hours = sum(key.length for key, cell in found if cell.pane.sample) / HOUR_MS
        if table is None or not wanted or not rows:
            return []
        return [
            TermEffect(
                kind="features", column=e.column, term=TERM, effect=e.effect, low=e.low, high=e.high, tolerance=e.tolerance, n=e.n,
                calibrated=True, direction="up" if e.effect >= 0 else "down",
            )
            for e in table.effects(rows, hours)
            if e.column in wanted
        ]  # fmt: skip

    def importance(self, reference: Reference) -> Mapping[str, float]:
        """Return the share of the importance of each column and each pair: a pair matters as much as the one of its columns that matters more."""
        own, table = reference.importance_by_column(), self._table(reference)
        if table is None or not own:
            return own
        pairs = {_name(table, k): max(own.get(name, 0.0) for name in table.names(k)) for k in range(len(table.left))}
        return {**pairs, **own}

    def _table(self, reference: Reference) -> PairTable | None:
        known = reference.reference_id
        if known not in self._tables:
            muted = self._config.weights.get(COLUMN) == 0
            rows: Sequence[SampleRow] = self._told.pop(known, ())
            if not rows and not muted:
                rows = self._samples(known)
            self._tables[known] = PairTable.of(reference, rows, self._config) if rows and not muted else None
        return self._tables[known]


def _name(table: PairTable, place: int) -> str:
    return " x ".join(table.names(place))
