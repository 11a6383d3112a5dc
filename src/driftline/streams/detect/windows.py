"""Which windows hold a pane, and which lie behind one: the only place that knows how the windows of a model are cut.

By time they stand on a grid (and the steps of sliding ones on a finer one), so that every pane has its window at once. By count they are cut where
enough panes have closed (``filling.py``, ``stepping.py``): until then the panes hold what the window will be the sum of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from driftline.contracts.settings import ModelSettings, window_rule
from driftline.contracts.summaries import PaneKind, SampleRow
from driftline.contracts.times import parse_duration
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cell, Cells
from driftline.streams.detect.filling import Fillings
from driftline.streams.detect.folding import horizon, reach
from driftline.streams.detect.state import ModelState

Found = list[tuple[PaneKey, Cell]]


class Windows:
    """The windows of one model."""

    def __init__(self, model: str, settings: ModelSettings, cells: Cells, state: ModelState) -> None:
        self._cells = cells
        self._state = state
        self._pane = parse_duration(settings.pane)
        self._rule = window_rule(settings)
        #: No window is longer (ms).
        self.longest = self._rule.longest
        #: What a window is taken to last where things are told in windows (ms).
        self.usual = self._rule.usual
        self.fillings = Fillings(model, self._rule, self._pane, cells, state) if self._rule.events is not None else None

    def is_pane(self, key: PaneKey) -> bool:
        """Say whether a key is a pane's, and no window's."""
        return key.width == self._pane

    def is_step(self, key: PaneKey) -> bool:
        """Say whether a key is the step's of a sliding window."""
        return key.slid or (self._rule.slide > 0 and key.width == self._rule.slide)

    def ends_whole(self, step: PaneKey) -> bool:
        """Say whether a whole window ends with a step."""
        return self.fillings.is_end(step.reference_id, step.end) if self.fillings is not None else step.end % self.longest == 0

    def holding(self, pane: PaneKey) -> tuple[PaneKey, ...]:
        """Return what a part of a pane goes into besides: its window, and the step that it slides by; neither while it is not cut."""
        if self.fillings is not None:
            return self.fillings.holding(pane)
        whole = pane._replace(width=self.longest, start=pane.start // self.longest * self.longest)
        slide = self._rule.slide
        return (pane._replace(width=slide, start=pane.start // slide * slide), whole) if slide else (whole,)

    def forgotten(self, pane: PaneKey) -> bool:
        """Say whether the window of a pane is let go of."""
        if self.fillings is not None:
            return self.fillings.forgotten(pane)
        return pane.start // self.longest * self.longest < self._state.forgotten

    def folded(self, pane: PaneKey) -> bool:
        """Say whether a pane stands in its window only."""
        before = self._state.folded.get(pane.kind, 0)
        return pane.start < (before if self.fillings is None else self.fillings.edge(pane.reference_id, before))

    def limits(self) -> dict[tuple[str | None, PaneKind], int]:
        """Return the event times before which panes stand in their windows only, by reference (None: any) and kind."""
        if self.fillings is None:
            return {(None, kind): before for kind, before in self._state.folded.items()}
        names = list(self._state.fillings)
        return {(name, kind): self.fillings.edge(name, before) for name in names for kind, before in self._state.folded.items()}

    def span(self, key: PaneKey) -> PaneKey:
        """Return the stretch that the finding of a closed window or step tells of."""
        # A step of events stands under the key of the window that ends with it.
        return key._replace(width=self.longest, start=key.end - self.longest) if self.is_step(key) and not key.slid else key

    def made_of(self, key: PaneKey) -> list[PaneKey]:
        """Return the cells that such a finding is the sum of, on time ones and late ones."""
        return [k._replace(late=late) for k in self._steps(key) for late in (False, True)]

    def sliding_over(self, step: PaneKey) -> Iterable[PaneKey]:
        """Return the steps whose windows hold this one, or follow those that do; those left out at which a whole window ends."""
        if self.fillings is not None:
            return self.fillings.sliding_over(step)
        ends = range(step.end, step.end + 2 * self.longest, self._rule.slide)
        return [step._replace(start=end - step.width, late=False) for end in ends if end % self.longest]

    def preceding(self, key: PaneKey) -> PaneKey | None:
        """Return the window, or the step at which it ends, before the one that a key stands for: the one beside it by time, the last one cut by
        count. Whether it is there is another question.
        """
        if self.fillings is not None:
            return self.fillings.steps.preceding(key) if key.slid else self.fillings.beside(key, -1)
        return key._replace(start=key.start - self.longest) if key.start >= self.longest else None

    def following(self, key: PaneKey) -> PaneKey | None:
        """Return the window that this one precedes."""
        return self.fillings.beside(key, 1) if self.fillings is not None else key._replace(start=key.start + self.longest)

    def trailing(self, key: PaneKey, most: int, since: int) -> Found:
        """Return the window ``key`` and those behind it that end after ``since``: ``most`` at the most."""
        if self.fillings is not None:
            return self._cells.found(self.fillings.windows(key, key.kind, after=since, until=key.end)[-most:])
        first = max(since // self.longest * self.longest, key.start - (most - 1) * self.longest)
        return self._range(key, key.kind, first, key.start + 1)

    def within(self, key: PaneKey, kind: PaneKind, span: int) -> Found:
        """Return the windows of a kind that begin within ``span`` ms before the end of the window ``key``."""
        if self.fillings is not None:
            behind = self.fillings.windows(key, kind, after=key.end - span, until=key.end)
            return self._cells.found(k for k in behind if k.start >= key.end - span)
        return self._range(key, kind, key.end - span, key.end)

    def before(self, key: PaneKey, since: int, until: int) -> Found:
        """Return the windows from the one that holds ``since`` to the one that ends at ``until``, an edge of windows."""
        if self.fillings is not None:
            return self._cells.found(self.fillings.windows(key, key.kind, after=since, until=until))
        return self._range(key, key.kind, since // self.longest * self.longest, until)

    def reach(self, pane: PaneKey) -> int:
        """Return the edge of windows from which panes may be asked for one by one when this one closes."""
        if self.fillings is not None:
            return self.fillings.edge(pane.reference_id, reach(pane.start, self._pane, self._pane))
        return reach(pane.start, self._pane, self.longest)

    def sampled(self, window: PaneKey) -> Iterator[SampleRow]:
        """Yield the rows that the panes of a window of features sampled, as it closes: later they may stand in it only, which has none."""
        since = max(window.start, self.reach(window))
        panes = self._cells.range(window.model, window.reference_id, "features", self._pane, since, window.end)
        return chain.from_iterable(cell.pane.sample for _, cell in panes)

    def horizon(self, watermark: int, wait: int) -> int:
        """Return the event time before which no pane will be asked for any more (by count: the last edge of windows before it)."""
        return horizon(watermark, wait, self._pane, self.longest if self.fillings is None else self._pane)

    def _steps(self, key: PaneKey) -> list[PaneKey]:
        if not self.is_step(key):
            return [key]
        if self.fillings is not None:
            return self.fillings.steps.made_of(key)
        return [key._replace(start=start) for start in range(key.end - self.longest, key.end, key.width)]

    def _range(self, key: PaneKey, kind: PaneKind, since: int, until: int) -> Found:
        return self._cells.range(key.model, key.reference_id, kind, self.longest, since, until)
