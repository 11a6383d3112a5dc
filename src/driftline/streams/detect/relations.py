"""Relations between columns in detect: the whole decider of each reference, and what the samples of closed panes say of its pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

from driftline.contracts.reference import Reference
from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import SampleRow
from driftline.contracts.times import HOUR_MS
from driftline.detectors.decider import TermEffect
from driftline.detectors.evidence import DeciderState
from driftline.detectors.multivariate.pairs import MOST_ROWS
from driftline.detectors.terms import DeciderConfig
from driftline.detectors.whole import Whole, most_rows, related
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cell

Samples = Callable[[str], Sequence[SampleRow]]


class Relations:
    """The deciders of a model's references. The rows of a reference are read once; those of one just learned are told before they are stored."""

    def __init__(self, settings: ModelSettings, samples: Samples) -> None:
        self._config = DeciderConfig.of(settings)
        self._most = most_rows(settings)
        self._samples = samples
        self._told: dict[str, Sequence[SampleRow]] = {}
        self._wholes: dict[str, Whole] = {}

    def learned(self, reference: Reference, rows: Sequence[SampleRow]) -> None:
        """Take the rows of a reference that is stored with this step."""
        self._told[reference.reference_id] = rows

    def whole(self, reference: Reference) -> Whole:
        """Return the decider of a reference, its pairs beside it."""
        known = reference.reference_id
        if known not in self._wholes:
            told = self._told.pop(known, ())
            self._wholes[known] = Whole.of(reference, self._config, lambda: told or self._samples(known))
        return self._wholes[known]

    def take(self, reference: Reference, state: DeciderState, key: PaneKey, cell: Cell) -> DeciderState:
        """Return the state after what the sample of a closed pane says, which the decider's own tables have taken already."""
        whole = self.whole(reference)
        if whole.pairs is None or key.kind != "features" or not cell.pane.sample:
            return state
        growth = whole.pairs.growth(*whole.pairs.scorer.of_rows(cell.pane.sample[:MOST_ROWS]))
        return whole.take(state, growth, key.end, key.length / HOUR_MS, self._most)

    def effects(self, reference: Reference, names: Iterable[str], found: Sequence[tuple[PaneKey, Cell]]) -> list[TermEffect]:
        """Return how far the pairs called ``names`` have moved over panes: what a window holds has no sample."""
        table, wanted = self.whole(reference).pairs, set(names)
        rows = list(chain.from_iterable(cell.pane.sample for _, cell in found))
        hours = sum(key.length for key, cell in found if cell.pane.sample) / HOUR_MS
        if table is None or not wanted or not rows:
            return []
        return related(table.effects(rows, hours), wanted)

    def importance(self, reference: Reference) -> Mapping[str, float]:
        """Return the share of the importance of each column and each pair."""
        return self.whole(reference).importance()
