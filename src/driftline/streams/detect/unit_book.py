"""Which columns of a window look like another unit's, once for each window that closes: from the rows that its panes sampled."""

from __future__ import annotations

from itertools import chain

from driftline.contracts.settings import ModelSettings
from driftline.contracts.times import parse_duration
from driftline.streams.detect.causes import unit_notes
from driftline.streams.detect.cells import Cells, merged
from driftline.streams.detect.said import Turn
from driftline.streams.detect.windows import Windows


class UnitBook:
    """The units of one model's columns."""

    def __init__(self, model: str, settings: ModelSettings, cells: Cells, windows: Windows) -> None:
        self._model = model
        self._pii = settings.pii
        self._pane = parse_duration(settings.pane)
        self._cells = cells
        self._windows = windows

    def told(self, turn: Turn) -> dict[str, str]:
        """Return what is told of such columns as a window of features closes.

        Late rows do not change it: by then panes may stand in their windows only, which have no sample.
        """
        key = turn.key
        since = max(key.start, self._windows.reach(key))
        panes = [cell for _, cell in self._cells.range(self._model, key.reference_id, "features", self._pane, since, key.end)]
        if not panes:
            return {}
        sample = list(chain.from_iterable(cell.pane.sample for cell in panes))
        return unit_notes(merged(panes, panes[0].layout), sample, self._pii)
