"""Which windows hold a pane, and which lie behind one: the only place that knows how the windows of a model are cut."""

from __future__ import annotations

from driftline.contracts.settings import ModelSettings
from driftline.contracts.summaries import PaneKind
from driftline.contracts.times import parse_duration
from driftline.store.detect_rows import PaneKey
from driftline.streams.detect.cells import Cell, Cells
from driftline.streams.detect.folding import horizon, reach

Found = list[tuple[PaneKey, Cell]]


class Windows:
    """The windows of one model."""

    def __init__(self, settings: ModelSettings, cells: Cells) -> None:
        self._cells = cells
        self._pane = parse_duration(settings.pane)
        #: No window is longer (ms).
        self.longest = parse_duration(settings.window)

    def holding(self, pane: PaneKey) -> PaneKey:
        """Return the window that holds a pane."""
        return pane._replace(width=self.longest, start=pane.start // self.longest * self.longest)

    def is_pane(self, key: PaneKey) -> bool:
        """Say whether a key is a pane's, and no window's."""
        return key.width == self._pane

    def trailing(self, key: PaneKey, most: int, since: int) -> Found:
        """Return the window ``key`` and those behind it that end after ``since``, ``most`` windows' time at the most."""
        first = max(since // self.longest * self.longest, key.start - (most - 1) * self.longest)
        return self._range(key, key.kind, first, key.start + 1)

    def within(self, key: PaneKey, kind: PaneKind, span: int) -> Found:
        """Return the windows of a kind that begin within ``span`` ms before the end of the window ``key``."""
        return self._range(key, kind, key.end - span, key.end)

    def before(self, key: PaneKey, since: int, until: int) -> Found:
        """Return the windows from the one that holds ``since`` to the one that ends at ``until``, an edge of windows."""
        return self._range(key, key.kind, since // self.longest * self.longest, until)

    def reach(self, pane: PaneKey) -> int:
        """Return the edge of windows from which panes may be asked for one by one when this one closes."""
        return reach(pane.start, self._pane, self.longest)

    def horizon(self, watermark: int, wait: int) -> int:
        """Return the event time before which no pane will be asked for any more."""
        return horizon(watermark, wait, self._pane, self.longest)

    def _range(self, key: PaneKey, kind: PaneKind, since: int, until: int) -> Found:
        return self._cells.range(key.model, key.reference_id, kind, self.longest, since, until)
